"""Measure, print the table, and write it; see README.md."""

# The processes of the methods read this file too, and need nothing of the command line.
if __name__ == "__main__":
    from benchmarks.command import main

    main()

"""Run the benchmark, print its table and write the results; see README.md."""

# Every method's process imports this file too, but does not use the command line.
if __name__ == "__main__":
    from benchmarks.command import main

    main()

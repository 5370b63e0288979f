"""Clean up after a killed snakemake: end the jobs that it left behind, and remove its lock.

Snakemake locks its working directory and cannot tell whether the holder of a lock is still alive; its own
advice, to unlock, is wrong while it is. This can tell, for the processes of this machine. Jobs without their
snakemake would go on for nothing; what they have done is kept, and the next run goes on from there.
"""

import subprocess
import sys
from pathlib import Path

import psutil

LOCKS = Path(".snakemake/locks")
SCRIPTS = Path(".snakemake/scripts")
SECONDS_TO_END = 10


def processes_in(directory: Path) -> list[tuple[psutil.Process, list[str]]]:
    """Return the processes of this machine that work in ``directory``, with their command lines."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == directory:
                found.append((process, process.cmdline()))
        except psutil.Error:
            continue
    return found


def is_snakemake(words: list[str]) -> bool:
    """Tell whether a command line is a snakemake: the program itself, or python running it."""
    program = [Path(word).name for word in words[:2]]
    return "snakemake" in program or words[1:3] == ["-m", "snakemake"]


def end(jobs: list[psutil.Process]) -> None:
    """End processes, in the hard way where they do not follow."""
    for job in jobs:
        job.terminate()
    _, alive = psutil.wait_procs(jobs, timeout=SECONDS_TO_END)
    for job in alive:
        job.kill()
    psutil.wait_procs(alive)


def is_locked(results: str) -> bool:
    """Tell whether a lock is on files below ``results``: snakemakes for other results go on side by side."""
    locked = (line for lock in LOCKS.glob("*.output.lock") for line in lock.read_text().splitlines())
    return any(line.startswith(f"{results}/") for line in locked)


def clean_up(directory: Path, results: str) -> None:
    """Clean up after a killed snakemake, if there was one and none is at work in ``directory``.

    Raises:
        SystemExit: One is at work on the same results.
    """
    if not LOCKS.is_dir() or not any(LOCKS.iterdir()):
        return
    processes = processes_in(directory)
    if alive := [process.pid for process, words in processes if is_snakemake(words)]:
        if is_locked(results):
            sys.exit(
                f"Another snakemake (process {alive[0]}) is at work on these results; wait for it or end it."
            )
        return
    scripts = str(directory / SCRIPTS)
    orphans = [process for process, words in processes if any(word.startswith(scripts) for word in words)]
    jobs = f"{len(orphans)} jobs" if len(orphans) > 1 else "the job"
    ended = f"ending {jobs} that it left behind, whose progress is kept, and " if orphans else ""
    print(f"An earlier run was killed: {ended}removing its lock.", file=sys.stderr)
    end(orphans)
    snakemake = [sys.executable, "-m", "snakemake"]
    subprocess.run([*snakemake, "--unlock", "--quiet"], check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    clean_up(Path.cwd(), sys.argv[1])

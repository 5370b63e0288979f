"""Clean up after a killed snakemake: end the jobs that it left behind, and remove its lock.

Snakemake locks its working directory and cannot tell whether the holder of a lock is still alive. This can,
for the processes of this machine. Jobs without their snakemake would go on for nothing; what they have done
is kept, and the next run goes on from there.
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


def clean_up(directory: Path) -> None:
    """Clean up after a killed snakemake, if there was one and none is at work in ``directory``."""
    processes = processes_in(directory)
    locked = LOCKS.is_dir() and any(LOCKS.iterdir())
    if not locked or any(is_snakemake(words) for _, words in processes):
        return
    scripts = str(directory / SCRIPTS)
    orphans = [process for process, words in processes if any(word.startswith(scripts) for word in words)]
    print(
        f"An earlier run was killed: ending the {len(orphans)} jobs that it left behind, which go on from "
        "their progress, and removing its lock.",
        file=sys.stderr,
    )
    end(orphans)
    snakemake = [sys.executable, "-m", "snakemake"]
    subprocess.run([*snakemake, "--unlock", "--quiet"], check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    clean_up(Path.cwd())

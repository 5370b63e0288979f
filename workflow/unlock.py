"""Clean up after a killed snakemake: end the jobs that it left behind, and remove its lock.

Snakemake locks its working directory and cannot tell whether the holder of a lock is still alive; its own
advice, to unlock, is wrong while it is. This can tell: a snakemake at work holds the lock of `atwork.py`, on
whatever machine, and one that has not come to work is seen among the processes of this one. Jobs that lost
their snakemake would go on for nothing; what they have done is kept, and the next run goes on from there.
"""

import subprocess
import sys
from pathlib import Path

import psutil

from atwork import hold, holder, refusal
from eigendrift.errors import UserError
from unrecorded import forget, refuse_while_queued

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


def locked_outputs() -> list[str]:
    """Return what those who hold or held locks were to make."""
    return [line for lock in LOCKS.glob("*.output.lock") for line in lock.read_text().splitlines()]


def clean_up(directory: Path, results: Path) -> None:
    """Clean up after a killed snakemake, if there was one and none is at work in ``directory``.

    Raises:
        UserError: One is at work on the same results, or jobs are in SLURM still.
    """
    if who := holder(results):
        raise UserError(refusal(results, who))
    if not LOCKS.is_dir() or not any(LOCKS.iterdir()):
        return
    outputs = locked_outputs()
    places = {Path(*Path(path).parts[:2]) for path in outputs}
    processes = processes_in(directory)
    alive = [f"process {process.pid}" for process, words in processes if is_snakemake(words)]
    # Snakemake removes all locks of a directory or none.
    alive += [who for place in sorted(places) if (who := holder(place))]
    if alive:
        if results in places:
            raise UserError(refusal(results, alive[0]))
        return
    refuse_while_queued(outputs)
    hold(results)
    scripts = str(directory / SCRIPTS)
    orphans = [process for process, words in processes if any(word.startswith(scripts) for word in words)]
    jobs = f"{len(orphans)} jobs" if len(orphans) > 1 else "the job"
    ended = f"ending {jobs} that it left behind, whose progress is kept, and " if orphans else ""
    print(f"An earlier run was killed: {ended}removing its lock.", file=sys.stderr)
    end(orphans)
    forget(outputs)
    snakemake = [sys.executable, "-m", "snakemake"]
    subprocess.run([*snakemake, "--unlock", "--quiet"], check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    try:
        clean_up(Path.cwd(), Path(sys.argv[1]))
    except UserError as error:
        sys.exit(str(error))

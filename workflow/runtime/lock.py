"""One snakemake at a time works on a study's results; what a killed one left behind is cleaned up.

Snakemake's own lock is in its working directory, does not name its holder, and stays when the holder is killed. This
lock is next to the results, so it also excludes snakemakes of other clones and machines, if the file system supports
`flock` on all of them. The lock ends with its holder.

`python -m runtime.lock results/<study>` cleans up. Jobs that lost their snakemake would work for nothing; what they
have finished is kept, and the next run resumes from there.
"""

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from eigendrift.errors import UserError
from eigendrift.stores.files import FULL, make_directory

# Snakemake takes a while to import and is rarely needed, so functions import it.

LOCK = Path("logs/snakemake.lock")
# A process that only asks who holds the lock holds it for a moment, too.
TRIES = 10
PAUSE = 0.1
SNAKEMAKE_LOCKS = Path(".snakemake/locks")
SNAKEMAKE_SCRIPTS = Path(".snakemake/scripts")
SECONDS_TO_END = 10


def acquire(results: Path) -> None:
    """Take the lock of a study's results until this process ends.

    Args:
        results: Directory of the study.

    Raises:
        UserError: If another process holds the lock, or the lock file cannot be written.
    """
    path = results / LOCK
    try:
        make_directory(path.parent)
        # Jobs do not inherit the file, so a job that outlives a killed snakemake does not hold its lock.
        lock = os.open(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); make it writable.") from None
    for _ in range(TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            time.sleep(PAUSE)
        except OSError as error:
            raise UserError(
                f"{path} cannot be locked ({error.strerror}); put the results on a file system with flock, or pass "
                "--no-hooks to run without the lock."
            ) from None
    else:
        os.close(lock)
        raise UserError(refusal(results, holder(results) or "an unknown process"))
    try:
        os.ftruncate(lock, 0)
        os.write(lock, f"process {os.getpid()} on {platform.node()}, in {Path.cwd()}".encode())
    except OSError as error:
        # On a full disk the lock still works, without the name of its holder.
        if error.errno not in FULL:
            raise


def holder(results: Path) -> str | None:
    """Return which process holds the lock of a study's results, and where; None if none does."""
    try:
        lock = os.open(results / LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(lock, 1 << 16).decode(errors="replace") or "an unknown process"
    except OSError:  # a file system without flock, on which nobody holds a lock
        return None
    finally:
        os.close(lock)
    return None


def refusal(results: Path, process: str) -> str:
    """Return the message for a second snakemake on the same results."""
    return f"Another snakemake is working on {results} ({process}); wait until it ends or end it, and do not unlock."


def clean_up(directory: Path, results: Path) -> None:
    """End the jobs of a killed snakemake and remove its lock, if there was one and none is running.

    Args:
        directory: Working directory of snakemake.
        results: Directory of the study, relative to it.

    Raises:
        UserError: If a snakemake is working on the same results, or jobs are still in SLURM.
    """
    if process := holder(results):
        raise UserError(refusal(results, process))
    if not SNAKEMAKE_LOCKS.is_dir() or not any(SNAKEMAKE_LOCKS.iterdir()):
        return
    outputs = [line for lock in SNAKEMAKE_LOCKS.glob("*.output.lock") for line in lock.read_text().splitlines()]
    locked = {Path(*Path(path).parts[:2]) for path in outputs}
    processes = _processes_in(directory)
    # A snakemake that is still planning holds Snakemake's lock, but not yet the lock of this module.
    alive = [f"process {process.pid}" for process, words in processes if _is_snakemake(words)]
    alive += [name for other in sorted(locked) if (name := holder(other))]
    if alive:
        if results in locked:
            raise UserError(refusal(results, alive[0]))
        return
    _refuse_while_in_slurm(outputs)
    acquire(results)
    scripts = str(directory / SNAKEMAKE_SCRIPTS)
    orphans = [process for process, words in processes if any(word.startswith(scripts) for word in words)]
    jobs = f"{len(orphans)} jobs" if len(orphans) > 1 else "the job"
    ending = f"ending {jobs} that it left running (their progress is kept) and " if orphans else ""
    print(f"An earlier run was killed: {ending}removing its lock.", file=sys.stderr)
    _end(orphans)
    _delete_unrecorded(outputs)
    unlock = [sys.executable, "-m", "snakemake", "--unlock", "--quiet"]
    ended = subprocess.run(unlock, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise UserError(f"Snakemake cannot remove its lock in {directory}: {(ended.stderr or ended.stdout).strip()}")


def _processes_in(directory: Path) -> list[tuple[psutil.Process, list[str]]]:
    """Return the processes of this machine with a working directory, and their command lines."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()) == directory:
                found.append((process, process.cmdline()))
    return found


def _is_snakemake(words: list[str]) -> bool:
    """Return whether a command line runs snakemake, as a program or as a module."""
    return "snakemake" in [Path(word).name for word in words[:2]] or words[1:3] == ["-m", "snakemake"]


def _end(jobs: list[psutil.Process]) -> None:
    for job in jobs:
        job.terminate()
    _, alive = psutil.wait_procs(jobs, timeout=SECONDS_TO_END)
    for job in alive:
        job.kill()
    psutil.wait_procs(alive)


def _refuse_while_in_slurm(outputs: Iterable[str]) -> None:
    """Refuse to clean up while SLURM still has jobs of the killed snakemake, which would keep writing."""
    from snakemake.persistence.file import FilePersistence

    submitted = set(FilePersistence()._get_external_jobids(outputs))
    if not submitted or shutil.which("squeue") is None:
        return
    # squeue fails if it is asked for a job that it no longer knows, so ask for all jobs.
    queue = subprocess.run(["squeue", "--noheader", "--format=%A"], capture_output=True, text=True, check=False)
    if queue.returncode:
        raise UserError(
            f"Cannot determine whether a killed run still has jobs in SLURM ({queue.stderr.strip()}); "
            "try again when `squeue` works."
        )
    if jobs := sorted(submitted & set(queue.stdout.split()), key=int):
        raise UserError(
            f"Jobs of a killed run are still in SLURM: end them with `scancel {' '.join(jobs)}` or wait for "
            "them, and try again."
        )


def _delete_unrecorded(outputs: Iterable[str]) -> None:
    """Delete output files for which a killed snakemake has not recorded the parameters.

    A job on a cluster finishes without the snakemake that submitted it, and marks its outputs as complete. Snakemake
    has no record of the parameters behind such outputs, so a later change would go unnoticed.

    Args:
        outputs: Paths as Snakemake spells them. Directories stay, because each has a manifest, which is a file.
    """
    from snakemake.persistence.file import FilePersistence

    persistence = FilePersistence()
    files = {path: Path(path) for path in outputs if Path(path).is_file()}
    records = {path: persistence._read_record(path) for path in files}
    # Snakemake records the modification time of an output as the end of its job.
    unrecorded = [
        path for path, record in records.items() if not record or record.endtime != files[path].stat().st_mtime
    ]
    for path in unrecorded:
        files[path].unlink()
    if unrecorded:
        count = f"{len(unrecorded)} files" if len(unrecorded) > 1 else "1 file"
        print(
            f"Deleted {count} that jobs finished after their snakemake was killed, such as {unrecorded[0]}: "
            "there is no record of their parameters.",
            file=sys.stderr,
        )


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("python -m runtime.lock needs the directory of a study's results: results/<study>.")
    try:
        clean_up(Path.cwd(), Path(sys.argv[1]))
    except UserError as error:
        sys.exit(str(error))

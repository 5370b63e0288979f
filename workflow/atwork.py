"""Which snakemake is at work on a study's results: a lock that it holds while it lives.

Snakemake's own lock lies in its working directory, does not say whose it is, and stays when its holder is
killed. This one lies with the results, so it also holds for snakemakes of other clones and other machines, as
far as the file system knows of `flock` everywhere; and it ends with its holder, however that ends.
"""

import fcntl
import os
import platform
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from eigendrift.errors import UserError
from eigendrift.stores.files import FULL, make_directory

LOCK = Path("logs/snakemake.lock")
# Whoever only asks holds the lock for a moment, too.
TRIES = 10
PAUSE = 0.1


def hold(results: Path) -> int:
    """Take the lock of a study's results until this process ends.

    Args:
        results: Directory of the study.

    Returns:
        The open file, which nobody has to close.

    Raises:
        UserError: Another process holds it, or it may not be written.
    """
    path = results / LOCK
    try:
        make_directory(path.parent)
        # Jobs do not inherit it: what outlives a killed snakemake does not hold its lock.
        lock = os.open(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); make it writable.") from None
    for _ in range(TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        time.sleep(PAUSE)
    else:
        os.close(lock)
        raise UserError(refusal(results, holder(results) or "an unknown process"))
    try:
        os.ftruncate(lock, 0)
        os.write(lock, f"process {os.getpid()} on {platform.node()}, in {Path.cwd()}".encode())
    except OSError as error:
        # The lock holds without a name in it.
        if error.errno not in FULL:
            raise
    return lock


def holder(results: Path) -> str | None:
    """Return which process, where, holds the lock of a study's results; None if none does."""
    try:
        lock = os.open(results / LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(lock, 1 << 16).decode(errors="replace") or "an unknown process"
    finally:
        os.close(lock)
    return None


def check_writable(paths: Iterable[str]) -> None:
    """Check that what is to be made may be put where it belongs, and what lies there may be replaced.

    Args:
        paths: What is to be made.

    Raises:
        UserError: A directory may not be written.
    """
    # A large study has tens of thousands of outputs in few directories, which may be far away.
    there, writable = cache(_existing), cache(_is_writable)
    for path in (Path(path).absolute() for path in paths):
        parent = there(path.parent)
        replaced = [path] if parent == path.parent and path.is_dir() else []
        for directory in [parent, *replaced]:
            if not writable(directory):
                raise UserError(
                    f"{path} is to be made, but the directory {directory} may not be written, or its file "
                    "system is read-only; make it writable and run snakemake again."
                )


def _existing(directory: Path) -> Path:
    """Return a directory, or the nearest one above it that is there."""
    return next(place for place in (directory, *directory.parents) if place.exists())


def _is_writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK)


def refusal(results: Path, who: str) -> str:
    """Return what is said to a second snakemake."""
    return f"Another snakemake is at work on {results} ({who}); wait for it or end it, and do not unlock."

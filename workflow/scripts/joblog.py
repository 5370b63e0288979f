"""The log of a job, which may lie on a disk that is full."""

import logging
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def opened(path: str) -> Iterator[IO[str]]:
    """Open the log; that it does not fit on its disk does not decide how the job ends."""
    log = Path(path).open("w", encoding="utf-8", buffering=1)  # noqa: SIM115
    try:
        yield log
    finally:
        with suppress(OSError):
            log.close()


def repeat_if_lost(log: IO[str], error: object) -> None:
    """Tell the terminal what the log did not take."""
    try:
        log.flush()
    except OSError:
        print(error, file=sys.__stderr__)


def tell_whose(log: IO[str], error: BaseException) -> None:
    """Log an error that no user made, with a traceback; of one in a plug-in say where it is.

    Raises:
        SystemExit: It is one, and of no plug-in.
    """
    # Whoever has read plug-ins has imported it.
    reading = sys.modules.get("eigendrift.extensions.plugins")
    told = reading.told_of_plugin(error) if reading else None
    read = reading.files_read() if reading else []
    if isinstance(error, SystemExit) and not told:
        raise error
    whose = "in the code of a plug-in" if told else "and this is not the user's doing"
    if read and not told:
        whose += f", unless it is that of {' or '.join(read)}"
    logging.exception("The job failed, %s:", whose)
    if told:
        logging.error("%s", told)
        repeat_if_lost(log, told)


def resources_used() -> tuple[float, float]:
    """Return the processor time of this process, in seconds, and its largest memory, in MiB."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # Linux counts in KiB, macOS in bytes.
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)

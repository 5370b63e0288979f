"""The log of a job, which may lie on a disk that is full."""

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


def repeat_if_lost(log: IO[str], error: Exception) -> None:
    """Tell the terminal what the log did not take."""
    try:
        log.flush()
    except OSError:
        print(error, file=sys.__stderr__)

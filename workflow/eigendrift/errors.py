"""The exception for mistakes that a user can fix, and warnings that point to the user's code."""

import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

# Warnings skip the frames of these files; contextlib runs decorated functions.
_SKIPPED = (str(Path(__file__).parent), contextmanager.__code__.co_filename)


class UserError(Exception):
    """A mistake that the user can fix.

    The message is one sentence about what is wrong, where, and what to do. It is shown without a traceback.
    """


def first_line(error: Exception) -> str:
    """Return the type of an error and the first line of its message, to quote in a sentence."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


def warn(message: str) -> None:
    """Issue a warning that points to the line outside of this package that led here."""
    # Level 1 is the line of warnings.warn, and level 2 is the caller of this function.
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_SKIPPED):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)

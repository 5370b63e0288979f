"""The one exception for a user's mistakes, and warnings that point at the user's code."""

import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

# Code that stands between a warning and the user's line; contextlib runs what is decorated.
_PASSED_OVER = (str(Path(__file__).parent), contextmanager.__code__.co_filename)


class UserError(Exception):
    """A mistake that the user can fix.

    The message is one sentence that names the key, file or value, says what was expected, and what to do. It
    is shown as it is, without a traceback.
    """


def first_line(error: Exception) -> str:
    """Return the kind of an error and the first line of its message, to quote in a sentence."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


def warn(message: str) -> None:
    """Warn at the line outside of this package from which it was called."""
    # One is the line below, two this function's caller.
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PASSED_OVER):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)

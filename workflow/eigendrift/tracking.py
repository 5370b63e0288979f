"""Progress of long jobs: a bar on a terminal, and plain lines in the log."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 10.0


class Tracker:
    """Counts the steps of one job and shows them."""

    def __init__(self, bar: "tqdm[Any]", label: str, total: int) -> None:
        self._bar = bar
        self._label = label
        self._total = total
        self._last_line = time.monotonic()

    def reach(self, done: int, note: str = "") -> None:
        """Show that ``done`` steps are done; ``note`` is a short status such as the loss."""
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(done - self._bar.n)
        now = time.monotonic()
        if done == self._total or now - self._last_line >= SECONDS_BETWEEN_LINES:
            logger.info("%s: %d of %d %s", self._label, done, self._total, note)
            self._last_line = now


@contextmanager
def tracked(label: str, total: int, done: int = 0) -> Iterator[Tracker]:
    """Track a job of ``total`` steps, of which an interrupted job has finished ``done``.

    The bar goes to the terminal from which the process was started, if any, even if stderr is redirected.
    """
    terminal = sys.__stderr__
    hidden = terminal is None or not terminal.isatty()
    with tqdm(
        total=total, initial=done, desc=label, file=terminal, disable=hidden, leave=False, mininterval=0.5
    ) as bar:
        yield Tracker(bar, label, total)

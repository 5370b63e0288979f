"""How long a job spends on imports."""

import builtins
import time
from typing import Any


class ImportClock:
    """Stands in for the import statement and adds up the seconds that imports take."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._importing = False
        self._import = builtins.__import__

    def start(self) -> None:
        """Take the place of the import statement, for as long as the process lives."""
        builtins.__import__ = self

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Import a module."""
        # What a module imports in turn is part of its own import.
        if self._importing:
            return self._import(*arguments, **keywords)
        self._importing, start = True, time.perf_counter()
        try:
            return self._import(*arguments, **keywords)
        finally:
            self._importing = False
            self.seconds += time.perf_counter() - start

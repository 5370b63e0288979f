"""What every script begins with: the library on the path, messages in the rule's log."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from forkserver import hand_over
from importclock import ImportClock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


@contextmanager
def logged(path: str) -> Iterator[None]:
    """Send all messages to the log; end on a user's error with its sentence, without a traceback.

    The log's last line says how long the script worked without its imports: the rest of the seconds in a
    benchmark file is start-up.
    """
    hand_over()
    clock, start = ImportClock(), time.perf_counter()
    clock.start()
    from eigendrift.errors import UserError

    with (
        Path(path).open("w", encoding="utf-8", buffering=1) as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        logging.basicConfig(stream=log, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        logging.captureWarnings(True)
        try:
            yield
            logging.info("Worked for %.2f s", time.perf_counter() - start - clock.seconds)
        except UserError as error:
            logging.error("%s", error)
            sys.exit(1)
        except Exception:
            logging.exception("The job failed, and this is not the user's doing:")
            sys.exit(1)

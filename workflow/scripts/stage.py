"""What every script begins with: the library on the path, messages in the rule's log."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from importclock import ImportClock
from joblog import opened, repeat_if_lost, resources_used, tell_whose

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


@contextmanager
def logged(path: str) -> Iterator[None]:
    """Send all messages to the log; end on a user's error with its sentence, without a traceback.

    The log's last line says how long the script worked without its imports: the rest of the seconds in a
    benchmark file is start-up. It also says what processor time and memory it took, which Snakemake, who
    watches the process that it started, cannot tell of a fork.
    """
    from forkserver import hand_over

    hand_over()
    clock, start = ImportClock(), time.perf_counter()
    clock.start()
    from eigendrift.errors import UserError
    from unedited import guard_script

    with opened(path) as log, redirect_stdout(log), redirect_stderr(log):
        logging.basicConfig(stream=log, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        logging.captureWarnings(True)
        if "SLURM_JOB_ID" in os.environ:
            logging.info("This is SLURM job %s, on %s", os.environ["SLURM_JOB_ID"], os.uname().nodename)
        try:
            guard_script()
            yield
            logging.info(
                "Worked for %.2f s, in all %.2f s of processor time and %.0f MiB",
                time.perf_counter() - start - clock.seconds,
                *resources_used(),
            )
        except UserError as error:
            logging.error("%s", error)
            repeat_if_lost(log, error)
            sys.exit(1)
        except (Exception, SystemExit) as error:
            tell_whose(log, error)
            sys.exit(1)
        finally:
            logging.raiseExceptions = False  # what libraries log as the interpreter ends finds the log closed

"""The code that runs around each job: its log, its errors, and the check of its code."""

import builtins
import logging
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import IO, Any

from eigendrift.errors import UserError
from runtime import code_digest, forkserver


@contextmanager
def job(snakemake: Any) -> Iterator[Callable[[], None]]:
    """Run the work of a script: messages go to the rule's log, and a user's error ends it with one sentence.

    The last line of the log says how long the script worked without its imports, and how much processor time and memory
    it took. Snakemake cannot measure those, because the process may be a fork.

    Args:
        snakemake: The object that Snakemake gives to a script.

    Yields:
        A function to call before results are published. It raises UserError if the job's code was edited.
    """
    script = forkserver.script_name()
    forkserver.hand_over(script)
    imports, start = _ImportClock(), time.perf_counter()
    parameters = snakemake.params

    def verify_code() -> None:
        code_digest.verify(parameters.code, script, parameters.get("modules", ()), parameters.get("plugins", ()))

    with _opened(snakemake.log[0]) as log, redirect_stdout(log), redirect_stderr(log):
        logging.basicConfig(stream=log, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        logging.captureWarnings(True)
        if "SLURM_JOB_ID" in os.environ:
            logging.info("This is SLURM job %s on %s", os.environ["SLURM_JOB_ID"], os.uname().nodename)
        try:
            verify_code()
            yield verify_code
            logging.info(
                "Worked for %.2f s, in all %.2f s of processor time and %.0f MiB",
                time.perf_counter() - start - imports.seconds,
                *_resources_used(),
            )
        except UserError as error:
            _log_error(log, error)
            sys.exit(1)
        except (Exception, SystemExit) as error:
            _log_unexpected(log, error)
            sys.exit(1)
        finally:
            # Libraries log while the interpreter shuts down, after the log is closed.
            logging.raiseExceptions = False


class _ImportClock:
    """Replaces the import statement of this process, and adds up the seconds that imports take."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._importing = False
        self._import = builtins.__import__
        builtins.__import__ = self

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        # What a module imports in turn is part of its own import.
        if self._importing:
            return self._import(*arguments, **keywords)
        self._importing, start = True, time.perf_counter()
        try:
            return self._import(*arguments, **keywords)
        finally:
            self._importing = False
            self.seconds += time.perf_counter() - start


@contextmanager
def _opened(path: str) -> Iterator[IO[str]]:
    """Open the log. A disk that becomes full does not fail the job."""
    log = Path(path).open("w", encoding="utf-8", buffering=1)  # noqa: SIM115
    try:
        yield log
    finally:
        with suppress(OSError):
            log.close()


def _log_error(log: IO[str], error: object) -> None:
    """Log an error, and print it to the terminal if the log has no room."""
    logging.error("%s", error)
    try:
        log.flush()
    except OSError:
        print(error, file=sys.__stderr__)


def _log_unexpected(log: IO[str], error: BaseException) -> None:
    """Log an error that is not a user's mistake, with a traceback; name the plug-in if it is in one.

    Raises:
        SystemExit: If the error is one, and no plug-in raised it.
    """
    # Jobs that have loaded plug-ins have imported the module.
    plugins = sys.modules.get("eigendrift.extensions.plugins")
    sentence = plugins.error_in_plugin(error) if plugins else None
    loaded = plugins.files_read() if plugins else []
    if isinstance(error, SystemExit) and not sentence:
        raise error
    cause = "in the code of a plug-in" if sentence else "which is a bug in eigendrift"
    if loaded and not sentence:
        cause += f" or in {' or '.join(loaded)}"
    logging.exception("The job failed, %s:", cause)
    if sentence:
        _log_error(log, sentence)


def _resources_used() -> tuple[float, float]:
    """Return the processor time of this process, in seconds, and its peak memory, in MiB."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # Linux counts in KiB, macOS in bytes.
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)

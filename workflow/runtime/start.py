"""What snakemake does before its first job."""

import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from eigendrift.errors import UserError
from runtime import code_digest, forkserver, lock


def start(workflow: Any, results: Path, digests: Mapping[str, str]) -> None:
    """Check that outputs can be written, take the lock, record the code, and start the fork server.

    Args:
        workflow: Snakemake's workflow, its jobs planned.
        results: Directory of the study.
        digests: What `code_digest.digests_at_start` returned.

    Raises:
        UserError: If a directory is not writable, another snakemake works on the results, or the disk is full.
    """
    check_writable(path for job in workflow.dag.needrun_jobs() for path in [*job.output, *job.log])
    lock.acquire(results)
    code_digest.write_record(results, digests)
    if workflow.local_exec:
        # Snakemake's limit of jobs per second makes it examine all waiting jobs and the sizes of their inputs once for
        # each finished job, which keeps a core busy after some hundred jobs.
        workflow.scheduler.job_rate_limiter = None
        forkserver.start()


def check_writable(paths: Iterable[str]) -> None:
    """Check that outputs can be created, and existing ones replaced.

    Args:
        paths: The outputs.

    Raises:
        UserError: If a directory is not writable.
    """
    # A large study has tens of thousands of outputs in few directories, perhaps on a network file system.
    existing, writable = cache(_existing), cache(_is_writable)
    for path in (Path(path).absolute() for path in paths):
        parent = existing(path.parent)
        replaced = [path] if parent == path.parent and path.is_dir() else []
        for directory in [parent, *replaced]:
            if not writable(directory):
                raise UserError(
                    f"{path} cannot be created, because the directory {directory} is not writable or its file "
                    "system is read-only; make it writable and run snakemake again."
                )


def _existing(directory: Path) -> Path:
    """Return a directory, or its nearest parent that exists."""
    return next(place for place in (directory, *directory.parents) if place.exists())


def _is_writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK)

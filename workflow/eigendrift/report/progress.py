"""The progress of a study, read from the files of its jobs: logs, manifests and run times."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eigendrift.study.runs import all_runs, null_names, runs_of

# A line of `Tracker`: label, done, total, and a note such as "loss 0.12".
LINE = re.compile(r"INFO (?:train|eigenpairs|null) \S+: (\d+) of (\d+) ?(.*)$")
# Bytes read from the end of a log, which are several lines.
TAIL = 4096
# Jobs write a line every 10 s, except during one eigenpair of a large network.
SECONDS_UNTIL_QUIET = 60.0


@dataclass(frozen=True)
class Job:
    """One long job.

    Attributes:
        stage: ``train``, ``eigenpairs`` or ``null_model``.
        name: The run, or data set, network and null model.
        state: ``waiting``, ``running``, ``quiet`` (nothing written for a minute, or killed), ``failed`` or ``done``.
        done: Steps, checkpoints or draws done.
        total: Their total number; 0 if the job has not reported it yet.
        note: Its last note, such as the loss or λ1; if it failed, the path of its log.
        seconds: Its duration so far.
    """

    stage: str
    name: str
    state: str
    done: int = 0
    total: int = 0
    note: str = ""
    seconds: float = 0.0

    @property
    def share(self) -> float:
        """The share that is done, from 0 to 1."""
        if self.state == "done":
            return 1.0
        return self.done / self.total if self.total else 0.0


def jobs_of(config: Mapping[str, Any], results: Path, now: float | None = None) -> list[Job]:
    """Return all trainings, eigenpairs and null models of a study, with their progress.

    Args:
        config: The configuration, which has been checked.
        results: Directory of the study's results, ``results/<study>``, which need not exist yet.
        now: Seconds since the epoch; by default the current time.
    """
    moment = time.time() if now is None else now
    jobs = [
        _job(results, stage, run, results / "runs" / run / f"{store}.json", moment)
        for stage, store in (("train", "trajectory"), ("eigenpairs", "eigenpairs"))
        for run in all_runs(config)
    ]
    main = dict.fromkeys((run.dataset, run.model) for run in runs_of(config, "main"))
    nulls = [f"{dataset}/{model}/{null}" for dataset, model in main for null in null_names(config)]
    return jobs + [_job(results, "null_model", name, results / "null" / f"{name}.json", moment) for name in nulls]


def seconds_left(jobs: Sequence[Job]) -> tuple[float, bool]:
    """Estimate the remaining time of the jobs, with as many in parallel as now.

    The estimate takes the mean length of a stage's jobs that are done or running; running jobs are extrapolated.

    Returns:
        The estimate, in seconds, and whether it covers all stages; a stage that has not begun has no estimate.
    """
    left, at_once = 0.0, max(1, sum(job.state == "running" for job in jobs))
    known = True
    for stage in dict.fromkeys(job.stage for job in jobs):
        own = [job for job in jobs if job.stage == stage]
        lengths = [job.seconds / job.share for job in own if job.seconds and job.share]
        missing = sum(1 - job.share for job in own)
        if lengths:
            left += missing * sum(lengths) / len(lengths)
        known = known and (bool(lengths) or not missing)
    return left / at_once, known


def _job(results: Path, stage: str, name: str, manifest: Path, now: float) -> Job:
    log = results / "logs" / stage / f"{name}.log"
    text, started, written = _end_of(log)
    lines = [match for line in text.splitlines() if (match := LINE.search(line))]
    done, total, note = (int(lines[-1][1]), int(lines[-1][2]), lines[-1][3]) if lines else (0, 0, "")
    if manifest.exists():
        return Job(stage, name, "done", total or done, total, note, _seconds_taken(results, stage, name))
    if not text:
        return Job(stage, name, "waiting")
    if " ERROR " in text:
        return Job(stage, name, "failed", done, total, str(log))
    state = "running" if now - written < SECONDS_UNTIL_QUIET else "quiet"
    return Job(stage, name, state, done, total, note, max(0.0, now - started))


def _end_of(log: Path) -> tuple[str, float, float]:
    """Return the end of a log, and the times of its first and last line, in seconds since the epoch."""
    try:
        with log.open("rb") as file:
            first = file.readline(TAIL).decode(errors="replace")
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            text = file.read().decode(errors="replace")
            written = os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return "", 0.0, 0.0
    return text, _moment_of(first, written), written


def _moment_of(line: str, otherwise: float) -> float:
    try:
        return time.mktime(time.strptime(line[:19], "%Y-%m-%d %H:%M:%S"))
    except ValueError:
        return otherwise


def _seconds_taken(results: Path, stage: str, name: str) -> float:
    try:
        row = (results / "benchmarks" / stage / f"{name}.tsv").read_text().splitlines()[1]
        return float(row.split("\t")[0])
    except (FileNotFoundError, IndexError, ValueError):
        return 0.0

"""How far a study has come, from nothing but the files that its jobs leave: logs, manifests and run times."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eigendrift.study.nulls import null_names
from eigendrift.study.runs import all_runs, runs_of

# What `Tracker` writes: label, done, total, and a note such as "loss 0.12".
LINE = re.compile(r"INFO (?:train|eigenpairs|null) \S+: (\d+) of (\d+) ?(.*)$")
# Of a log no more than its end is read, which holds several lines.
TAIL = 4096
# Jobs write a line every 10 s, but for one eigenpair of a large network.
SECONDS_UNTIL_QUIET = 60.0
SECONDS_COLUMN = 0


@dataclass(frozen=True)
class Job:
    """One job that takes long.

    Attributes:
        stage: ``train``, ``eigenpairs`` or ``null_model``.
        name: The run, or data set, network and null model.
        state: ``waiting``, ``running``, ``quiet`` (nothing written for a minute, or killed), ``failed`` or
            ``done``.
        done: Steps, checkpoints or draws done.
        total: Of how many; 0 if it has not said so yet.
        note: What it said last of itself, such as the loss or λ1; the log of one that failed.
        seconds: How long it took, or has been running.
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
        """How much of it is done, from 0 to 1."""
        if self.state == "done":
            return 1.0
        return self.done / self.total if self.total else 0.0


def jobs_of(config: Mapping[str, Any], results: Path, now: float | None = None) -> list[Job]:
    """Look at all trainings, eigenpairs along them, and null models of a study.

    Args:
        config: The configuration, which has been checked.
        results: Directory of the study's results, ``results/<study>``, which need not be there yet.
        now: Seconds since the epoch; by default this moment.
    """
    moment = time.time() if now is None else now
    jobs = [
        _job(results, stage, run, results / "runs" / run / f"{store}.json", moment)
        for stage, store in (("train", "trajectory"), ("eigenpairs", "eigenpairs"))
        for run in all_runs(config)
    ]
    main = dict.fromkeys((run.dataset, run.model) for run in runs_of(config, "main"))
    nulls = [f"{dataset}/{model}/{null}" for dataset, model in main for null in null_names(config)]
    return jobs + [
        _job(results, "null_model", name, results / "null" / f"{name}.json", moment) for name in nulls
    ]


def seconds_left(jobs: Sequence[Job]) -> tuple[float, bool]:
    """Estimate how long the jobs will take yet, as many at once as run now.

    Jobs of a stage are taken to be as long as those of it that are done, or as those that run will be at
    their pace.

    Returns:
        The estimate, in seconds, and whether all stages are in it: of one that has not begun there is nothing
        to go by.
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
    """Return the end of a log, and when it was begun and last written to, in seconds since the epoch."""
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
        return float(row.split("\t")[SECONDS_COLUMN])
    except (FileNotFoundError, IndexError, ValueError):
        return 0.0

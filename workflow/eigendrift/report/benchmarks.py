"""Where the time goes: what Snakemake's benchmark files say of every job of a study, in one table."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from eigendrift.errors import UserError

# Names of ours, with units, for Snakemake's columns: https://snakemake.readthedocs.io, "Benchmark rules".
COLUMNS = {
    "s": "seconds",
    "cpu_time": "cpu_seconds",
    "max_rss": "peak_memory_mib",
    "io_in": "read_mib",
    "io_out": "written_mib",
}
WORKED = re.compile(r"INFO Worked for ([\d.]+) s$", re.M)
WILDCARD = re.compile(r"\{(\w+)\}")


def collect_benchmarks(patterns: Mapping[str, str], known: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Collect the benchmark files that are there.

    Args:
        patterns: Path of a rule's benchmark files, by the rule's name, with wildcards in braces.
        known: Values of wildcards that belong to the study; what other values left behind is not its own.

    Returns:
        One row for each job: its ``rule``, its wildcards (``job``), ``seconds`` from its start to its end,
        ``start_up_seconds``, the part of them before and between its work that went into starting Python and
        imports, NaN if the job's log does not tell, CPU seconds, and memory, reading and writing in MiB.

    Raises:
        UserError: There is no benchmark file at all.
    """
    rows = [
        {"rule": rule, "job": job, **_measured(path)}
        for rule, pattern in patterns.items()
        for job, path in _jobs(pattern, known)
    ]
    if not rows:
        raise UserError(
            f"There are no benchmark files such as {next(iter(patterns.values()))}; run the study again, or "
            "restore them."
        )
    return pd.DataFrame(rows)


def log_of(benchmark: Path) -> Path:
    """Return where the log of a job lies, given its benchmark file: both are named alike."""
    parts = ["logs" if part == "benchmarks" else part for part in benchmark.parts]
    return Path(*parts).with_suffix(".log")


def _jobs(pattern: str, known: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Path]]:
    """Yield wildcards, joined, and path of every benchmark file of a rule that belongs to the study."""
    names = WILDCARD.findall(pattern)
    shape = re.compile("(.+)".join(map(re.escape, WILDCARD.split(pattern)[::2])))
    # A wildcard may stand for several directories.
    for path in sorted(Path().glob(WILDCARD.sub("**/*", pattern))):
        if (found := shape.fullmatch(path.as_posix())) is None:
            continue
        values = dict(zip(names, found.groups(), strict=True))
        if all(value in known.get(name, [value]) for name, value in values.items()):
            yield "/".join(values.values()), path


def _measured(benchmark: Path) -> dict[str, Any]:
    columns = pd.read_csv(benchmark, sep="\t", na_values="-").iloc[0]
    measured = {ours: float(columns[theirs]) for theirs, ours in COLUMNS.items()}
    log = log_of(benchmark)
    worked = WORKED.search(log.read_text("utf-8")) if log.exists() else None
    start_up = max(0.0, measured["seconds"] - float(worked[1])) if worked else float("nan")
    return {"seconds": measured.pop("seconds"), "start_up_seconds": round(start_up, 2), **measured}

"""Run times: Snakemake's benchmark files of all jobs of a study, in one table."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from eigendrift.errors import UserError

# The last line of a job's log.
ACCOUNT = re.compile(r"INFO Worked for ([\d.]+) s, in all ([\d.]+) s of processor time and (\d+) MiB$", re.M)
WILDCARD = re.compile(r"\{(\w+)\}")


def collect_benchmarks(patterns: Mapping[str, str], known: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return a table of all benchmark files that exist.

    Args:
        patterns: Path of a rule's benchmark files, by the rule's name, with wildcards in braces.
        known: Values of wildcards that belong to the study; files with other values are left over from others.

    Returns:
        One row for each job: its ``rule``, its wildcards (``job``) and ``seconds`` from start to end, measured by
        Snakemake; and values from its log, NaN if the log has none: ``start_up_seconds``, the part of the seconds for
        starting Python and for imports, ``cpu_seconds`` and ``peak_memory_mib``. Snakemake's own columns of these two
        describe the process that it started, which does not do the work if jobs are forks of a server.

    Raises:
        UserError: If there is no benchmark file at all.
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
    """Return the path of a job's log, which is named like its benchmark file."""
    parts = ["logs" if part == "benchmarks" else part for part in benchmark.parts]
    return Path(*parts).with_suffix(".log")


def _jobs(pattern: str, known: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Path]]:
    """Yield joined wildcards and path of every benchmark file of a rule in the study."""
    names = WILDCARD.findall(pattern)
    shape = re.compile("(.+)".join(map(re.escape, WILDCARD.split(pattern)[::2])))
    # A wildcard may match several directories.
    for path in sorted(Path().glob(WILDCARD.sub("**/*", pattern))):
        if (found := shape.fullmatch(path.as_posix())) is None:
            continue
        values = dict(zip(names, found.groups(), strict=True))
        if all(value in known.get(name, [value]) for name, value in values.items()):
            yield "/".join(values.values()), path


def _measured(benchmark: Path) -> dict[str, float]:
    seconds = float(pd.read_csv(benchmark, sep="\t")["s"].iloc[0])
    log = log_of(benchmark)
    account = ACCOUNT.search(log.read_text("utf-8")) if log.exists() else None
    worked, cpu_seconds, memory = map(float, account.groups()) if account else [float("nan")] * 3
    return {
        "seconds": seconds,
        # The order matters: max(0.0, nan) is 0.
        "start_up_seconds": round(max(seconds - worked, 0.0), 2),
        "cpu_seconds": cpu_seconds,
        "peak_memory_mib": memory,
    }

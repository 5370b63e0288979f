"""Where the time goes: what Snakemake's benchmark files say of every job of a study, in one table."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from eigendrift.errors import UserError

# What a job says of itself at the end of its log.
ACCOUNT = re.compile(r"INFO Worked for ([\d.]+) s, in all ([\d.]+) s of processor time and (\d+) MiB$", re.M)
WILDCARD = re.compile(r"\{(\w+)\}")


def collect_benchmarks(patterns: Mapping[str, str], known: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Collect the benchmark files that are there.

    Args:
        patterns: Path of a rule's benchmark files, by the rule's name, with wildcards in braces.
        known: Values of wildcards that belong to the study; what other values left behind is not its own.

    Returns:
        One row for each job: its ``rule``, its wildcards (``job``) and ``seconds`` from its start to its end,
        which Snakemake measured; and what its log says, NaN if that does not tell: ``start_up_seconds``, the
        part of the seconds before and between its work that went into starting Python and imports,
        ``cpu_seconds`` and ``peak_memory_mib``. Snakemake's own columns of these two are of the process that
        it started, which is not the one that works where jobs are forks of a server.

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


def _measured(benchmark: Path) -> dict[str, float]:
    seconds = float(pd.read_csv(benchmark, sep="\t")["s"].iloc[0])
    log = log_of(benchmark)
    account = ACCOUNT.search(log.read_text("utf-8")) if log.exists() else None
    worked, cpu_seconds, memory = map(float, account.groups()) if account else [float("nan")] * 3
    return {
        "seconds": seconds,
        # Not max(0, …), which would take NaN for 0.
        "start_up_seconds": round(max(seconds - worked, 0.0), 2),
        "cpu_seconds": cpu_seconds,
        "peak_memory_mib": memory,
    }

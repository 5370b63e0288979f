"""How long a study would take, from the jobs of the same study with fewer steps, checkpoints and seeds.

`python docs/estimate.py results/paper-reduced workflow/studies/paper.yaml` prints the table of
docs/paper.md.
Training is proportional to steps, eigenpairs to checkpoints, metrics to pairs of checkpoints, null models to draws, and
to steps as well where each draw is a training; all else, and starting a job, is as long as it was. It holds for the
kind of processor that the jobs ran on.
"""

import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from eigendrift.study.runs import all_runs, null_settings  # noqa: E402
from runtime.configuration import merged  # noqa: E402

SEED = re.compile(r"/seed\d+$")
# By which power of which ratio of the two studies the work of a job grows.
GROWTH = {
    "train": ("steps", 1),
    "eigenpairs": ("checkpoints", 1),
    "wide_eigenpairs": ("wide_checkpoints", 1),
    "preconditioned_eigenpairs": ("checkpoints", 1),
    "metrics": ("checkpoints", 2),
    "preconditioned_metrics": ("checkpoints", 2),
    "wide_metrics": ("wide_checkpoints", 2),
}
# In those of the main experiment alone, if wide.
ONE_FOR_EACH_RUN = ("train", "eigenpairs", "metrics", "wide_eigenpairs", "wide_metrics")


def complete(study: Path) -> dict[str, Any]:
    """Return config.yaml with a study laid over it."""
    return merged([study])


def estimate(jobs: pd.DataFrame, measured: dict[str, Any], wanted: dict[str, Any]) -> pd.DataFrame:
    """Estimate a study.

    Args:
        jobs: benchmarks.csv of the measured study.
        measured: Its configuration.
        wanted: The configuration of the study that is estimated.

    Returns:
        For each rule ``jobs``, ``start_up_hours`` and ``hours`` of a core, start-up included, and the
        ``longest_minutes`` of one of its jobs, of several seeds the mean.

    Raises:
        SystemExit: A setting of the wanted study was not measured.
    """
    before, after = measured["training"], wanted["training"]
    ratios = {
        "steps": after["steps"] / before["steps"],
        "checkpoints": after["checkpoints"]["count"] / before["checkpoints"]["count"],
        "wide_checkpoints": _wide_checkpoints(wanted) / _wide_checkpoints(measured),
    }
    asked = Counter(SEED.sub("", directory) for directory in all_runs(wanted))
    settings = jobs["job"].str.replace(SEED, "", regex=True)
    if missing := asked.keys() - set(settings):
        sys.exit(f"None of the jobs at hand is of {min(missing)}; run a smaller study of the same settings.")
    rows = []
    for (rule, setting), group in jobs.groupby(["rule", settings]):
        count = len(group)
        if rule in ONE_FOR_EACH_RUN:
            count = asked[setting]
        elif rule.startswith("preconditioned_"):
            count = min(asked[setting], wanted["eigenpairs"]["preconditioned_seeds"])
        growth = _null_growth(setting, measured, wanted) if rule == "null_model" else _growth(rule, ratios)
        # In seconds of a core, because those of the clock depend on what else the machine did.
        share = group["start_up_seconds"].sum() / group["seconds"].sum()
        start_up = share * group["cpu_seconds"].mean()
        work = (1 - share) * group["cpu_seconds"].mean() * growth
        rows.append(
            {
                "rule": rule if rule in GROWTH or rule in ("null_model", "minimum") else "others",
                "jobs": count,
                "start_up_hours": count * start_up / 3600,
                "hours": count * (start_up + work) / 3600,
                "longest_minutes": (start_up + work) / 60,
            }
        )
    by_rule = pd.DataFrame(rows).groupby("rule", sort=False)
    table = by_rule.sum().assign(longest_minutes=by_rule["longest_minutes"].max())
    table = table.sort_values("hours", ascending=False)
    table.loc["all"] = table.sum()
    table.loc["all", "longest_minutes"] = table["longest_minutes"][:-1].max()
    return table.astype({"jobs": int})


def _growth(rule: str, ratios: dict[str, float]) -> float:
    name, power = GROWTH.get(rule, ("steps", 0))
    return ratios[name] ** power


def _null_growth(job: str, measured: dict[str, Any], wanted: dict[str, Any]) -> float:
    dataset, model, null = job.split("/")
    before, after = (null_settings(config, dataset, model, null) for config in (measured, wanted))
    growth: float = after["draws"] / before["draws"]
    if null == "shuffled_labels":
        growth *= wanted["training"]["steps"] / measured["training"]["steps"]
    return growth


def _wide_checkpoints(config: dict[str, Any]) -> int:
    intervals: int = config["training"]["checkpoints"]["count"] - 1
    every: int = config["eigenpairs"]["wide_every"]
    return intervals // every + 1


def main(results: Path, study: Path) -> None:
    """Print the table."""
    # A rule without wildcards has an empty job.
    jobs = pd.read_csv(results / "benchmarks.csv").fillna({"job": ""})
    measured = yaml.safe_load((results / "config.yaml").read_text("utf-8"))
    print("| rule | jobs | core hours | of them start-up |\n| --- | --- | --- | --- |")
    for rule, row in estimate(jobs, measured, complete(study)).iterrows():
        print(f"| {rule} | {row['jobs']:.0f} | {row['hours']:.2f} | {row['start_up_hours']:.2f} |")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

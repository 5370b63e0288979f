"""What studies take, for the table in docs/scale.md: jobs, core hours, bytes on disk.

`python docs/scale.py results/desk` prints it. The row of desk is measured: from its benchmarks.csv, which
`make report` writes, and from its files. With a second directory, results/paper-reduced, docs/estimate.py
computes the core hours of paper and of ten times its seeds, too. Jobs are those of a dry run.
"""

import copy
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "workflow")]

from docs.estimate import complete, estimate  # noqa: E402

from eigendrift.data.registry import DATASETS  # noqa: E402
from eigendrift.study.runs import Run, all_runs, parameters_of, runs_of  # noqa: E402
from eigendrift.study.subsets import parts_of  # noqa: E402

PROFILE = ROOT / "workflow/profiles/slurm/config.yaml"
PAPER = ROOT / "workflow/studies/paper.yaml"
FLOAT32 = 4
HEADER = (
    "| study | runs | jobs | core hours | of them jobs that ask for a GPU | GB of runs |\n"
    "| --- | --- | --- | --- | --- | --- |"
)


def tenfold(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the study with ten times as many seeds in every experiment."""
    larger = copy.deepcopy(dict(config))
    larger["study"] += "-tenfold"
    for experiment in larger["experiments"].values():
        experiment["seeds"] *= 10
    return larger


def bytes_of_runs(config: Mapping[str, Any]) -> int:
    """Compute what the runs take on disk.

    It counts whatever has an entry for each parameter, before compression; all else is small.
    """
    pairs, checkpoints = config["eigenpairs"], config["training"]["checkpoints"]["count"]
    wide = ((checkpoints - 1) // pairs["wide_every"] + 1) * pairs["wide_count"]
    main = {run.directory for run in runs_of(config, "main")}
    total = 0
    for run in all_runs(config).values():
        is_adam, is_main = run.optimizer == "adam", run.directory in main
        # Weights, gradient and update, of adam the second moment as well.
        vectors = checkpoints * (3 + is_adam + pairs["count"]) + is_main * wide
        if is_adam and is_main and run.seed < pairs["preconditioned_seeds"]:
            vectors += checkpoints * pairs["count"]
        total += FLOAT32 * vectors * _parameters(config, run)
    return total


def _parameters(config: Mapping[str, Any], run: Run) -> int:
    dataset = DATASETS[parts_of(run.dataset)[0]]
    widths = config["models"][run.model]["hidden_widths"]
    return parameters_of([prod(dataset.image_shape), *widths, dataset.classes])


def jobs_of(config: Mapping[str, Any]) -> int:
    """Count the jobs of a study that has not been run, by a dry run."""
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study.yaml"
        study.write_text(yaml.safe_dump({**config, "study": "counted"}))
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--configfile", str(study)]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if (found := re.search(r"^total +(\d+)$", result.stdout, re.M)) is None:
        sys.exit(f"Snakemake cannot plan the study:\n{result.stdout}{result.stderr}")
    return int(found[1]) - 1  # all is no job


def on_gpu() -> list[str]:
    """Return the rules that ask for a GPU on a cluster."""
    asked = yaml.safe_load(PROFILE.read_text("utf-8"))["set-resources"]
    return [rule for rule, resources in asked.items() if resources.get("gpu")]


def row(name: str, config: Mapping[str, Any], jobs: int, hours: "pd.Series[float] | None", size: int) -> str:
    """Return one row of the table, given the core hours of each rule, if they are known."""
    of_all = "not known" if hours is None else f"{hours.sum():.1f}"
    of_gpu = "not known" if hours is None else f"{hours.reindex(on_gpu(), fill_value=0).sum():.1f}"
    return f"| {name} | {len(all_runs(config))} | {jobs:,} | {of_all} | {of_gpu} | {size / 1e9:.1f} |"


def measured(results: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return benchmarks.csv and the configuration of a study that has been run."""
    # A rule is called null.
    jobs = pd.read_csv(results / "benchmarks.csv", keep_default_na=False, na_values={"start_up_seconds": ""})
    return jobs, yaml.safe_load((results / "config.yaml").read_text("utf-8"))


def main(desk: Path, reduced: Path | None = None) -> None:
    """Print the table."""
    jobs, config = measured(desk)
    hours = jobs.groupby("rule")["cpu_seconds"].sum() / 3600
    size = sum(path.stat().st_size for path in (desk / "runs").rglob("*") if path.is_file())
    print(HEADER)
    print(row("`desk`, measured", config, len(jobs), hours, size))
    paper = complete(PAPER)
    for name, wanted in (("`paper`", paper), ("`paper` with ten times the seeds", tenfold(paper))):
        hours = None if reduced is None else estimate(*measured(reduced), wanted)["hours"].drop("all")
        print(row(f"{name}, computed", wanted, jobs_of(wanted), hours, bytes_of_runs(wanted)))
    print(f"\nBy the same computation the runs of desk take {bytes_of_runs(config) / 1e9:.1f} GB.")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

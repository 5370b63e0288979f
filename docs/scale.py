"""What studies take, for docs/scale.md: jobs, core hours, bytes on disk.

`python docs/scale.py results/desk results/paper-reduced` prints it. The row of desk is measured: from its
benchmarks.csv, which `make report` writes, and from its files. Of paper, and of ten times its seeds, docs/estimate.py
computes the core hours from paper-reduced. Jobs are those of a dry run.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from math import lcm
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "workflow")]

from docs.estimate import complete, estimate  # noqa: E402

from eigendrift.data.datasets import DATASETS  # noqa: E402
from eigendrift.study.captions import parameters_on  # noqa: E402
from eigendrift.study.runs import (  # noqa: E402
    Run,
    all_runs,
    null_names,
    null_settings,
    parts_of,
    runs_of,
)
from eigendrift.training.optimizers import OPTIMIZERS  # noqa: E402
from runtime.configuration import merged  # noqa: E402

PROFILE = ROOT / "workflow/profiles/slurm/config.yaml"
PAPER = ROOT / "workflow/studies/paper.yaml"
TENFOLD = ROOT / "docs/tenfold.yaml"
FLOAT32 = 4
HEADER = (
    "| study | runs | jobs | core hours | of them jobs that ask for a GPU | GB on disk |\n"
    "| --- | --- | --- | --- | --- | --- |"
)


def thrifty(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the study with as few eigenvectors on disk as it can do with, in float16."""
    count, checkpoints = config["eigenpairs"]["count"], config["training"]["checkpoints"]["count"]
    return {**config, "storage": {"ranks": count, "every": checkpoints - 1, "dtype": "float16"}}


def bytes_of(config: Mapping[str, Any]) -> int:
    """Compute what runs and null models take on disk when all is measured.

    It counts whatever has an entry for each parameter, before compression; all else is small.
    """
    return sum(_bytes_of_run(config, run) for run in all_runs(config).values()) + _bytes_of_nulls(config)


def _bytes_of_run(config: Mapping[str, Any], run: Run) -> int:
    pairs, checkpoints = config["eigenpairs"], config["training"]["checkpoints"]["count"]
    is_adaptive = OPTIMIZERS[run.optimizer].second_moment is not None
    is_main = run in runs_of(config, "main")
    is_preconditioned = is_adaptive and is_main and run.seed < pairs["preconditioned_seeds"]
    eigenvectors = _kept(config, pairs["count"], 1) * (1 + is_preconditioned)
    eigenvectors += is_main * _kept(config, pairs["wide_count"], pairs["wide_every"])
    # Weights, gradient and update, of adaptive optimizers the second moment as well.
    trajectory = checkpoints * (3 + is_adaptive)
    size = np.dtype(config["storage"]["dtype"]).itemsize
    return (FLOAT32 * trajectory + size * eigenvectors) * _parameters(config, run.dataset, run.model)


def _kept(config: Mapping[str, Any], count: int, every: int) -> int:
    """Count the eigenvectors that stay of a run that has so many at every so manieth checkpoint."""
    storage, intervals = config["storage"], config["training"]["checkpoints"]["count"] - 1
    ranks = count if storage["ranks"] == "all" else min(count, storage["ranks"])
    return ranks * (intervals // lcm(every, storage["every"]) + 1)


def _bytes_of_nulls(config: Mapping[str, Any]) -> int:
    main = {(run.dataset, run.model) for run in runs_of(config, "main")}
    total = 0
    for place in dict.fromkeys((run.dataset, run.model) for run in all_runs(config).values()):
        for null in null_names(config) if place in main else [config["figures"]["null_model"]]:
            settings = null_settings(config, *place, null)
            total += settings["draws"] * settings["eigenpairs"]["count"] * _parameters(config, *place)
    return FLOAT32 * total


def _parameters(config: Mapping[str, Any], dataset: str, model: str) -> int:
    parameters = parameters_on(config, model, DATASETS[parts_of(dataset)[0]])
    if parameters is None:
        sys.exit(f"The kind of the network '{model}' does not tell its parameters, so its bytes are not known.")
    return parameters


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


def row(name: str, config: Mapping[str, Any], jobs: int, hours: "pd.Series[float]", size: int) -> str:
    """Return one row of the table, given the core hours of each rule."""
    of_gpu = hours.reindex(on_gpu(), fill_value=0).sum()
    runs = len(all_runs(config))
    return f"| {name} | {runs} | {jobs:,} | {hours.sum():.1f} | {of_gpu:.1f} | {size / 1e9:.1f} |"


def measured(results: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return benchmarks.csv and the configuration of a study that has been run."""
    # A rule without wildcards has an empty job.
    jobs = pd.read_csv(results / "benchmarks.csv").fillna({"job": ""})
    return jobs, yaml.safe_load((results / "config.yaml").read_text("utf-8"))


def core_hours(jobs: pd.DataFrame) -> "pd.Series[float]":
    """Return the core hours that the jobs of each rule took."""
    return jobs.groupby("rule")["cpu_seconds"].sum() / 3600


def bytes_on_disk(results: Path) -> int:
    """Return the size of the files of all runs and null models."""
    files = (path for part in ("runs", "null") for path in (results / part).rglob("*"))
    return sum(path.stat().st_size for path in files if path.is_file())


def main(desk: Path, reduced: Path) -> None:
    """Print the table, and what stands below it."""
    jobs, config = measured(desk)
    print(HEADER)
    print(row("`desk`, measured", config, len(jobs), core_hours(jobs), bytes_on_disk(desk)))
    tenfold = merged([PAPER, TENFOLD])
    studies = {"`paper`": complete(PAPER), "`paper` with ten times the seeds": tenfold}
    longest = {}
    for name, study in studies.items():
        times = estimate(*measured(reduced), study).drop("all")
        print(row(f"{name}, computed", study, jobs_of(study), times["hours"], bytes_of(study)))
        longest[name] = times["longest_minutes"].round(1)
    print()
    for name, minutes in longest.items():
        listed = ", ".join(f"{rule} {time}" for rule, time in minutes.items())
        print(f"Longest jobs of {name}, in minutes: {listed}")
    for name, study in {"`desk`": complete(ROOT / "config.yaml"), **studies}.items():
        whole, least = bytes_of(study) / 1e9, bytes_of(thrifty(study)) / 1e9
        print(f"By computation {name} takes {whole:.1f} GB, with the least storage {least:.1f} GB.")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

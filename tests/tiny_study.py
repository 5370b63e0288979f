"""What the tests that harm the tiny study know of it."""

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

TINY = "tests/tiny.yaml"
RESULTS = Path("results/tiny")
# The rules of each stage, as patterns, from the first to the last.
STAGES = {
    "data": "data",
    "train": "train",
    "eigenpairs": "(wide_|preconditioned_)?eigenpairs",
    "null_model": "null_model",
    "minimum": "minimum",
    "metrics": "(wide_|preconditioned_)?metrics",
    "baseline": "baseline",
    "validation": "validation",
    "claims": "claims|regimes",
    "figures": r"(fig|ext)0[1-3]",
    "report": "claims_page|configuration",
}
# What tells how a computation went, and not what came out.
TOLD = re.compile(r"/(logs|benchmarks)/|/benchmarks\.csv|/ext09_run_times\.|/\.snakemake_timestamp$")


def contents(clone, below=RESULTS):
    """All that came out below a path, or as the file that it is, by path."""
    place = clone.path / below
    return {
        str(path.relative_to(clone.path)): path.read_bytes()
        for path in [place, *place.rglob("*")]
        if path.is_file() and not TOLD.search(str(path))
    }


def outputs_of(stage: str, made, seed: int = 0) -> list[str]:
    """What a stage makes; of stages of many jobs that of three, which are drawn."""
    of_stage = [path for path, one in made.items() if re.fullmatch(STAGES[stage], one.rule)]
    jobs = sorted({path.rpartition(".")[0] for path in of_stage})
    if len(jobs) > 4:
        dice = np.random.default_rng(seed)
        jobs = [jobs[index] for index in dice.choice(len(jobs), 3, replace=False)]
    return sorted(path for path in of_stage if path.rpartition(".")[0] in jobs)


def delete(clone, paths: list[str]) -> None:
    for path in paths:
        shutil.rmtree(clone.path / path, ignore_errors=True)
        (clone.path / path).unlink(missing_ok=True)


def processes_of(clone) -> Iterator[psutil.Process]:
    """All that is at work in a copy of the repository."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(clone.path):
                yield process

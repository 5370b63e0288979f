"""The study behind the rerun table, with every optimizer, both kinds of networks and a plug-in metric.

Nothing is computed. Snakemake decides from names, inputs and settings whether to recreate an output, not from the
output's content. Empty outputs are therefore enough; `snakemake --touch` marks them as complete.
"""

from pathlib import Path
from typing import Any

import yaml
from clone import Clone, Output, copy_repository
from tiny_study import TINY

PLUGIN = "examples/entropy.py"
# Settings that this study adds to the tiny study.
LAID_OVER: dict[str, Any] = {
    "study": "planned",
    "plugins": [PLUGIN],
    "experiments": {
        "main": {"optimizers": ["sgd", "adam", "adamw", "rmsprop", "sam", "muon"]},
        "batch_sizes": {"optimizers": ["sgd", "momentum", "adam"]},
        "training_sizes": {"model": "cnn-2"},
    },
    "optimizers": {
        "adamw": {
            "learning_rate": 0.001,
            "beta1": 0.9,
            "beta2": 0.999,
            "epsilon": 1e-8,
            "weight_decay": 0.01,
        },
        "rmsprop": {"learning_rate": 0.001, "beta2": 0.99, "epsilon": 1e-8},
        "sam": {"learning_rate": 0.005, "momentum": 0.9, "radius": 0.05},
        "muon": {"learning_rate": 0.02, "momentum": 0.95, "weight_decay": 0.1},
    },
    "models": {
        "cnn-2": {
            "kind": "cnn",
            "channels": [2],
            "kernel_size": 3,
            "activation": "relu",
            "initialization": "glorot_uniform",
        }
    },
    "null_models": {"draws": {"permuted": 14, "shuffled_labels": 14}},
}


def overlay(key: str, value: object) -> dict[str, Any]:
    for name in reversed(key.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return one configuration merged into another, as Snakemake merges them."""
    both = {
        key: merged(below[key], value)
        for key, value in above.items()
        if isinstance(value, dict) and isinstance(below.get(key), dict)
    }
    return below | above | both


def dry_run(clone: Clone, content: dict[str, Any]) -> dict[str, Output]:
    """Return all outputs of the study with further settings, by path."""
    study = (TINY, written_down(clone, merged(LAID_OVER, content)))
    return clone.outputs("reported", study=study)


def written_down(clone: Clone, content: dict[str, Any]) -> Path:
    """Write settings that change the tiny study to a file, and return its path."""
    file = clone.path / "laid-over.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def planned(place: Path) -> Clone:
    """Return a copy of the repository with empty results, which Snakemake accepts as the results of this study."""
    clone = copy_repository(place)
    for path in map(clone.path.joinpath, dry_run(clone, {})):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".zarr":
            path.mkdir()
        else:
            path.touch()
    # Without --no-hooks, Snakemake would show the verdicts, but their file is empty.
    result = clone.snakemake(
        "--touch", "--forceall", "--no-hooks", "reported", study=(TINY, written_down(clone, LAID_OVER))
    )
    assert result.returncode == 0, result.stdout
    return clone

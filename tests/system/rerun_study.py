"""The study of the rerun table, with every optimizer, both kinds of networks and a metric of a plug-in.

Nothing of it is computed. Whether Snakemake makes something again depends on names, on what they were made
from and on which settings, not on what results hold: empty ones do, which `snakemake --touch` takes for made.
"""

from pathlib import Path
from typing import Any

import yaml
from clone import Clone, Output, copy_repository, read_summary
from many_snakemakes import run_each
from tiny_study import TINY

PLUGIN = "examples/entropy.py"
# What the tiny study, over which it is laid, has not.
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
    """Lay one configuration over another, as Snakemake does."""
    both = {
        key: merged(below[key], value)
        for key, value in above.items()
        if isinstance(value, dict) and isinstance(below.get(key), dict)
    }
    return below | above | both


def dry_runs(clone: Clone, overlays: list[dict[str, Any]]) -> list[dict[str, Output]]:
    """Everything that the study makes with something laid over it, and what of it would be made."""
    files = [
        written_down(clone, merged(LAID_OVER, content), number) for number, content in enumerate(overlays)
    ]
    commands = [["--configfile", TINY, str(file), "--detailed-summary", "reported"] for file in files]
    found = []
    for content, (_, text) in zip(overlays, run_each(commands, clone.path, files[0].parent), strict=True):
        assert "output_file" in text, (content, text)
        found.append(read_summary(text))
    return found


def written_down(clone: Clone, content: dict[str, Any], number: int = 0) -> Path:
    """Write down what is laid over the tiny study."""
    file = clone.path / f".dry-runs/{number}.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump(content))
    return file


def planned(place: Path) -> Clone:
    """Copy the repository, with empty results that Snakemake takes for made of this study."""
    clone = copy_repository(place)
    (outputs,) = dry_runs(clone, [{}])
    for path in map(clone.path.joinpath, outputs):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".zarr":
            path.mkdir()
        else:
            path.touch()
    # Without --no-hooks it would show the verdicts, which are empty.
    result = clone.snakemake(
        "--touch", "--forceall", "--no-hooks", "reported", study=(TINY, written_down(clone, LAID_OVER))
    )
    assert result.returncode == 0, result.stdout
    return clone

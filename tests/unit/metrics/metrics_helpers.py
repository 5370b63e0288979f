"""Small metrics and baseline stores."""

from pathlib import Path
from typing import Any

import numpy as np

from eigendrift.stores.arrays import STORES
from eigendrift.stores.writing import write_store

SIZES = {"checkpoint": 4, "waiting": 4, "rank": 2, "layer": 2, "draw": 3, "pair": 3}

SHAPES = [[2, 2], [2], [1, 2], [1]]


def columns(kind: str, value: float, interval: int = 10) -> dict[str, np.ndarray]:
    """The arrays of a store in which every measurement is ``value``, at every ``interval``-th step."""
    filled = {
        spec.name: np.full([SIZES[dim] for dim in spec.dims], value, spec.dtype)
        for spec in STORES[kind].arrays
    }
    known = {
        "step": interval * np.arange(4),
        "rank": np.arange(1, 3),
        "layer": np.arange(1, 3),
        "draw": np.arange(3),
        "optimizer": np.full(3, -1),
        # Draws that are equal in everything would be copies.
        "top_share": np.arange(6.0).reshape(3, 2) if kind == "baseline" else np.full((4, 2), float(value)),
    }
    return filled | {name: values for name, values in known.items() if name in filled}


def write_run(
    path: Path,
    value: float = 0,
    *,
    seed: int = 0,
    dataset: str = "digits",
    optimizer: str = "sgd",
    batch_size: int | str = 64,
    learning_rate: float = 0.05,
    interval: int = 10,
    **summary: Any,
) -> Path:
    """Write metrics in which every measurement is ``value``, except one that differs by seed."""
    training = {
        "dataset": dataset,
        "optimizer": {"name": optimizer, "learning_rate": learning_rate},
        "batch_size": batch_size,
        "seed": seed,
    }
    summary = {"diverged_at": None, "unconverged": 0, "parameters": 9, "shapes": SHAPES} | summary
    measured = columns("metrics", value, interval)
    measured["weight_displacement"][0, 0] += seed
    write_store(path, "metrics", measured, {"training": training}, summary)
    return path


def write_baseline(path: Path, dataset: str = "digits", null_model: str = "isotropic") -> Path:
    """Write the baseline of a null model in which every measurement is 1."""
    write_store(path, "baseline", columns("baseline", 1), {"dataset": dataset, "null_model": null_model})
    return path

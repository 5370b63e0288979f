"""Small stores, trajectories and eigenpairs."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from eigendrift.metrics.measure import COPIED
from eigendrift.stores.arrays import STORES
from eigendrift.stores.writing import write_store

SIZES = {"checkpoint": 4, "waiting": 4, "rank": 2, "layer": 2, "draw": 3, "pair": 3}

SHAPES = [[2, 2], [2], [1, 2], [1]]


def columns(kind: str, value: float, interval: int = 10) -> dict[str, np.ndarray]:
    """The arrays of a store in which every measurement is ``value``, at every ``interval``-th step."""
    filled = {spec.name: np.full([SIZES[dim] for dim in spec.dims], value, spec.dtype) for spec in STORES[kind].arrays}
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


def walk(checkpoints: int, parameters: int) -> np.ndarray:
    """Weights whose changes are small relative to their size, float32 (checkpoint, parameter)."""
    random = np.random.default_rng(0)
    start = 1000 * random.normal(size=parameters)
    return (start + 0.01 * random.normal(size=(checkpoints, parameters)).cumsum(0)).astype(np.float32)


def orthonormal(records: int, ranks: int, parameters: int, seed: int) -> np.ndarray:
    """Orthonormal rows for each record, float64 (record, rank, parameter)."""
    normal = np.random.default_rng(seed).normal(size=(records, parameters, ranks))
    return np.linalg.qr(normal)[0].swapaxes(1, 2).copy()


def parameters_in(shapes: list[list[int]]) -> int:
    return sum(int(np.prod(shape)) for shape in shapes)


def trajectory_of(shapes: list[list[int]], checkpoints: int) -> xr.Dataset:
    """Random weights, gradients, updates and losses."""
    random = np.random.default_rng(2)
    shape = (checkpoints, parameters_in(shapes))
    vectors = {
        name: (("checkpoint", "parameter"), random.normal(size=shape).astype(np.float32))
        for name in ("weights", "gradient", "update")
    }
    scalars = {name: ("checkpoint", random.random(checkpoints)) for name in COPIED[1:]}
    step = {"step": ("checkpoint", 10 * np.arange(checkpoints))}
    return xr.Dataset(vectors | scalars, step, {"summary": {"diverged_at": None}})


def eigenpairs_of(shapes: list[list[int]], checkpoints: int, seed: int, ranks: int = 2) -> xr.Dataset:
    """Random eigenpairs, all of them converged."""
    random = np.random.default_rng(seed)
    pair = ("checkpoint", "rank")
    vectors = orthonormal(checkpoints, ranks, parameters_in(shapes), seed).astype(np.float32)
    return xr.Dataset(
        {
            "gap": (pair, random.random((checkpoints, ranks))),
            "eigenvector": ((*pair, "parameter"), vectors),
            "eigenvalue": (pair, random.random((checkpoints, ranks))),
            "converged": (pair, np.ones((checkpoints, ranks), bool)),
        },
        {"step": ("checkpoint", 10 * np.arange(checkpoints)), "rank": np.arange(1, ranks + 1)},
        {"summary": {"shapes": shapes}},
    )


def draws_of(shapes: list[list[int]], optimizers: list[int], seed: int, ranks: int) -> xr.Dataset:
    """Random draws of a null model, all of them converged."""
    pairs = eigenpairs_of(shapes, len(optimizers), seed, ranks).rename(checkpoint="draw").drop_vars("step")
    return pairs.assign(optimizer=("draw", np.array(optimizers))).assign_coords(draw=range(len(optimizers)))

"""Small stores of every kind."""

from typing import Any

import numpy as np

from eigendrift.stores.arrays import STORES, ArraySpec

SIZES = {
    "checkpoint": 4,
    "waiting": 4,
    "draw": 3,
    "pair": 3,
    "rank": 2,
    "layer": 3,
    "parameter": 11,
    "train_sample": 6,
    "test_sample": 5,
    "row": 2,
    "column": 3,
    "seed": 2,
    "point": 5,
}


def column(spec: ArraySpec, generator: np.random.Generator) -> np.ndarray:
    shape = tuple(SIZES[dim] for dim in spec.dims)
    if spec.dtype == "bool":
        return generator.random(shape) < 0.5
    return generator.normal(0, 100, shape).astype(spec.dtype)


def columns_of(kind: str, seed: int = 0) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    return {spec.name: column(spec, generator) for spec in STORES[kind].arrays}

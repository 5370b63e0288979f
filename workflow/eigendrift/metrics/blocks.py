"""Arrays that metrics are of: their axes, and long ones a block of parameters at a time."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

# Parameters in float64 at a time: a float64 copy of a whole trajectory would not fit into memory.
BLOCK = 2**14


def with_axes(values: ArrayLike, *axes: str) -> np.ndarray:
    """Return values, such as an array or a tensor on the CPU, as an array, after a look at its axes.

    Raises:
        ValueError: They are more or fewer.
    """
    array = np.asarray(values)
    if array.ndim != len(axes):
        raise ValueError(f"an array of shape {array.shape} was given, expected ({', '.join(axes)})")
    return array


def blocks(vectors: np.ndarray) -> Iterator[np.ndarray]:
    """Cut (…, parameter) along its last axis into float64 blocks."""
    for start in range(0, vectors.shape[-1], BLOCK):
        yield vectors[..., start : start + BLOCK].astype(np.float64)

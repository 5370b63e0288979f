"""Arrays that metrics are of: their axes, and long ones a block of parameters at a time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# Parameters in float64 at a time: a float64 copy of a whole trajectory would not fit into memory.
BLOCK = 2**14


# Fourth powers of float64 numbers over- or underflow beyond 2^±255.
SAFE_EXPONENT = 200


def as_array(values: ArrayLike) -> np.ndarray:
    """Return values as an array; tensors may be on any device, of any precision, and part of a graph."""
    if not hasattr(values, "detach"):
        return np.asarray(values)
    tensor: Any = values.detach().cpu()
    is_half = tensor.is_floating_point() and tensor.element_size() < np.dtype(np.float32).itemsize
    return np.asarray(tensor.float() if is_half else tensor)


def with_axes(values: ArrayLike, *axes: str) -> np.ndarray:
    """Return values as an array, after a look at its axes.

    Raises:
        ValueError: If they are more or fewer.
    """
    array = as_array(values)
    if array.ndim != len(axes):
        raise ValueError(f"an array of shape {array.shape} was given, expected ({', '.join(axes)})")
    return array


def at_safe_scale(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (…, parameter) times powers of two, so that fourth powers of entries can be added up.

    It is for what does not depend on the length of vectors. Where no entry is beyond 2^±200 nothing changes.
    """
    if vectors.dtype != np.float64 or not vectors.size:
        return vectors
    _, exponents = np.frexp(np.abs(vectors).max(-1, keepdims=True))
    unsafe = np.abs(exponents) > SAFE_EXPONENT
    return np.ldexp(vectors, np.where(unsafe, -exponents, 0)) if unsafe.any() else vectors


def blocks(vectors: np.ndarray) -> Iterator[np.ndarray]:
    """Cut (…, parameter) along its last axis into float64 blocks."""
    for start in range(0, vectors.shape[-1], BLOCK):
        yield vectors[..., start : start + BLOCK].astype(np.float64)

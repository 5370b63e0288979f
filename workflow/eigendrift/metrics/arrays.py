"""Array helpers of the metrics: axes, scale, blocks of parameters, and logarithms."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

# Number of parameters that are converted to float64 at once; a whole trajectory would not fit into memory.
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
    """Return values as an array with the given axes.

    Raises:
        ValueError: If the array has more or fewer axes.
    """
    array = as_array(values)
    if array.ndim != len(axes):
        raise ValueError(f"an array of shape {array.shape} was given, expected ({', '.join(axes)})")
    return array


def at_safe_scale(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (…, parameter), scaled by powers of two so that sums of fourth powers are finite.

    This is for metrics that do not depend on the length of vectors. Vectors whose entries are all within 2^±200 do not
    change.
    """
    if vectors.dtype != np.float64 or not vectors.size:
        return vectors
    _, exponents = np.frexp(np.abs(vectors).max(-1, keepdims=True))
    unsafe = np.abs(exponents) > SAFE_EXPONENT
    return np.ldexp(vectors, np.where(unsafe, -exponents, 0)) if unsafe.any() else vectors


def blocks(vectors: np.ndarray) -> Iterator[np.ndarray]:
    """Yield float64 blocks of (…, parameter), cut along the last axis."""
    for start in range(0, vectors.shape[-1], BLOCK):
        yield vectors[..., start : start + BLOCK].astype(np.float64)


def log10(values: xr.DataArray) -> xr.DataArray:
    """Return the decimal logarithm of positive values, NaN elsewhere, as for a negative eigenvalue."""
    return xr.apply_ufunc(np.log10, values.where(values > 0))  # type: ignore[no-any-return]

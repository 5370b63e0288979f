"""Long vectors, a block of parameters at a time."""

from collections.abc import Iterator

import numpy as np

# Parameters in float64 at a time: a float64 copy of a whole trajectory would not fit into memory.
BLOCK = 2**14


def blocks(vectors: np.ndarray) -> Iterator[np.ndarray]:
    """Cut (…, parameter) along its last axis into float64 blocks."""
    for start in range(0, vectors.shape[-1], BLOCK):
        yield vectors[..., start : start + BLOCK].astype(np.float64)

"""How a direction of motion lies to the leading eigenvectors."""

import numpy as np


def alignment(directions: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return ⟨g/|g|, v_i⟩, signed; the sign of an eigenvector is arbitrary.

    Args:
        directions: (checkpoint, parameter), such as gradients or updates; a zero vector has no direction.
        vectors: (checkpoint, rank, parameter), unit eigenvectors.

    Returns:
        float64 (checkpoint, rank), from −1 to 1; NaN where there is no direction.
    """
    result = np.full(vectors.shape[:2], np.nan)
    for index, (direction, eigenvectors) in enumerate(zip(directions, vectors, strict=True)):
        wide = direction.astype(np.float64)
        if (norm := np.linalg.norm(wide)) > 0:
            result[index] = eigenvectors.astype(np.float64) @ wide / norm
    return result

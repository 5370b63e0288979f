"""How a direction of motion lies to the leading eigenvectors."""

import numpy as np


def alignment(directions: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return ⟨g/|g|, v_i⟩, signed; the sign of an eigenvector is arbitrary.

    Args:
        directions: (checkpoint, parameter), such as gradients or updates; a zero vector has no direction.
        vectors: (checkpoint, rank, parameter), eigenvectors, normalized anew; NaN where undefined.

    Returns:
        float64 (checkpoint, rank), from −1 to 1; NaN where there is no direction or eigenvector.
    """
    result = np.full(vectors.shape[:2], np.nan)
    for index, (direction, eigenvectors) in enumerate(zip(directions, vectors, strict=True)):
        wide, frame = direction.astype(np.float64), eigenvectors.astype(np.float64)
        if (norm := np.linalg.norm(wide)) > 0:
            result[index] = frame @ wide / (np.linalg.norm(frame, axis=1) * norm)
    return np.asarray(np.clip(result, -1, 1))

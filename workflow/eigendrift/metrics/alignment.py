"""Alignment of gradients, updates and weight changes with the leading eigenvectors."""

import numpy as np
from numpy.typing import ArrayLike

from eigendrift.metrics.arrays import at_safe_scale, blocks, with_axes


@np.errstate(all="ignore")
def alignment(directions: ArrayLike, vectors: ArrayLike) -> np.ndarray:
    """Return ⟨g/|g|, v_i⟩, signed; the sign of an eigenvector is arbitrary.

    Args:
        directions: (checkpoint, parameter), such as gradients or updates; a zero vector has no direction.
        vectors: (checkpoint, rank, parameter), eigenvectors, of any length; NaN where undefined.

    Returns:
        float64 (checkpoint, rank), from −1 to 1; NaN where there is no direction or eigenvector.

    Raises:
        ValueError: If axes are missing, or if the shapes of the two arguments do not match.

    >>> alignment(np.array([[3, 4]]), np.array([[[1, 0], [0, 1]]]))
    array([[0.6, 0.8]])
    """
    motions = with_axes(directions, "checkpoint", "parameter")
    frames = with_axes(vectors, "checkpoint", "rank", "parameter")
    if motions.shape != frames.shape[::2]:
        raise ValueError(f"directions {motions.shape} and vectors {frames.shape} do not belong together")
    result = np.full(frames.shape[:2], np.nan)
    for index, (direction, eigenvectors) in enumerate(zip(motions, frames, strict=True)):
        wide, frame = (at_safe_scale(part.astype(np.float64)) for part in (direction, eigenvectors))
        if (norm := np.linalg.norm(wide)) > 0:
            result[index] = frame @ wide / (np.linalg.norm(frame, axis=1) * norm)
    return np.asarray(np.clip(result, -1, 1))


def weight_change_alignment(weights: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return |⟨Δθ/|Δθ|, v_i(tw)⟩| for the change of the weights after tw, Δθ = θ(t) − θ(tw).

    Args:
        weights: (checkpoint, parameter), flat weights; NaN where a run had diverged.
        vectors: (checkpoint, rank, parameter), eigenvectors, of any length; NaN where undefined.

    Returns:
        float64 (waiting, checkpoint, rank), from 0 to 1; NaN where there is no change or eigenvector.
    """
    checkpoints, ranks, _ = vectors.shape
    products = np.zeros((checkpoints, checkpoints, ranks))
    changes, lengths = np.zeros((checkpoints, checkpoints)), np.zeros((checkpoints, ranks))
    for some, frames in zip(blocks(weights), blocks(vectors), strict=True):
        lengths += (frames**2).sum(-1)
        for waiting, start in enumerate(some):
            change = some - start
            products[waiting] += change @ frames[waiting].T
            changes[waiting] += (change**2).sum(1)
    with np.errstate(invalid="ignore"):
        cosines = np.abs(products) / np.sqrt(changes[..., None] * lengths[:, None])
    return np.asarray(np.minimum(cosines, 1))

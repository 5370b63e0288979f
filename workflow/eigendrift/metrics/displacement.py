"""How far eigenvectors move between two times."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.special import gammaln

from eigendrift.metrics.arrays import as_array, at_safe_scale, blocks, with_axes

# Axes of the array that `overlaps` returns.
PAIRS = ("checkpoint", "rank", "checkpoint", "rank")


@np.errstate(all="ignore")
def overlaps(vectors: ArrayLike) -> np.ndarray:
    """Return all inner products ⟨v_i(s), v_j(t)⟩, in float64.

    Args:
        vectors: float32 or float64 (checkpoint, rank, parameter), of any length; NaN where undefined.

    Returns:
        float64 (checkpoint s, rank i, checkpoint t, rank j), from −1 to 1, for vectors scaled to length 1.

    Raises:
        ValueError: If axes are missing.
    """
    array = at_safe_scale(with_axes(vectors, "checkpoint", "rank", "parameter"))
    checkpoints, ranks, parameters = array.shape
    flat = array.reshape(checkpoints * ranks, parameters)
    gram = np.zeros((len(flat), len(flat)))
    for block in blocks(flat):
        gram += block @ block.T
    # The length of a float32 vector is off by rounding, which would leave a floor of 1e-7 in displacements.
    norms = np.sqrt(np.diag(gram))
    cosines = np.clip(gram / np.outer(norms, norms), -1, 1)
    return np.asarray(cosines.reshape(checkpoints, ranks, checkpoints, ranks))


def _pairs(overlap: ArrayLike) -> np.ndarray:
    array = as_array(overlap)
    if array.ndim != len(PAIRS) or array.shape[:2] != array.shape[2:]:
        raise ValueError(
            f"an array of shape {array.shape} was given, expected ({', '.join(PAIRS)}), what overlaps "
            "returns of eigenvectors"
        )
    return array


@np.errstate(all="ignore")
def displacement(overlap: ArrayLike) -> np.ndarray:
    """Return the displacement of each eigenvector between any two checkpoints, blind to its sign.

    Δ(i)(tw, t) = min over sign of |v_i(t) ∓ v_i(tw)|² = 2(1 − |⟨v_i(t), v_i(tw)⟩|), the two-time mean square
    displacement of Marjankowska et al. 2026, eq. 3.

    Args:
        overlap: float64 (checkpoint, rank, checkpoint, rank), see `overlaps`.

    Returns:
        float64 (waiting, checkpoint, rank), from 0 to 2.

    A vector that changes its sign does not move; a vector that turns by a right angle moves by 2:

    >>> turning = np.array([[[1, 0]], [[-1, 0]], [[0, 1]]])  # three checkpoints, one eigenvector each
    >>> displacement(overlaps(turning))[0, :, 0]
    array([0., 0., 2.])
    """
    same_rank = np.einsum("siti->sti", _pairs(overlap))
    return np.asarray(2 * (1 - np.abs(same_rank)))


@np.errstate(all="ignore")
def subspace_displacement(overlap: ArrayLike) -> np.ndarray:
    """Return how far the span of the leading k eigenvectors moves, for each k: 1 − ‖V_k(tw)ᵀ V_k(t)‖²_F / k.

    Args:
        overlap: float64 (checkpoint, rank, checkpoint, rank), see `overlaps`.

    Returns:
        float64 (waiting, checkpoint, rank), from 0 to 1; at rank k the value for the span of the first k.

    A swap of two eigenvectors moves each of them, but not their span:

    >>> swapping = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]]])
    >>> subspace_displacement(overlaps(swapping))[0, 1]
    array([1., 0.])
    """
    squares = _pairs(overlap) ** 2
    ranks = squares.shape[1]
    shared = np.einsum("siti->sti", squares.cumsum(1).cumsum(3))
    return np.asarray(np.clip(1 - shared / np.arange(1, ranks + 1), 0, 1))


@np.errstate(all="ignore")
def tracked_displacement(overlap: ArrayLike) -> np.ndarray:
    """Return the displacement with identity followed by overlap: a swap of ranks is no movement.

    Between neighbouring checkpoints, eigenvectors are matched one to one such that the sum of their absolute overlaps
    is largest (the assignment problem); identities are followed along the chain of matches. A checkpoint that lacks any
    of its eigenvectors ends every chain, because the match would be a guess.

    Args:
        overlap: float64 (checkpoint, rank, checkpoint, rank), see `overlaps`.

    Returns:
        float64 (waiting, checkpoint, rank), from 0 to 2; rank is the rank at the waiting time. NaN beyond the end of a
        chain.

    >>> swapping = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]]])
    >>> displacement(overlaps(swapping))[0, 1], tracked_displacement(overlaps(swapping))[0, 1]
    (array([2., 2.]), array([0., 0.]))
    """
    cosines = _pairs(overlap)
    checkpoints, ranks = cosines.shape[:2]
    result = np.full((checkpoints, checkpoints, ranks), np.nan)
    matches = [_match(cosines[t, :, t + 1, :]) for t in range(checkpoints - 1)]
    for waiting in range(checkpoints):
        current = np.arange(ranks)
        for t, match in enumerate([*matches[waiting:], None], start=waiting):
            result[waiting, t] = 2 * (1 - np.abs(cosines[waiting, np.arange(ranks), t, current]))
            result[t, waiting, current] = result[waiting, t]
            if match is None:
                break
            current = match[current]
    return result


def _match(overlap: np.ndarray) -> np.ndarray | None:
    if not np.isfinite(overlap).all():
        return None
    _, columns = linear_sum_assignment(-np.abs(overlap))
    return np.asarray(columns)


def weight_displacement(weights: np.ndarray) -> np.ndarray:
    """Return how far the weights move between any two checkpoints: Δ_w(tw, t) = |θ(t) − θ(tw)|² / N.

    Baity-Jesi et al. 2018 (ICML), without their division by the noise of the gradient.

    Args:
        weights: (checkpoint, parameter), flat weights; NaN where a run had diverged.

    Returns:
        float64 (waiting, checkpoint), at least 0.
    """
    result = np.zeros((len(weights), len(weights)))
    for block in blocks(weights):
        # Differences first, because the weights are much larger than their changes.
        for waiting, start in enumerate(block):
            result[waiting] += ((block - start) ** 2).sum(1)
    return np.asarray(result / weights.shape[1])


def isotropic_overlap(parameters: int) -> float:
    """Return the mean overlap of two independent isotropic unit vectors.

    E|⟨u, w⟩| = Γ(N/2) / (√π Γ((N+1)/2)), also if one of the two is fixed.

    Args:
        parameters: Dimension N, at least 1.

    Raises:
        ValueError: If ``parameters`` is below 1.
    """
    if parameters < 1:
        raise ValueError(f"parameters is {parameters}, expected at least 1")
    logarithm = gammaln(parameters / 2) - gammaln((parameters + 1) / 2)
    return float(np.exp(logarithm) / np.sqrt(np.pi))


def isotropic_displacement(parameters: int) -> float:
    """Return the mean displacement between two independent isotropic unit vectors, 2(1 − E|⟨u, w⟩|).

    Args:
        parameters: Dimension N, at least 1.
    """
    return 2 * (1 - isotropic_overlap(parameters))

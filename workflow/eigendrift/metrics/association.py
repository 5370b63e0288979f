"""Whether two quantities go together among things that come in blocks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

RESAMPLING_SEED = 0
# A block of two or three says next to nothing of a rank correlation, and resamples of it even less.
FEWEST_UNITS = 4


@dataclass(frozen=True)
class Association:
    """How two quantities go together within blocks.

    Attributes:
        coefficient: ρ, from −1 to 1; NaN if there is nothing to rank.
        low: Lower end of the bootstrap interval; NaN likewise.
        high: Upper end.
        p: Two-sided, of the permutation test; NaN likewise.
        units: Units in the blocks that count.
        blocks: Blocks that count: those of at least `FEWEST_UNITS` units.
    """

    coefficient: float
    low: float
    high: float
    p: float
    units: int
    blocks: int


def association_within(
    x: np.ndarray, y: np.ndarray, blocks: Sequence[object], confidence: float, resamples: int
) -> Association:
    r"""Return Spearman's correlation within blocks: differences between blocks count for nothing.

    With :math:`R_{bi}` the rank of :math:`x_{bi}` among the :math:`n_b` values of its block, S that of y, and
    :math:`r_{bi} = R_{bi} / (n_b + 1) - 1/2`, s likewise, it is

    .. math::  \rho = \sum_{bi} r_{bi} s_{bi} \Big/ \sqrt{\sum_{bi} r_{bi}^2 \, \sum_{bi} s_{bi}^2},

    for a single block Spearman's coefficient, for several without ties their mean with weights
    :math:`n_b (n_b - 1) / (n_b + 1)`. Whatever makes blocks as a whole larger or smaller drops out, so that
    no correlation of the blocks' means can pass for one within them (Simpson's paradox).

    p: the share of permutations of y within blocks, the observed order included, whose |ρ| is at least the
    observed one. Interval: percentiles of ρ over resamples of each block's units, ranked anew. Of nominal
    95 % intervals with 1 to 6 blocks of 4 to 7 normal units and ρ of 0, 0.4 and 0.7, between 94 % and 98 %
    hold the expected ρ; resampling ranks across blocks, by percentiles or BCa, covers 71 % to 93 %.

    Args:
        x: float64 (unit,), finite.
        y: float64 (unit,), finite.
        blocks: (unit,), the block of each.
        confidence: Level of the interval, such as 0.95.
        resamples: Permutations, and resamples; they are the same at every call.
    """
    names = list(dict.fromkeys(blocks))
    places = [np.flatnonzero([block == name for block in blocks]) for name in names]
    large = [place for place in places if len(place) >= FEWEST_UNITS]
    units = sum(map(len, large))
    random = np.random.default_rng(RESAMPLING_SEED)
    observed, permuted, resampled = np.zeros(3), np.zeros((resamples, 3)), np.zeros((resamples, 3))
    for place in large:
        own, other = _centred_ranks(x[place]), _centred_ranks(y[place])
        observed += _products(own, other)
        permuted += _products(own, random.permuted(np.tile(other, (resamples, 1)), axis=1))
        chosen = place[random.integers(len(place), size=(resamples, len(place)))]
        resampled += _products(_centred_ranks(x[chosen]), _centred_ranks(y[chosen]))
    coefficient = float(_coefficient(observed))
    if not np.isfinite(coefficient):
        return Association(np.nan, np.nan, np.nan, np.nan, units, len(large))
    # Coefficients that are equal but for rounding are equal.
    as_far = np.abs(_coefficient(permuted)) >= abs(coefficient) - 1e-12
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(_coefficient(resampled), [tail, 1 - tail])
    p = (1 + as_far.sum()) / (1 + resamples)
    return Association(coefficient, float(low), float(high), float(p), units, len(large))


def _centred_ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks along the last axis over n + 1, minus their mean, 1/2."""
    return np.asarray(rankdata(values, axis=-1) / (values.shape[-1] + 1) - 0.5)


def _products(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return Σ rs, Σ r² and Σ s² over the last axis, (…, 3)."""
    pairs = (one * other, one * one, other * other)
    return np.stack(np.broadcast_arrays(*(pair.sum(-1) for pair in pairs)), -1)


def _coefficient(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., 0] / np.sqrt(sums[..., 1] * sums[..., 2]))

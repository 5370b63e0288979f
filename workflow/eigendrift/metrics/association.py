"""Rank correlation between two quantities within blocks, such as the runs of one setting.

Neither `scipy.stats.permutation_test` nor `scipy.stats.bootstrap` can resample within several blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

RESAMPLING_SEED = 0
# Two or three units say almost nothing about a rank correlation, and their resamples even less.
FEWEST_UNITS = 4


@dataclass(frozen=True)
class Association:
    """The rank correlation of two quantities within blocks.

    Attributes:
        coefficient: ρ, from −1 to 1; NaN if there is nothing to rank, as are the interval and p.
        low: Lower end of the bootstrap interval.
        high: Upper end of the bootstrap interval.
        p: Two-sided p of the permutation test.
        units: Number of units in the blocks that count.
        blocks: Number of blocks that count, which have at least `FEWEST_UNITS` units.
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
    r"""Return Spearman's correlation within blocks, which ignores differences between blocks.

    With :math:`R_{bi}` the rank of :math:`x_{bi}` among the :math:`n_b` values of its block,
    :math:`r_{bi} = R_{bi} / (n_b + 1) - 1/2`, and s defined likewise for y, the correlation is

    .. math::  \rho = \sum_{bi} r_{bi} s_{bi} \Big/ \sqrt{\sum_{bi} r_{bi}^2 \, \sum_{bi} s_{bi}^2}.

    For a single block this is Spearman's coefficient. For several blocks without ties it is the mean of their
    coefficients with weights :math:`n_b (n_b - 1) / (n_b + 1)`. A correlation between the means of the blocks does not
    count as a correlation within them (Simpson's paradox).

    p is the share of permutations of y within blocks, including the observed order, whose |ρ| is at least the observed
    one. The interval consists of percentiles of ρ over resamples of each block's units, which are ranked again. Of
    nominal 95 % intervals with 1 to 6 blocks of 4 to 7 normal units and ρ of 0, 0.4 and 0.7, between 94 % and 98 %
    contain the expected ρ. Resampling ranks across blocks, by percentiles or BCa, covers 71 % to 93 %.

    Args:
        x: float64 (unit,), finite.
        y: float64 (unit,), finite.
        blocks: (unit,), the block of each unit.
        confidence: Level of the interval, such as 0.95.
        resamples: Number of permutations and of resamples; they are the same at every call.
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
        drawn = place[random.integers(len(place), size=(resamples, len(place)))]
        resampled += _products(_centred_ranks(x[drawn]), _centred_ranks(y[drawn]))
    coefficient = float(_coefficient(observed))
    if not np.isfinite(coefficient):
        return Association(np.nan, np.nan, np.nan, np.nan, units, len(large))
    # Coefficients that differ only by rounding count as equal.
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

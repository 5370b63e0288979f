"""Intervals, tests and power for a handful of seeds.

Coverage of nominal 95 % intervals of a mean and, in brackets, their median width in standard deviations, in 2,000
samples of n values each, as ``python -m benchmarks.interval_coverage`` prints it::

    distribution  n  percentile    BCa           studentized   Student's t
    normal        4  0.794 (1.4)   0.790 (1.5)   0.949 (5.3)   0.953 (2.8)
    normal        5  0.847 (1.4)   0.844 (1.5)   0.952 (3.0)   0.959 (2.3)
    normal        6  0.854 (1.4)   0.849 (1.4)   0.946 (2.3)   0.947 (2.0)
    normal        8  0.887 (1.2)   0.887 (1.2)   0.951 (1.7)   0.948 (1.6)
    normal       10  0.907 (1.1)   0.902 (1.2)   0.944 (1.5)   0.950 (1.4)
    exponential   4  0.747 (1.2)   0.762 (1.2)   0.931 (6.2)   0.884 (2.3)
    exponential   5  0.768 (1.2)   0.785 (1.2)   0.916 (3.0)   0.877 (1.9)
    exponential   6  0.811 (1.1)   0.830 (1.2)   0.924 (2.1)   0.881 (1.6)
    exponential   8  0.856 (1.0)   0.871 (1.1)   0.938 (1.7)   0.899 (1.4)
    exponential  10  0.865 (1.0)   0.878 (1.1)   0.940 (1.5)   0.900 (1.2)

The studentized bootstrap comes closest to 95 % for both, much closer than BCa, but its intervals are wide with 4 and 5
values. Student's interval is as good on normal values and shorter, but misses more on skewed ones.
"""

import math
from collections.abc import Mapping
from itertools import combinations_with_replacement

import numpy as np
from scipy.optimize import brentq
from scipy.stats import nct
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests

# One resample of n values in n^(n−1) holds one value n times and has no spread to studentize with. With three values
# that is one in nine, so more than 2.5 % of resamples lie beyond any bound, and a 95 % interval has no ends.
FEWEST_SEEDS = 4
POWER = 0.8
RESAMPLING_SEED = 0
# Up to this number of values all sign flips are listed; for more values, 2^16 flips are drawn.
MOST_LISTED = 16


def bootstrap_interval(values: np.ndarray, confidence: float, resamples: int) -> tuple[float, float] | None:
    """Return the studentized bootstrap (bootstrap-t) interval of the mean.

    With mean m and standard error e of the values, and m*, e* of a resample, the ends are m − q e, where q are the
    quantiles of (m* − m) / e* (Efron & Tibshirani 1993, section 12.5). Resamples with the same values count together,
    which leaves C(2n − 1, n) of them. They are listed if there are at most ``resamples``, and drawn otherwise.
    `scipy.stats.bootstrap` has no studentized interval.

    Args:
        values: float64 (seed,), finite.
        confidence: Level, such as 0.95.
        resamples: Number of resamples; they are the same at every call.

    Returns:
        Lower and upper end; None where the interval has no ends, because there are too few values, see `FEWEST_SEEDS`,
        or too many equal ones.
    """
    n = len(values)
    if n < FEWEST_SEEDS:
        return None
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(n)
    # Values that differ only by rounding have no spread to learn from.
    if error <= np.finfo(float).eps * np.abs(values).max():
        return None
    places, counts = _resampled(n, resamples)
    resampled = values[places]
    deviations = resampled.mean(1) - mean
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = deviations / (resampled.std(1, ddof=1) / np.sqrt(n))
    constant = (resampled == resampled[:, :1]).all(1)
    ratios[constant] = np.copysign(np.inf, deviations[constant])
    tail = (1 - confidence) / 2
    # Where a quantile lies between two resamples, take the wider interval.
    order = ratios.argsort()
    up_to, last = counts[order].cumsum(), counts.sum() - 1
    least = ratios[order[np.searchsorted(up_to, math.floor(tail * last), side="right")]]
    most = ratios[order[np.searchsorted(up_to, math.ceil((1 - tail) * last), side="right")]]
    low, high = mean - most * error, mean - least * error
    return (float(low), float(high)) if np.isfinite([low, high]).all() else None


def _resampled(n: int, resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the values in each resample, (resample, n), and its multiplicity."""
    if math.comb(2 * n - 1, n) > resamples:
        drawn = np.random.default_rng(RESAMPLING_SEED).integers(n, size=(resamples, n))
        return drawn, np.ones(resamples, int)
    places = np.array([*combinations_with_replacement(range(n), n)])
    occurrences = (places[:, :, None] == np.arange(n)).sum(1)
    orders = [math.factorial(n) // math.prod(map(math.factorial, row)) for row in occurrences.tolist()]
    return places, np.array(orders)


def sign_flip_p(values: np.ndarray) -> float:
    """Return p of the paired sign-flip permutation test that the mean is above 0.

    If the two runs of a seed can be exchanged, the sign of their difference can be flipped. p is the share of all 2ⁿ
    choices of signs whose mean is at least the observed one. It is exact for up to 16 seeds. For more seeds it is the
    share among 65,536 choices that include the observed one.

    `scipy.stats.permutation_test` finds the same p, except that it decides ties by their rounding errors.

    Args:
        values: float64 (seed,), finite, at least one: differences between paired runs.

    Returns:
        From 2⁻ⁿ to 1.
    """
    n = len(values)
    if n <= MOST_LISTED:
        signs = 1 - 2 * np.indices((2,) * n, dtype=np.int8).reshape(n, -1)
    else:
        signs = np.random.default_rng(RESAMPLING_SEED).choice([-1, 1], size=(n, 2**MOST_LISTED))
        signs[:, 0] = 1
    sums = values @ signs
    # Sums that differ only by rounding count as equal.
    return float((sums >= values.sum() - 1e-12 * np.abs(values).sum()).mean())


def smallest_p(n: int) -> float:
    """Return the smallest p that `sign_flip_p` can find with n seeds: 2⁻ⁿ, and at least 2⁻¹⁶."""
    return float(2.0 ** -min(n, MOST_LISTED))


def seeds_for(alpha: float, tests: int) -> int:
    """Return the fewest seeds with which one of several Holm-corrected sign-flip tests can reach a level.

    Args:
        alpha: The level, such as 0.05.
        tests: Number of hypotheses that are tested together.
    """
    return max(FEWEST_SEEDS, int(np.log2(tests / alpha)) + 1)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values corrected for testing several hypotheses: Holm 1979, which needs no independence.

    Args:
        p_values: p of each hypothesis, by name.

    Returns:
        Corrected p by name, in the same order.
    """
    if not p_values:
        return {}
    _, corrected, *_ = multipletests(list(p_values.values()), method="holm")
    return dict(zip(p_values, corrected.tolist(), strict=True))


def detectable_distance(values: np.ndarray, confidence: float) -> float | None:
    """Return how far from a threshold the true mean must be for 80 % of intervals to exclude the threshold.

    For n normal values with the spread of these, Student's interval lies wholly beyond a threshold with that
    probability if the mean is δ e beyond it, where e is the standard error and δ the noncentrality for which P(T_{n−1,
    δ} > t_{n−1, (1 + confidence)/2}) = 0.8. With few seeds the bootstrap interval is wider.

    Args:
        values: float64 (seed,), finite.
        confidence: Level of the interval.

    Returns:
        The distance, in the unit of the values; None with fewer than `FEWEST_SEEDS`.
    """
    n = len(values)
    if n < FEWEST_SEEDS:
        return None
    critical = student.ppf((1 + confidence) / 2, n - 1)
    noncentrality = brentq(lambda delta: nct.sf(critical, n - 1, delta) - POWER, 0, 10 * critical)
    return float(noncentrality * values.std(ddof=1) / np.sqrt(n))

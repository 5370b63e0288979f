"""Tests of one sample against another, and what they could have shown."""

import warnings
from functools import cache
from math import comb, inf

import numpy as np
from scipy.stats import ks_2samp

POWER = 0.8
# In standard deviations: no shift that is larger is looked for.
LARGEST = 8.0
STEPS = 8
CENTRAL = 0.95


def two_samples(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return statistic and two-sided p of the Kolmogorov–Smirnov test; 0 and 1 if a sample is empty.

    Args:
        one: float64 (n,), independent values.
        other: float64 (m,), independent values.
    """
    if not (len(one) and len(other)):
        return 0.0, 1.0
    with warnings.catch_warnings():
        # Where the exact p is too small for float64, scipy takes the asymptotic one, and says so.
        warnings.filterwarnings("ignore", message="ks_2samp: Exact calculation", category=RuntimeWarning)
        result = ks_2samp(one, other)
    return float(result.statistic), float(result.pvalue)


def smallest_p(n: int, m: int) -> float:
    """Return the least p that the test can give, that of samples which do not overlap: 2 / C(n + m, n)."""
    return min(1.0, 2 / comb(n + m, n))


@cache
def detectable_shift(n: int, m: int, level: float, resamples: int) -> float:
    """Return the shift between two normal samples that the test detects with 80 % power.

    Args:
        n: Size of one sample.
        m: Size of the other.
        level: p below which a difference is detected.
        resamples: Pairs of samples, seeded, that the power is simulated with.

    Returns:
        The shift in standard deviations, to about 0.05; infinite where no shift would do.
    """
    if smallest_p(n, m) >= level:
        return inf
    random = np.random.default_rng(0)
    ones, others = random.normal(size=(resamples, n)), random.normal(size=(resamples, m))

    def power(shift: float) -> float:
        detected = [two_samples(x, y + shift)[1] < level for x, y in zip(ones, others, strict=True)]
        return float(np.mean(detected))

    low, high = 0.0, LARGEST
    if power(high) < POWER:
        return inf
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def conformal_p(value: float, null: np.ndarray) -> float:
    """Return the two-sided p of one value among draws of a null model, at least 2 / (n + 1).

    p = min(1, 2 min(1 + #{null ≤ value}, 1 + #{null ≥ value}) / (n + 1)); valid whatever their distribution.
    """
    rank = min(1 + (null <= value).sum(), 1 + (null >= value).sum())
    return float(min(1.0, 2 * rank / (len(null) + 1)))

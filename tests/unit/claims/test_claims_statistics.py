"""Intervals, tests and power, compared with other implementations, values by hand, and known truth."""

import itertools
import re

import numpy as np
import pytest
from benchmarks.interval_coverage import coverage, table
from scipy.stats import binom, permutation_test
from scipy.stats import t as student

from eigendrift.claims import statistics
from eigendrift.claims.statistics import (
    FEWEST_SEEDS,
    bootstrap_interval,
    detectable_distance,
    holm,
    seeds_for,
    sign_flip_p,
    smallest_p,
)

SAMPLES = np.random.default_rng(5)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95])
def test_interval_is_that_of_all_resamples(confidence: float) -> None:
    """Five values have 3,125 resamples; their studentized means can all be listed, one by one."""
    effects = np.array([0.1, 0.35, 0.4, 0.82, 1.3])
    mean, error = effects.mean(), effects.std(ddof=1) / np.sqrt(5)
    ratios = []
    for resample in itertools.product(effects, repeat=5):
        if len(set(resample)) == 1:
            ratios.append(np.inf if resample[0] > mean else -np.inf)
        else:
            ratios.append((np.mean(resample) - mean) / (np.std(resample, ddof=1) / np.sqrt(5)))
    tail = (1 - confidence) / 2
    least, most = (np.quantile(ratios, q, method=m) for q, m in ((tail, "lower"), (1 - tail, "higher")))
    expected = mean - most * error, mean - least * error
    np.testing.assert_allclose(bootstrap_interval(effects, confidence, 3125), expected)
    # All but the order of their values, 126 of them differ.
    np.testing.assert_allclose(bootstrap_interval(effects, confidence, 126), expected)


def test_interval_of_drawn_resamples_is_near_that_of_all() -> None:
    effects = np.random.default_rng(1).normal(size=9)
    # Of nine values 24,310 resamples differ.
    listed, drawn = (bootstrap_interval(effects, 0.95, resamples) for resamples in (24_310, 24_309))
    assert drawn != listed
    assert drawn == bootstrap_interval(effects, 0.95, 24_309)
    np.testing.assert_allclose(drawn, listed, atol=0.05)


# The last values have an interval without an end.
@pytest.mark.parametrize("values", [[0.25] * 4, [0.1, 0.1, 0.1, 0.3 - 0.2], [0.0] * 8, [0.3] * 7, [0.0] * 6 + [0.1]])
def test_values_that_are_equal_but_for_rounding_or_mostly_have_no_interval(values: list[float]) -> None:
    assert bootstrap_interval(np.array(values), 0.95, 10_000) is None


def test_fewest_seeds_are_those_that_have_an_interval_of_95_percent() -> None:
    values = SAMPLES.normal(size=FEWEST_SEEDS)
    assert np.isfinite(bootstrap_interval(values, 0.95, 10_000) or np.nan).all()
    assert bootstrap_interval(values[1:], 0.95, 10_000) is None
    # Resamples of one value alone, more than 0.5 % on either side, leave 99 % without an end.
    assert bootstrap_interval(values, 0.99, 10_000) is None


def test_interval_of_many_values_is_students() -> None:
    values = SAMPLES.normal(size=400)
    half = student.ppf(0.975, 399) * values.std(ddof=1) / 20
    low, high = bootstrap_interval(values, 0.95, 10_000) or (np.nan, np.nan)
    np.testing.assert_allclose([low, high], [values.mean() - half, values.mean() + half], atol=0.1 * half)


@pytest.mark.parametrize("n", [4, pytest.param(8, marks=pytest.mark.slow)])
def test_interval_covers_the_mean_of_normal_values(n: int) -> None:
    """The percentile bootstrap does not."""
    low, high = binom.ppf([0.0005, 0.9995], 400, 0.95) / 400
    share, _ = coverage("studentized", "normal", n, 400)
    assert low <= share <= high
    assert coverage("percentile", "normal", n, 60)[0] < low


@pytest.mark.slow
def test_interval_of_skewed_values_covers_more_than_others() -> None:
    names = ("studentized", "BCa", "Student's t")
    studentized, bca, t = (coverage(name, "exponential", 5, 200)[0] for name in names)
    assert 0.86 < studentized <= 1
    assert bca < studentized
    assert t < studentized


@pytest.mark.slow
def test_the_documented_coverage_is_what_is_measured() -> None:
    line = re.search(r"normal +5 .*", statistics.__doc__ or "")
    share, width = coverage("studentized", "normal", 5, 2000)
    assert line is not None
    assert line[0].split()[6:8] == [f"{share:.3f}", f"({width:.1f})"]


def test_the_table_of_coverage_has_the_documented_columns() -> None:
    assert next(table(1)) in (statistics.__doc__ or "")


@pytest.mark.parametrize(("n", "resamples", "tolerance"), [(2, np.inf, 1e-6), (8, np.inf, 1e-6), (20, 20_000, 0.01)])
def test_sign_flip_test_is_scipys_permutation_test_of_pairs(n: int, resamples: float, tolerance: float) -> None:
    """The flips of many seeds are drawn."""
    values, random = SAMPLES.normal(0.35, size=n), np.random.default_rng(0)
    how = {"permutation_type": "samples", "alternative": "greater", "n_resamples": resamples, "rng": random}
    assert sign_flip_p(values) == pytest.approx(permutation_test((values,), np.mean, **how).pvalue, abs=tolerance)
    assert sign_flip_p(np.ones(40)) == smallest_p(40) == 2.0**-16


def test_sign_flip_test_by_hand() -> None:
    assert sign_flip_p(np.array([1.0, 2.0, 3.0])) == 1 / 8
    # Of eight sums only 6 is larger than 4; 4 itself is there once.
    assert sign_flip_p(np.array([-1.0, 2.0, 3.0])) == 2 / 8
    assert sign_flip_p(-np.array([1.0, 2.0, 3.0])) == 1
    assert sign_flip_p(np.zeros(6)) == 1
    # Ties hold in spite of rounding: 0.1 + 0.2 − 0.3 is not quite 0.
    assert sign_flip_p(np.array([0.1, 0.2, -0.3])) == sign_flip_p(np.array([1.0, 2.0, -3.0])) == 5 / 8


def test_corrected_p_by_hand() -> None:
    """Ties, and corrected p that may not be below smaller ones."""
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert list(found) == ["a", "b", "c", "d"]
    assert holm({"a": 0.03, "b": 0.03, "c": 0.5}) == pytest.approx({"a": 0.09, "b": 0.09, "c": 0.5})
    assert holm({"a": 0.7, "b": 0.6}) == {"a": 1, "b": 1}
    assert holm({"a": 0.02}) == {"a": 0.02}
    assert holm({}) == {}


@pytest.mark.parametrize("tests", range(1, 9))
def test_so_many_seeds_are_just_enough(tests: int) -> None:
    n = seeds_for(0.05, tests)
    assert tests * smallest_p(n) < 0.05 <= tests * smallest_p(n - 1)


@pytest.mark.parametrize("n", [4, 8])
def test_four_in_five_studies_would_show_the_detectable_distance(n: int) -> None:
    """The spread of a sample scales it; here the true spread is put in for it."""
    unit = np.concatenate([np.ones(n // 2), -np.ones(n // 2)])
    distance = detectable_distance(unit / unit.std(ddof=1), 0.95)
    assert distance is not None
    studies = np.random.default_rng(0).normal(distance, 1, size=(4000, n))
    half = student.ppf(0.975, n - 1) * studies.std(1, ddof=1) / np.sqrt(n)
    shown = (studies.mean(1) - half > 0).mean()
    low, high = binom.ppf([0.0005, 0.9995], 4000, 0.8) / 4000
    assert low <= shown <= high
    assert detectable_distance(unit[:3], 0.95) is None
    assert detectable_distance(np.zeros(5), 0.95) == 0

"""Tests of two samples: they find what is planted, and where nothing is they find it as seldom as stated."""

from math import comb, inf, nan

import numpy as np
import pytest
from scipy.stats import norm

from eigendrift.validation.comparison import conformal_p, detectable_shift, smallest_p, two_samples


def test_false_positives_come_as_often_as_the_level_says() -> None:
    random = np.random.default_rng(0)
    found = [two_samples(random.random(40), random.random(40))[1] < 0.05 for _ in range(1000)]
    # The statistic is discrete, so the true rate lies below the level, for these sizes at 0.034.
    assert 0.02 < np.mean(found) <= 0.05


def test_the_statistic_is_the_largest_distance_of_the_distributions_and_0_for_an_empty_sample() -> None:
    one, other = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.5, 3.5, 5.0])
    assert two_samples(one, other)[0] == pytest.approx(0.5)
    assert two_samples(np.array([]), np.arange(3.0)) == (0.0, 1.0)


@pytest.mark.parametrize(("n", "m"), [(5, 5), (5, 100), (100, 100)])
def test_the_smallest_p_is_that_of_samples_that_do_not_overlap(n: int, m: int) -> None:
    _, p = two_samples(np.arange(n), np.arange(m) + 1000.0)
    assert smallest_p(n, m) == 2 / comb(n + m, n)
    assert p == pytest.approx(smallest_p(n, m), rel=1e-6, abs=1e-30)


def test_the_detectable_shift_is_detected_four_times_in_five() -> None:
    """No test of two normal samples does better than a test of their means."""
    shift = detectable_shift(40, 40, 0.05, 200)
    random = np.random.default_rng(7)
    found = [two_samples(random.normal(size=40), random.normal(size=40) + shift)[1] < 0.05 for _ in range(500)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.08)
    best = (norm.ppf(0.975) + norm.ppf(0.8)) * np.sqrt(2 / 40)
    assert best < shift < 1.4 * best


def test_more_values_and_a_weaker_level_show_smaller_shifts() -> None:
    base = detectable_shift(20, 20, 0.01, 60)
    assert detectable_shift(60, 60, 0.01, 60) < base < detectable_shift(3, 3, 0.05, 100) == inf
    assert detectable_shift(20, 20, 0.1, 60) < base


def test_conformal_p_is_never_too_small() -> None:
    """Uniform under the null: no more than 5 % of values have p of 5 % or less."""
    random = np.random.default_rng(0)
    p = np.array([conformal_p(random.normal(), random.normal(size=99)) for _ in range(4000)])
    assert np.mean(p <= 0.05) < 0.05 + 5 * np.sqrt(0.05 * 0.95 / 4000)
    assert np.mean(p <= 0.05) > 0.03


@pytest.mark.parametrize(("value", "p"), [(-1, 0.2), (4.5, 1.0), (100, 0.2), (0.5, 0.4), (0, 0.4)])
def test_conformal_p_counts_ranks(value: float, p: float) -> None:
    assert conformal_p(value, np.arange(9.0)) == pytest.approx(p)
    assert conformal_p(nan, np.array([])) == 1

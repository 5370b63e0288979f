"""Effects on runs whose answer is known."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from claims_helpers import STEPS, as_the_paper_says, baseline_of, runs_of

from eigendrift.claims.estimators import (
    CLAIMS,
    RESOLUTION,
    Effects,
    attribution,
    lagged_displacement,
    lagged_pairs,
    localization,
    reorganization,
    stabilization,
)
from eigendrift.training.checkpoints import checkpoint_steps

LAG = 0.125
Estimator = Callable[[xr.Dataset, xr.Dataset, float], Effects]


def values(estimator: Estimator, runs: xr.Dataset, baseline: xr.Dataset | None = None) -> np.ndarray:
    return np.array(list(estimator(runs, baseline_of() if baseline is None else baseline, LAG).values()))


def test_linear_checkpoints_are_paired_at_the_lag() -> None:
    waiting, partner = lagged_pairs(np.arange(0, 8001, 200), LAG)
    np.testing.assert_array_equal(waiting, np.arange(36))
    np.testing.assert_array_equal(partner - waiting, 5)


def test_lags_between_checkpoints_are_rounded_to_the_nearest() -> None:
    steps = np.arange(0, 1001, 100)
    for lag, apart in ((0.12, 1), (0.18, 2), (0.22, 2)):
        waiting, partner = lagged_pairs(steps, lag)
        np.testing.assert_array_equal(partner - waiting, apart)


def test_checkpoints_wider_apart_than_the_lag_are_paired_with_the_next() -> None:
    waiting, partner = lagged_pairs(np.array([0, 25, 50, 75, 100]), 0.05)
    np.testing.assert_array_equal(waiting, [0, 1, 2, 3])
    np.testing.assert_array_equal(partner, [1, 2, 3, 4])
    assert [list(indices) for indices in lagged_pairs(np.array([0, 100]), 0.5)] == [[0], [1]]


@pytest.mark.parametrize("count", [5, 10, 20, 41, 200])
@pytest.mark.parametrize("lag", [0.01, 0.125, 0.5])
def test_logarithmic_checkpoints_keep_lags_comparable(count: int, lag: float) -> None:
    steps = np.array(checkpoint_steps(8000, count, "logarithmic"))
    waiting, partner = lagged_pairs(steps, lag)
    lags = steps[partner] - steps[waiting]
    assert len(lags) > 0
    assert (lags > 0).all()
    assert lags.max() <= 2 * lags.min()
    assert (steps[waiting] + lag * 8000 <= 8000).all()


def test_dense_logarithmic_checkpoints_lose_no_waiting_time_to_uneven_lags() -> None:
    steps = np.array(checkpoint_steps(8000, 200, "logarithmic"))
    waiting, _ = lagged_pairs(steps, LAG)
    np.testing.assert_array_equal(waiting, np.flatnonzero(steps <= 7000))


def test_lagged_displacement_takes_the_pairs_and_keeps_the_waiting_times() -> None:
    runs = runs_of({"sgd": 0.1}, {"sgd": 0.1}, seeds=2)
    code = np.arange(len(STEPS))[:, None] * 1000.0 + np.arange(len(STEPS))
    runs["displacement"][:] = code[None, None, :, :, None]
    moved = lagged_displacement(runs, LAG)
    assert moved.dims == ("optimizer", "seed", "waiting")
    waiting, partner = lagged_pairs(STEPS, LAG)
    np.testing.assert_array_equal(moved.values[0, 1], np.maximum(waiting * 1000.0 + partner, RESOLUTION))
    np.testing.assert_array_equal(moved["step"], STEPS[waiting])


def test_stabilizing_direction() -> None:
    early, late = 0.5, 0.05
    waiting, _ = lagged_pairs(STEPS, LAG)
    is_early = STEPS[waiting].max() / 2 > STEPS
    runs = runs_of({"sgd": np.where(is_early, early, late)}, {"sgd": 0.1})
    np.testing.assert_allclose(values(stabilization, runs), 1)
    reverse = runs_of({"sgd": np.where(is_early, late, early)}, {"sgd": 0.1})
    np.testing.assert_allclose(values(stabilization, reverse), -1)


@pytest.mark.parametrize("level", [0.0, 1e-20, 0.3, 2.0])
def test_steady_and_frozen_directions_do_not_stabilize(level: float) -> None:
    np.testing.assert_allclose(values(stabilization, runs_of({"sgd": level}, {"sgd": 0.1})), 0, atol=1e-12)


def test_direction_that_freezes_stabilizes_by_what_float32_resolves() -> None:
    runs = runs_of({"sgd": np.where(STEPS < 430, 1.0, 0.0)}, {"sgd": 0.1}, noise=0)
    effects = values(stabilization, runs)
    np.testing.assert_allclose(effects, -np.log10(RESOLUTION), rtol=0.01)


def test_reorganization_is_the_log_ratio_of_the_same_seed() -> None:
    slowing = 10 ** np.linspace(0, -2, len(STEPS))
    runs = runs_of({"sgd": 0.01 * slowing, "adam": 0.1 * slowing}, {"sgd": 0.1, "adam": 0.1}, noise=0.2)
    level = runs["displacement"].isel(waiting=0, checkpoint=0, rank=0)
    expected = np.log10(level.sel(optimizer="adam") / level.sel(optimizer="sgd"))
    np.testing.assert_allclose(values(reorganization, runs), expected.values)


def test_reorganization_of_frozen_against_moving_is_large_but_finite() -> None:
    runs = runs_of({"sgd": 0.0, "adam": 1.0}, {"sgd": 0.1, "adam": 0.1}, noise=0)
    np.testing.assert_allclose(values(reorganization, runs), -np.log10(RESOLUTION))
    both = runs_of({"sgd": 0.0, "adam": 0.0}, {"sgd": 0.1, "adam": 0.1})
    np.testing.assert_allclose(values(reorganization, both), 0, atol=1e-12)


def test_localization_is_over_the_nulls_median_in_the_second_half() -> None:
    baseline = baseline_of()
    median = float(baseline["inverse_participation_ratio"].median())
    late = np.where(STEPS < 500, 1e-6, 10 * median)
    runs = runs_of({"adam": 1.0}, {"adam": late}, noise=0)
    np.testing.assert_allclose(values(localization, runs, baseline), 1)


def test_attribution_is_the_contrast_of_localization_in_spreads_of_a_null_difference() -> None:
    baseline = baseline_of()
    spread = float(np.log10(baseline["inverse_participation_ratio"]).std(ddof=1))
    for contrast in (3.0, 0.0, -2.0):
        runs = runs_of(
            {"sgd": 0.1, "adam": 1.0},
            {"sgd": 0.03, "adam": 0.03 * 10 ** (contrast * spread)},
            noise=0,
        )
        np.testing.assert_allclose(values(attribution, runs, baseline), contrast / np.sqrt(2), atol=1e-9)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_nothing_measured_is_nan_without_a_warning(claim: object) -> None:
    runs = as_the_paper_says()
    empty = runs.assign(
        displacement=runs["displacement"] * np.nan,
        inverse_participation_ratio=runs["inverse_participation_ratio"] * np.nan,
    )
    for measured, null in ((empty, baseline_of()), (empty, baseline_of() * np.nan)):
        assert np.isnan(values(claim.effects, measured, null)).all()  # type: ignore[attr-defined]


@pytest.mark.parametrize("estimator", [localization, attribution])
def test_null_that_never_converged_tells_nothing(estimator: Estimator) -> None:
    assert np.isnan(values(estimator, as_the_paper_says(), baseline_of() * np.nan)).all()


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_a_few_masked_checkpoints_change_little(claim: object) -> None:
    runs = as_the_paper_says()
    whole = values(claim.effects, runs)  # type: ignore[attr-defined]
    for index in (3, 40, 77):
        runs["displacement"][:, :, index] = np.nan
        runs["displacement"][:, :, :, index] = np.nan
        runs["inverse_participation_ratio"][:, :, index] = np.nan
    np.testing.assert_allclose(values(claim.effects, runs), whole, rtol=0.1)  # type: ignore[attr-defined]

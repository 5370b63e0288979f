"""Effects on runs whose answer is known."""

import numpy as np
import pytest
import xarray as xr
from claims_helpers import STEPS, USUAL, as_the_paper_says, baseline_of, evidence_of, runs_of, swept

from eigendrift.claims.catalog import CLAIMS, Claim
from eigendrift.claims.effects import (
    attribution,
    coincidence,
    deal_draws,
    full_batch_departure,
    lagged_displacement,
    largest_change,
    localization,
    reorganization,
    smallest_contrast,
    stabilization,
)
from eigendrift.claims.evidence import Estimator, Evidence, NotMeasuredError, Variant, notes_on_lags
from eigendrift.metrics.lagged import RESOLUTION, lagged_pairs

LAG = USUAL.lag


def values(estimator: Estimator, runs: xr.Dataset, baseline: xr.Dataset | None = None) -> np.ndarray:
    return estimator(evidence_of(runs, baseline, sweeps=True)["digits"], USUAL).effects.values


def test_lagged_displacement_takes_the_pairs_and_keeps_the_waiting_times() -> None:
    runs = runs_of({"sgd": 0.1}, {"sgd": 0.1}, seeds=2)
    code = np.arange(len(STEPS))[:, None] * 1000.0 + np.arange(len(STEPS))
    runs["displacement"][:] = code[None, None, :, :, None]
    moved = lagged_displacement(runs, USUAL)
    assert moved.dims == ("optimizer", "seed", "waiting")
    waiting, partner = lagged_pairs(STEPS, LAG)
    np.testing.assert_array_equal(moved.values[0, 1], np.maximum(waiting * 1000.0 + partner, RESOLUTION))
    np.testing.assert_array_equal(moved["step"], STEPS[waiting])


def test_the_few_checkpoints_with_many_pairs_measure_only_lags_that_they_have() -> None:
    runs = runs_of({"sgd": 0.1, "adam": 0.2}, {"sgd": 0.1, "adam": 0.1}, steps=STEPS[::25], noise=0)
    evidence = Evidence(runs, baseline_of())
    np.testing.assert_allclose(reorganization(evidence, Variant(1, 0.25, wide=True)).effects, np.log10(2))
    with pytest.raises(NotMeasuredError, match=r"the 5 checkpoints .* no lag of 0\.125 .*, the nearest is 0\.25"):
        reorganization(evidence, Variant(1, 0.125, wide=True))
    # All checkpoints together use the nearest lag.
    assert np.isfinite(reorganization(evidence, Variant(1, 0.125)).effects).all()


def test_stabilizing_direction() -> None:
    waiting, _ = lagged_pairs(STEPS, LAG)
    is_early = STEPS[waiting].max() / 2 > STEPS
    for early, late, effect in ((0.5, 0.05, 1), (0.05, 0.5, -1)):
        runs = runs_of({"sgd": np.where(is_early, early, late)}, {"sgd": 0.1})
        np.testing.assert_allclose(values(stabilization, runs), effect)


@pytest.mark.parametrize("level", [0.0, 1e-20, 0.3, 2.0])
def test_steady_and_frozen_directions_do_not_stabilize(level: float) -> None:
    np.testing.assert_allclose(values(stabilization, runs_of({"sgd": level}, {"sgd": 0.1})), 0, atol=1e-12)


def test_frozen_directions_have_large_but_finite_effects() -> None:
    freezing = runs_of({"sgd": np.where(STEPS < 430, 1.0, 0.0)}, {"sgd": 0.1}, noise=0)
    np.testing.assert_allclose(values(stabilization, freezing), -np.log10(RESOLUTION), rtol=0.01)
    runs = runs_of({"sgd": 0.0, "adam": 1.0}, {"sgd": 0.1, "adam": 0.1}, noise=0)
    np.testing.assert_allclose(values(reorganization, runs), -np.log10(RESOLUTION))
    both = runs_of({"sgd": 0.0, "adam": 0.0}, {"sgd": 0.1, "adam": 0.1})
    np.testing.assert_allclose(values(reorganization, both), 0, atol=1e-12)


def test_reorganization_is_the_log_ratio_of_the_same_seed() -> None:
    slowing = 10 ** np.linspace(0, -2, len(STEPS))
    runs = runs_of({"sgd": 0.01 * slowing, "adam": 0.1 * slowing}, {"sgd": 0.1, "adam": 0.1}, noise=0.2)
    level = runs["displacement"].isel(waiting=0, checkpoint=0, rank=0)
    expected = np.log10(level.sel(optimizer="adam") / level.sel(optimizer="sgd"))
    np.testing.assert_allclose(values(reorganization, runs), expected.values)


def test_details_of_reorganization_are_a_share_and_the_tracked_effect() -> None:
    waiting, _ = lagged_pairs(STEPS, LAG)
    early = len(waiting) // 4
    sgd = np.where(np.arange(len(STEPS)) < early, 0.2, 0.05)
    runs = runs_of({"sgd": sgd, "adam": 0.1}, {"sgd": 0.1, "adam": 0.1}, noise=0)
    runs["tracked_displacement"][:] = 0.1
    details = reorganization(evidence_of(runs)["digits"], USUAL).details
    share = details["share of waiting times at which Adam moves more"]
    np.testing.assert_allclose(share, 1 - early / len(waiting))
    np.testing.assert_allclose(details["the same effect of tracked displacement"], 0, atol=1e-12)


def test_localization_is_over_null_draws_of_its_own_in_the_second_half() -> None:
    baseline = baseline_of()
    runs = runs_of({"adam": 1.0}, {"adam": np.where(STEPS < 500, 1e-6, 0.3)}, seeds=3, noise=0)
    drawn = np.log10(baseline["inverse_participation_ratio"].values[:, 0])
    expected = [np.log10(0.3) - drawn[seed::3].mean() for seed in range(3)]
    np.testing.assert_allclose(values(localization, runs, baseline), expected)


def test_draws_are_dealt_out_without_remainder_or_repetition() -> None:
    draws = xr.DataArray(2.0 ** np.arange(7), dims="draw")
    seeds = xr.DataArray(np.zeros(3), {"seed": [4, 5, 9]}, "seed")
    hands = deal_draws(draws, seeds)
    np.testing.assert_allclose(hands, [(1 + 8 + 64) / 3, (2 + 16) / 2, (4 + 32) / 2])
    assert hands["seed"].values.tolist() == [4, 5, 9]
    assert deal_draws(draws[:2], seeds).isnull().values.tolist() == [False, False, True]


def test_attribution_is_the_contrast_of_localization_in_spreads_of_a_null_difference() -> None:
    baseline = baseline_of()
    spread = float(np.log10(baseline["inverse_participation_ratio"]).std(ddof=1))
    for contrast in (3.0, 0.0, -2.0):
        runs = runs_of({"sgd": 0.1, "adam": 1.0}, {"sgd": 0.03, "adam": 0.03 * 10 ** (contrast * spread)}, noise=0)
        np.testing.assert_allclose(values(attribution, runs, baseline), contrast / np.sqrt(2), atol=1e-9)


def test_coincidence_is_the_mismatch_of_adam_beyond_the_mismatch_of_sgd() -> None:
    """Signs are arbitrary, and mismatches that cancel in the mean still count."""
    still = {"sgd": 0.1, "adam": 0.1}
    runs = runs_of(still, still, {"sgd": (0.3, 0.28), "adam": (0.1, 0.4)}, noise=0)
    np.testing.assert_allclose(values(coincidence, runs), 0.3 - 0.02)
    runs = runs_of(still, still, noise=0)
    turned = np.where(np.arange(len(STEPS)) % 2, 0.1, 0.5)
    runs["update_alignment"].loc[{"optimizer": "adam"}] = turned[:, None]
    np.testing.assert_allclose(values(coincidence, runs), 0.2)


def test_full_batches_depart_by_what_no_other_batch_size_does() -> None:
    still = {"sgd": 0.1, "adam": 0.1}

    def at(sgd: float, adam: float) -> xr.Dataset:
        return runs_of(still, still, {"sgd": (sgd, 0.0), "adam": (adam, 0.0)}, noise=0)

    usual = at(0.3, 0.3)
    sizes = swept({32: at(0.25, 0.3), 64: usual, 256: at(0.4, 0.3), "full": at(0.05, 0.7)})
    estimate = full_batch_departure(Evidence(usual, baseline_of(), sizes), USUAL)
    np.testing.assert_allclose(estimate.effects, ((0.25 - 0.1) + (0.4 - 0.0)) / 2)
    np.testing.assert_allclose(estimate.details["alignment, sgd, batch size 256"], 0.4)


def test_contrasts_are_as_small_as_at_the_worst_batch_size_without_the_full_batch() -> None:
    def at(moved: float, ratio: float) -> xr.Dataset:
        return runs_of({"sgd": 0.1, "adam": 0.1 * 10**moved}, {"sgd": 0.01, "adam": 0.01 * 10**ratio}, noise=0)

    usual = at(0.5, 0.6)
    for worst, expected in ((at(0.2, 0.7), 0.2), (at(0.9, -0.3), -0.3)):
        sizes = swept({64: usual, 128: worst, "full": at(-1, -1)})
        estimate = smallest_contrast(Evidence(usual, baseline_of(), sizes), USUAL)
        np.testing.assert_allclose(estimate.effects, expected)
        assert set(estimate.details) == {
            f"{name}, batch size {size}" for name in ("displacement", "IPR") for size in (64, 128)
        }


def test_change_over_learning_rates_is_the_range_over_all_pairs() -> None:
    runs = {
        level: runs_of({"sgd": level, "adam": level}, {"sgd": 0.1, "adam": 0.1}, noise=0) for level in (0.01, 0.1, 1)
    }
    rates = {
        "sgd": {0.1: runs[0.1].sel(optimizer="sgd"), 0.2: runs[1].sel(optimizer="sgd")},
        "adam": {0.001: runs[0.01].sel(optimizer="adam"), 0.01: runs[1].sel(optimizer="adam")},
    }
    estimate = largest_change(Evidence(runs[0.1], baseline_of(), {}, rates), USUAL)  # type: ignore[arg-type]
    # Adam's Δ over SGD's is 0.1 or 0.01 at the lower rate of Adam, 10 or 1 at the higher.
    np.testing.assert_allclose(estimate.effects, 3)
    np.testing.assert_allclose(estimate.details["Adam at 0.01, SGD at 0.2"], 0, atol=1e-12)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_statistics_are_means_over_the_leading_ranks(ranks: int) -> None:
    """Rank i moves, and is localized, i times as much under SGD and i² times under Adam."""
    one = runs_of({"sgd": 0.1, "adam": 0.1}, {"sgd": 0.01, "adam": 0.01}, noise=0)
    factors = xr.DataArray(
        [[1, 2, 3], [1, 4, 9]], {"optimizer": ["sgd", "adam"], "rank": [1, 2, 3]}, ("optimizer", "rank")
    )
    runs = one.squeeze("rank", drop=True)
    names = ("displacement", "tracked_displacement", "inverse_participation_ratio")
    runs = runs.assign({name: runs[name] * factors for name in names})
    variant = Variant(ranks, LAG)
    expected = np.log10(sum(i**2 for i in range(1, ranks + 1)) / sum(range(1, ranks + 1)))
    evidence = Evidence(runs, baseline_of())
    np.testing.assert_allclose(reorganization(evidence, variant).effects, expected, atol=1e-12)
    with pytest.raises(NotMeasuredError, match="the effect is of 4 eigenpairs, the study computed 3"):
        reorganization(evidence, Variant(4, LAG))


def test_a_mean_over_ranks_needs_all_of_them() -> None:
    """Otherwise a masked pair would change the set of averaged pairs."""
    runs = xr.concat([as_the_paper_says()] * 2, "rank", data_vars="minimal").assign_coords(rank=[1, 2])
    runs["inverse_participation_ratio"] = runs["inverse_participation_ratio"].copy(deep=True)
    runs["inverse_participation_ratio"].loc[{"rank": 2, "seed": 5}] = np.nan
    null = xr.concat([baseline_of()] * 2, "rank").assign_coords(rank=[1, 2])
    effects = attribution(Evidence(runs, null), Variant(2, LAG)).effects
    assert effects.isnull().values.tolist() == [seed == 5 for seed in range(8)]


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ([], "the study has no sweep over batch sizes on this data set"),
        ([64, "full"], "the sweep has fewer than two batch sizes to compare"),
        ([32, 64], None),
    ],
)
def test_a_sweep_that_varies_nothing_is_not_measured(sizes: list[int | str], reason: str | None) -> None:
    runs = as_the_paper_says()
    evidence = Evidence(runs, baseline_of(), swept(dict.fromkeys(sizes, runs)) if sizes else {})
    if reason is None:
        assert np.isfinite(smallest_contrast(evidence, USUAL).effects).all()
        reason = "the sweep over batch sizes lacks the full batch, the usual one, or another one"
    else:
        with pytest.raises(NotMeasuredError, match=reason):
            smallest_contrast(evidence, USUAL)
    with pytest.raises(NotMeasuredError, match="sweep over batch sizes"):
        full_batch_departure(evidence, USUAL)
    with pytest.raises(NotMeasuredError, match="no sweep over learning rates"):
        largest_change(evidence, USUAL)


@pytest.mark.parametrize("estimator", [smallest_contrast, full_batch_departure, largest_change])
def test_sweeps_have_no_more_eigenpairs_than_all_checkpoints_have(estimator: Estimator) -> None:
    evidence = Evidence(as_the_paper_says(), baseline_of(), None, None)
    with pytest.raises(NotMeasuredError, match="computed of the main experiment, not over "):
        estimator(evidence, USUAL)


MEASURED = (
    "displacement",
    "tracked_displacement",
    "inverse_participation_ratio",
    "gradient_alignment",
    "update_alignment",
)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_nothing_measured_is_nan_without_a_warning(claim: Claim) -> None:
    runs = as_the_paper_says()
    empty = runs.assign({name: runs[name] * np.nan for name in MEASURED})
    for measured, null in ((empty, baseline_of()), (empty, baseline_of() * np.nan)):
        assert np.isnan(values(claim.estimate, measured, null)).all()


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_a_few_masked_checkpoints_change_little(claim: Claim) -> None:
    runs = as_the_paper_says()
    whole = values(claim.estimate, runs)
    for index in (3, 40, 77):
        for name in MEASURED:
            runs[name][:, :, index] = np.nan
            if "displacement" in name:
                runs[name][:, :, :, index] = np.nan
    np.testing.assert_allclose(values(claim.estimate, runs), whole, rtol=0.1, atol=1e-9)


def test_a_lag_that_checkpoints_do_not_have_is_noted() -> None:
    runs = as_the_paper_says()
    shortest = float(runs["step"][1] / runs["step"][-1])
    (note,) = notes_on_lags(runs, "digits", [2 * shortest, shortest / 8, 2 * shortest])
    missed = f"digits: checkpoints have no lag of {shortest / 8:g} of the training"
    assert note == f"{missed}, {shortest:g} is measured instead"

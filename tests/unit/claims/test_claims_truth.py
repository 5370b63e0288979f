"""From trajectories whose truth is known, through the real metrics, to verdicts."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import xarray as xr
from claims_helpers import SETTINGS, USUAL
from scipy.stats import binom
from trajectories import CHECKPOINTS, frozen, isotropic, localizing, study, swapping, walk

from eigendrift.claims.decide import Outcome, decide_claims
from eigendrift.claims.evidence import Evidence
from eigendrift.metrics.lagged import lagged_pairs

MAIN = ("C1", "C2", "C3", "C4", "C5")
STEADY = np.full(CHECKPOINTS - 1, 0.3)
STUDIES = 200
READ = {
    "displacement",
    "tracked_displacement",
    "inverse_participation_ratio",
    "gradient_alignment",
    "update_alignment",
    "diverged_at",
    "unconverged",
}


def decide(runs: xr.Dataset, baseline: xr.Dataset, **changes: Any) -> dict[str, Outcome]:
    verdicts = decide_claims({"digits": Evidence(runs, baseline)}, {**SETTINGS, **changes})
    return {verdict.claim.name: verdict.outcome for verdict in verdicts}


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(11)


def test_frozen_directions_do_not_become_more_stable_but_moving_ones_move_more(random: np.random.Generator) -> None:
    outcomes = decide(study(random, sgd=frozen, adam=partial(walk, steps=STEADY)), isotropic(random))
    assert outcomes["C1"].verdict == "undecided"
    assert outcomes["C1"].effect == 0
    assert outcomes["C2"].verdict == "supported"
    assert outcomes["C2"].details["share of waiting times at which Adam moves more"] == 1


def test_a_walk_with_shrinking_steps_becomes_more_stable_by_as_much_as_its_steps_shrink(
    random: np.random.Generator,
) -> None:
    steps = 0.2 * 10 ** np.linspace(0, -1.5, CHECKPOINTS - 1)
    runs = study(random, sgd=partial(walk, steps=steps), adam=partial(walk, steps=steps))
    outcomes = decide(runs, isotropic(random))
    # Small steps in independent directions: squares of their lengths add up.
    waiting, partner = lagged_pairs(runs["step"].values, USUAL.lag)
    moved = np.array([(steps[a:b] ** 2).sum() for a, b in zip(waiting, partner, strict=True)])
    early = waiting < (waiting[0] + waiting[-1]) / 2
    expected = np.log10(moved[early].mean() / moved[~early].mean())
    assert outcomes["C1"].verdict == "supported"
    assert outcomes["C1"].effect == pytest.approx(expected, abs=0.1)
    assert outcomes["C2"].verdict == "contradicted"
    steady = study(random, sgd=partial(walk, steps=STEADY), adam=frozen)
    assert decide(steady, isotropic(random))["C1"].verdict == "contradicted"


def test_a_swap_of_ranks_moves_ranks_and_no_directions(random: np.random.Generator) -> None:
    """The claim is about ranks, as in the paper; the details show the tracked effect."""
    runs = study(random, sgd=frozen_pair, adam=swapping)
    neighbours = {"waiting": 3, "checkpoint": 4, "optimizer": 1}
    np.testing.assert_allclose(runs["displacement"].isel(neighbours), 2, atol=1e-6)
    np.testing.assert_allclose(runs["tracked_displacement"].isel(neighbours), 0, atol=1e-6)
    np.testing.assert_allclose(runs["subspace_displacement"].isel(neighbours)[..., -1], 0, atol=1e-6)
    second = decide(runs, isotropic(random))["C2"]
    assert second.verdict == "supported"
    assert second.effect is not None
    assert second.effect > 10
    # Two frozen directions differ by rounding alone, at most a few powers of ten at the floor of 1e-14.
    assert abs(second.details["the same effect of tracked displacement"]) < 2


def frozen_pair(random: np.random.Generator) -> np.ndarray:
    return np.repeat(swapping(random)[:1], CHECKPOINTS, axis=0)


@pytest.mark.slow
def test_a_localizing_direction_is_localized_by_the_optimizer(random: np.random.Generator) -> None:
    spread = partial(walk, steps=STEADY)
    outcomes = decide(study(random, sgd=spread, adam=localizing), isotropic(random))
    assert outcomes["C3"].verdict == outcomes["C4"].verdict == "supported"
    assert outcomes["C3"].details["log10 IPR of Adam"] > np.log10(0.3)
    both = decide(study(random, sgd=localizing, adam=localizing), isotropic(random))
    assert both["C3"].verdict == "supported"
    assert both["C4"].verdict == "contradicted"


@pytest.mark.slow
def test_updates_that_are_not_parallel_to_gradients_do_not_coincide(random: np.random.Generator) -> None:
    small = SETTINGS["smallest_effect"] | {"C5": 0.02}  # type: ignore[operator]
    runs = study(random, sgd=frozen, adam=frozen)
    assert decide(runs, isotropic(random), smallest_effect=small)["C5"].verdict == "supported"
    alike = study(random, sgd=frozen, adam=frozen, parallel=("sgd", "adam"))
    assert decide(alike, isotropic(random), smallest_effect=small)["C5"].effect == pytest.approx(0, abs=1e-9)


@pytest.fixture(scope="module")
def studies_without_difference() -> list[dict[str, Outcome]]:
    """Studies in which both optimizers are one walk, without trend, and the null model is what they do."""
    random = np.random.default_rng(12)
    still = partial(walk, steps=np.full(8, 0.6), parameters=30)
    settings = {"smallest_effect": dict.fromkeys(SETTINGS["smallest_effect"], 0.0), "resamples": 200}  # type: ignore[call-overload]
    runs = study(random, 8 * STUDIES, parallel=(), sgd=still, adam=still)
    # What no claim reads only costs time.
    runs = runs.drop_vars([name for name in runs.data_vars if name not in READ])
    return [
        decide(runs.isel(seed=slice(8 * n, 8 * n + 8)), isotropic(random, parameters=30), **settings)
        for n in range(STUDIES)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", MAIN)
def test_tests_reject_no_difference_as_often_as_they_may(
    studies_without_difference: list[dict[str, Outcome]], name: str
) -> None:
    """Of eight seeds, 12 of 256 choices of signs lie in a tail of 5 %."""
    rejected = sum((outcomes[name].p or 0) <= 0.05 for outcomes in studies_without_difference)
    low, high = binom.ppf([0.001, 0.999], STUDIES, 12 / 256)
    assert low <= rejected <= high


@pytest.mark.slow
def test_hardly_any_study_without_difference_supports_any_claim(
    studies_without_difference: list[dict[str, Outcome]],
) -> None:
    """Even if the smallest effect counted: the chance of one false claim or more is held at 5 %."""
    wrong = sum(
        any(outcome.verdict == "supported" for outcome in outcomes.values()) for outcomes in studies_without_difference
    )
    assert wrong <= binom.ppf(0.999, STUDIES, 0.05)


@pytest.mark.slow
def test_intervals_contain_no_difference_as_often_as_they_should(
    studies_without_difference: list[dict[str, Outcome]],
) -> None:
    for name in MAIN:
        intervals = [outcomes[name].interval or (np.nan, np.nan) for outcomes in studies_without_difference]
        covered = sum(low <= 0 <= high for low, high in intervals)
        # With 200 resamples of eight seeds intervals are somewhat too short.
        assert covered >= binom.ppf(0.001, STUDIES, 0.93), name

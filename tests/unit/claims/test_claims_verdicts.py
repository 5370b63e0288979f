"""Verdicts: the rule, exclusions, and how they depend on how effects are measured."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import xarray as xr
from claims_helpers import (
    NAMES,
    SETTINGS,
    STEPS,
    as_the_paper_says,
    baseline_of,
    evidence_of,
    jittered,
    runs_of,
    swept,
    without_difference,
)

from eigendrift.claims.decide import Outcome, decide_claims
from eigendrift.claims.evidence import Evidence, Variant

MAIN = ("C1", "C2", "C3", "C4", "C5")


def decide(
    runs: xr.Dataset, baseline: xr.Dataset | None = None, sweeps: bool = False, **changes: Any
) -> dict[str, Outcome]:
    verdicts = decide_claims(evidence_of(runs, baseline, sweeps=sweeps), {**SETTINGS, **changes})
    assert tuple(verdict.claim.name for verdict in verdicts) == NAMES
    return {verdict.claim.name: verdict.outcome for verdict in verdicts}


def of_main(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {name: outcomes[name].verdict for name in MAIN}


def test_runs_as_the_paper_says_support_every_claim() -> None:
    outcomes = decide(as_the_paper_says(), sweeps=True)
    assert {name: outcome.verdict for name, outcome in outcomes.items()} == dict.fromkeys(NAMES, "supported")
    for outcome in outcomes.values():
        assert (outcome.n, outcome.excluded) == (8, {})
        assert outcome.interval is not None
        assert outcome.effect == pytest.approx(np.mean(list(outcome.seeds.values())))
        assert outcome.interval[0] <= outcome.effect <= outcome.interval[1]
        assert outcome.p == outcome.smallest_p == 1 / 256
        assert outcome.corrected_p == outcome.smallest_corrected_p == 8 / 256


def test_runs_with_no_difference_support_nothing_but_that_nothing_changes() -> None:
    outcomes = decide(without_difference(), sweeps=True)
    contradicted = dict.fromkeys(("C1", "C2", "C3", "C4", "C5", "C6"), "contradicted")
    # The helper's full batch differs, whatever the optimizers do.
    expected = contradicted | {"C5b": "supported", "C7": "supported"}
    assert {name: outcome.verdict for name, outcome in outcomes.items()} == expected


def test_an_equivalence_is_contradicted_by_a_large_change() -> None:
    still = {"sgd": 0.3, "adam": 0.3}
    slow, fast = runs_of(still, still), runs_of({"sgd": 0.3, "adam": 1.2}, still)
    evidence = {"digits": Evidence(slow, baseline_of(), {}, swept({0.1: slow, 0.2: jittered(fast)}))}
    outcome = decide_claims(evidence, SETTINGS)[-1].outcome
    assert outcome.verdict == "contradicted"
    assert outcome.effect == pytest.approx(np.log10(4))
    assert outcome.reason == "the whole interval lies above the bound, 0.3"
    assert outcome.p == 1
    assert (outcome.detectable_effect or np.inf) < 0.3


def test_five_seeds_can_contradict_but_support_nothing_and_say_how_many_could() -> None:
    outcomes = decide(as_the_paper_says(seeds=5))
    for name in MAIN:
        assert outcomes[name].verdict == "undecided"
        assert outcomes[name].p == 1 / 32
        assert outcomes[name].corrected_p == outcomes[name].smallest_corrected_p == 5 / 32
        assert outcomes[name].reason.endswith(
            "but the corrected p of 5 seeds cannot be below 0.16; 7 seeds could decide"
        )
    assert set(of_main(decide(as_the_paper_says(seeds=7))).values()) == {"supported"}
    assert set(of_main(decide(as_the_paper_says(seeds=6))).values()) == {"undecided"}
    # A contradiction needs no test.
    assert set(of_main(decide(without_difference().isel(seed=slice(5)))).values()) == {"contradicted"}


def test_an_interval_above_is_not_enough_where_the_test_could_have_agreed() -> None:
    """One of eight seeds lies a little below 0, which leaves more than one choice of signs as extreme."""
    runs = without_difference()
    turned = 10 ** np.array([0.3, 0.2, 0.1, 0.15, 0.25, 0.05, 0.4, -0.001])
    shape = runs["displacement"].sel(optimizer="sgd").shape
    runs["displacement"].loc[{"optimizer": "sgd"}] = 0.1
    runs["displacement"].loc[{"optimizer": "adam"}] = np.broadcast_to(0.1 * turned[:, None, None, None], shape)
    strict = decide(runs, smallest_effect=SETTINGS["smallest_effect"] | {"C2": 0.0}, confidence=0.98)["C2"]  # type: ignore[operator]
    assert (strict.interval or (0, 0))[0] > 0
    assert strict.p == 2 / 256
    assert (strict.smallest_corrected_p or 1) < 0.02
    assert strict.verdict == "undecided"
    assert "but the corrected p is" in strict.reason


def test_an_interval_around_the_smallest_effect_is_undecided() -> None:
    runs = runs_of({"sgd": 0.1, "adam": 0.1 * 10**0.25}, {"sgd": 0.03, "adam": 0.03}, noise=0.3)
    outcome = decide(runs)["C2"]
    assert outcome.verdict == "undecided"
    assert outcome.reason == "the interval holds the smallest effect that counts, 0.1"
    low, high = outcome.interval or (np.nan, np.nan)
    assert low < 0.1 < high
    # What would have been shown lies beyond by more than half the interval.
    assert (outcome.detectable_effect or 0) - 0.1 > (high - low) / 2


def test_frozen_directions_say_nothing_and_cause_no_warning() -> None:
    """Every seed has the same effect, that of the resolution of displacements."""
    outcomes = decide(runs_of({"sgd": 0.0, "adam": 0.0}, {"sgd": 0.03, "adam": 0.03}))
    reason = "too many seeds of the same effect for an interval of 95%: 8"
    for name in ("C1", "C2"):
        assert (outcomes[name].verdict, outcomes[name].reason, outcomes[name].n) == ("undecided", reason, 8)


@pytest.mark.parametrize("optimizers", [["sgd"], ["adam"], ["sgd", "adam"]])
def test_copies_of_a_seed_are_left_out_with_the_reason(optimizers: list[str]) -> None:
    """Seven seeds that are one support nothing; a copy among eight leaves seven."""
    runs = as_the_paper_says()
    for array in runs.data_vars.values():
        for optimizer in optimizers:
            array.loc[{"optimizer": optimizer, "seed": 5}] = array.sel(optimizer=optimizer, seed=2)
    outcomes = decide(runs)
    for name, claimed in (("C1", ["sgd"]), ("C2", ["adam", "sgd"]), ("C3", ["adam"]), ("C4", ["adam", "sgd"])):
        copied = [optimizer for optimizer in claimed if optimizer in optimizers]
        reason = "{} repeats the training of seed 2 to the bit, so it is no replicate"
        assert outcomes[name].excluded == ({5: reason.format(copied[0])} if copied else {})
        assert outcomes[name].n == 8 - bool(copied)
        assert outcomes[name].verdict == "supported"


def test_seeds_that_are_all_copies_support_nothing() -> None:
    runs = as_the_paper_says(7).isel(seed=[0] * 7).assign_coords(seed=range(7))
    outcomes = decide(runs)
    for outcome in map(outcomes.get, MAIN):
        assert (outcome.verdict, outcome.n, len(outcome.excluded)) == ("undecided", 1, 6)
        assert outcome.interval is None


def test_diverged_seeds_are_left_out_with_the_reason() -> None:
    """However late a run diverged, and whatever could be measured before; also from the details."""
    runs = as_the_paper_says()
    runs["diverged_at"].loc[{"optimizer": "adam", "seed": 3}] = 995.0
    runs["update_alignment"].loc[{"optimizer": "adam", "seed": 3}] = 1.0
    outcomes = decide(runs, sweeps=True)
    assert outcomes["C1"].excluded == {}
    for name in ("C2", "C3", "C4", "C5"):
        assert outcomes[name].excluded == {3: "adam diverged at step 995"}
        assert list(outcomes[name].seeds) == [0, 1, 2, 4, 5, 6, 7]
    assert outcomes["C6"].excluded == {3: "adam at 32 diverged at step 995"}
    assert outcomes["C7"].excluded == {3: "adam at 0.1 diverged at step 995"}
    assert outcomes["C5"].details["mismatch of Adam"] == pytest.approx(0.2, abs=0.02)


def test_a_diverged_full_batch_does_not_exclude_mini_batches() -> None:
    evidence = evidence_of(as_the_paper_says(), sweeps=True)
    evidence["digits"].batch_sizes["adam"]["full"]["diverged_at"][:] = 5.0
    outcomes = {verdict.claim.name: verdict.outcome for verdict in decide_claims(evidence, SETTINGS)}
    assert outcomes["C6"].verdict == "supported"
    assert outcomes["C5b"].n == 0


def test_seeds_without_a_run_or_without_eigenpairs_are_left_out_with_the_reason() -> None:
    runs = as_the_paper_says()
    missing = {"optimizer": "adam", "seed": 4}
    for name in ("unconverged", "displacement", "inverse_participation_ratio"):
        runs[name].loc[missing] = np.nan
    runs["displacement"].loc[{"optimizer": "sgd", "seed": 0}] = np.nan
    outcome = decide(runs)["C2"]
    assert outcome.excluded == {
        0: "too few checkpoints or converged eigenpairs, of the runs or of the null model",
        4: "the study has no run of adam with this seed",
    }
    assert outcome.n == 6


@pytest.mark.parametrize("null", [1.0, np.nan])
def test_nothing_measured_at_all_is_undecided(null: float) -> None:
    runs = as_the_paper_says()
    for name in ("displacement", "inverse_participation_ratio", "update_alignment"):
        runs[name][:] = np.nan
    outcomes = decide(runs, baseline_of() * null)
    for name in MAIN:
        found = outcomes[name]
        assert (found.verdict, found.effect, found.interval, found.n) == ("undecided", None, None, 0)
        assert found.details == {} or name == "C5"
        assert len(found.excluded) == 8


@pytest.mark.parametrize(("present", "missing"), [("sgd", "adam"), ("adam", "sgd")])
def test_a_missing_optimizer_is_not_measured(present: str, missing: str) -> None:
    outcomes = decide(as_the_paper_says().sel(optimizer=[present]), sweeps=True)
    own = {"sgd": "C1", "adam": "C3"}[present]
    assert outcomes.pop(own).verdict == "supported"
    for name, outcome in outcomes.items():
        sweep = {"C5b": "batch sizes", "C6": "batch sizes", "C7": "learning rates"}.get(name)
        expected = f"the sweep over {sweep} has no runs of" if sweep else "the study has no runs of"
        found = (outcome.verdict, outcome.reason, outcome.effect, outcome.corrected_p)
        assert found == ("not measured", f"{expected} {missing}", None, None)


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_too_few_seeds_are_undecided_but_have_an_effect(seeds: int) -> None:
    outcomes = decide(as_the_paper_says(seeds=seeds))
    for name in MAIN:
        found = outcomes[name]
        assert (found.verdict, found.interval, found.p) == ("undecided", None, None)
        assert found.effect is not None
        assert found.reason == f"too few seeds for an interval of 95%: {seeds}"


def test_claims_are_corrected_over_the_data_set_that_they_are_tested_on() -> None:
    evidence = evidence_of(as_the_paper_says(), sweeps=True)
    evidence["mnist5k"] = evidence_of(as_the_paper_says())["digits"]
    verdicts = decide_claims(evidence, SETTINGS)
    assert [verdict.dataset for verdict in verdicts] == ["digits"] * 8 + ["mnist5k"] * 8
    assert {verdict.outcome.smallest_corrected_p for verdict in verdicts[:8]} == {8 / 256}
    assert {verdict.outcome.smallest_corrected_p for verdict in verdicts[8:13]} == {5 / 256}
    assert {verdict.outcome.verdict for verdict in verdicts[13:]} == {"not measured"}


@pytest.mark.slow
def test_sensitivity_decides_again_and_does_not_invent_ranks() -> None:
    settings = {**SETTINGS, "sensitivity": {"ranks": [1, 3], "lags": [0.0625, 0.125, 0.25]}}
    for verdict in decide_claims(evidence_of(as_the_paper_says(), sweeps=True), settings):
        lags = (0.0625, 0.125, 0.25) if verdict.claim.uses_lag else (0.125,)
        assert list(verdict.sensitivity) == [Variant(ranks, lag) for ranks in (1, 3) for lag in lags]
        assert verdict.sensitivity[Variant(1, 0.125)] == verdict.outcome
        for variant, outcome in verdict.sensitivity.items():
            if variant.ranks == 3:
                assert (outcome.verdict, outcome.effect, outcome.n) == ("not measured", None, 0)
                assert outcome.reason == "the effect is of 3 eigenpairs, the study computed 1"
            else:
                assert outcome.verdict == "supported"


def test_sensitivity_shows_a_claim_that_holds_at_one_lag_only() -> None:
    """Adam moves ten times as far within 100 steps, and as far as SGD over longer lags."""
    runs = without_difference(noise=0.01)
    steps = runs["step"].values
    lags = np.abs(steps[None, :] - steps[:, None])[..., None]
    runs["displacement"].loc[{"optimizer": "adam"}] *= np.where(lags <= 100, 10, 1)
    settings = {**SETTINGS, "sensitivity": {"ranks": [1], "lags": [0.0625, 0.25]}}
    second = decide_claims(evidence_of(runs), settings)[1]
    assert {variant.lag: outcome.verdict for variant, outcome in second.sensitivity.items()} == {
        0.0625: "supported",
        0.25: "contradicted",
    }


@pytest.mark.slow
def test_more_ranks_are_decided_at_the_checkpoints_that_have_them() -> None:
    """At those checkpoints two ranks move and localize as one does; at all of them there is one."""
    runs = as_the_paper_says()
    wide = xr.concat([as_the_paper_says()] * 2, "rank", data_vars="minimal").assign_coords(rank=[1, 2])
    some = {"checkpoint": slice(None, None, 25), "waiting": slice(None, None, 25)}
    null = xr.concat([baseline_of()] * 2, "rank").assign_coords(rank=[1, 2])
    wide_evidence = Evidence(wide.isel(some), null, None, None)
    evidence = dataclasses.replace(evidence_of(runs, sweeps=True)["digits"], wide=wide_evidence)
    settings = {**SETTINGS, "sensitivity": {"ranks": [1, 2, 4], "lags": [0.125, 0.25]}}
    found = {verdict.claim.name: verdict for verdict in decide_claims({"digits": evidence}, settings)}
    for verdict in found.values():
        for variant, outcome in verdict.sensitivity.items():
            assert outcome.checkpoints == (5 if variant.wide else len(STEPS))
    second = found["C2"].sensitivity
    assert list(second) == [
        *(Variant(1, lag) for lag in (0.125, 0.25)),
        Variant(1, 0.25, wide=True),
        *(Variant(ranks, lag, wide=True) for ranks in (2, 4) for lag in (0.125, 0.25)),
    ]
    assert second[Variant(2, 0.25, wide=True)].verdict == "supported"
    assert second[Variant(2, 0.25, wide=True)].effect == pytest.approx(second[Variant(1, 0.25, wide=True)].effect)
    assert "no lag of 0.125" in second[Variant(2, 0.125, wide=True)].reason
    assert second[Variant(4, 0.25, wide=True)].reason == "the effect is of 4 eigenpairs, the study computed 2"
    # Without displacement there is no lag, and over sweeps there are no more pairs.
    third, swept = found["C3"].sensitivity, found["C7"].sensitivity
    assert third[Variant(2, 0.125, wide=True)].n == 8
    assert [variant.wide for variant in third] == [False, True, True, True]
    assert {variant: outcome.verdict for variant, outcome in swept.items() if variant.wide} == {
        Variant(ranks, lag, wide=True): "not measured" for ranks in (2, 4) for lag in (0.125, 0.25)
    }

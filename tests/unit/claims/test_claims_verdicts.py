"""Verdicts: intervals, exclusions, and the files."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from claims_helpers import SETTINGS, as_the_paper_says, baseline_of, collection_of, runs_of

from eigendrift.claims.decide import Verdict, bootstrap_interval, decide_claims
from eigendrift.claims.output import write_claims


def decide(runs: xr.Dataset, baseline: xr.Dataset | None = None) -> dict[str, Verdict]:
    verdicts = decide_claims(collection_of(runs, baseline), SETTINGS)
    assert [verdict.claim for verdict in verdicts] == ["C1", "C2", "C3", "C4"]
    return {verdict.claim: verdict for verdict in verdicts}


def outcomes(verdicts: dict[str, Verdict]) -> list[str]:
    return [verdict.verdict for verdict in verdicts.values()]


def test_runs_as_the_paper_says_support_every_claim() -> None:
    verdicts = decide(as_the_paper_says())
    assert outcomes(verdicts) == ["supported"] * 4
    for verdict in verdicts.values():
        assert verdict.n == 5
        assert verdict.excluded == {}
        assert verdict.interval is not None
        assert verdict.interval[0] <= verdict.effect <= verdict.interval[1]
        assert verdict.effect == pytest.approx(np.mean(list(verdict.seeds.values())))


def test_runs_with_no_difference_contradict_every_claim() -> None:
    runs = runs_of({"sgd": 0.3, "adam": 0.3}, {"sgd": 0.03, "adam": 0.03}, noise=0.001)
    assert outcomes(decide(runs)) == ["contradicted"] * 4


def test_an_interval_around_the_smallest_effect_is_undecided() -> None:
    runs = runs_of({"sgd": 0.1, "adam": 0.1 * 10**0.1}, {"sgd": 0.03, "adam": 0.03}, noise=0.3)
    verdict = decide(runs)["C2"]
    assert verdict.verdict == "undecided"
    assert "holds the smallest effect" in verdict.reason
    low, high = verdict.interval or (np.nan, np.nan)
    assert low < 0.1 < high


def test_frozen_directions_are_decided_without_a_warning() -> None:
    verdicts = decide(runs_of({"sgd": 0.0, "adam": 0.0}, {"sgd": 0.03, "adam": 0.03}))
    assert verdicts["C1"].verdict == verdicts["C2"].verdict == "contradicted"
    assert verdicts["C1"].n == 5


def test_diverged_seeds_are_left_out_with_the_reason() -> None:
    """However late a run diverged, and whatever could be measured before."""
    runs = as_the_paper_says()
    runs["diverged_at"].loc[{"optimizer": "adam", "seed": 3}] = 995.0
    verdicts = decide(runs)
    assert verdicts["C1"].excluded == {}
    for name in ("C2", "C3", "C4"):
        assert verdicts[name].excluded == {3: "adam diverged at step 995"}
        assert list(verdicts[name].seeds) == [0, 1, 2, 4]
        assert verdicts[name].n == 4


def test_seeds_without_a_run_or_without_eigenpairs_are_left_out_with_the_reason() -> None:
    runs = as_the_paper_says()
    missing = {"optimizer": "adam", "seed": 4}
    for name in ("unconverged", "displacement", "inverse_participation_ratio"):
        runs[name].loc[missing] = np.nan
    runs["displacement"].loc[{"optimizer": "sgd", "seed": 0}] = np.nan
    verdict = decide(runs)["C2"]
    assert verdict.excluded == {
        0: "too few checkpoints or converged eigenpairs, of the runs or of the null model",
        4: "the study has no run of adam with this seed",
    }
    assert verdict.n == 3


@pytest.mark.parametrize("null", [1.0, np.nan])
def test_nothing_measured_at_all_is_undecided(null: float) -> None:
    runs = as_the_paper_says()
    for name in ("displacement", "inverse_participation_ratio"):
        runs[name][:] = np.nan
    for verdict in decide(runs, baseline_of() * null).values():
        assert verdict.verdict == "undecided"
        assert verdict.effect is None
        assert verdict.interval is None
        assert verdict.n == 0
        assert len(verdict.excluded) == 5


@pytest.mark.parametrize(("present", "missing"), [("sgd", "adam"), ("adam", "sgd")])
def test_a_missing_optimizer_is_undecided(present: str, missing: str) -> None:
    verdicts = decide(as_the_paper_says().sel(optimizer=[present]))
    for verdict in verdicts.values():
        if verdict.reason == f"the study has no runs of {missing}":
            assert verdict.verdict == "undecided"
            assert verdict.effect is None
        else:
            assert verdict.claim == {"sgd": "C1", "adam": "C3"}[present]
            assert verdict.verdict == "supported"


def test_one_seed_is_undecided_but_has_an_effect() -> None:
    for verdict in decide(as_the_paper_says().isel(seed=[0])).values():
        assert verdict.verdict == "undecided"
        assert verdict.interval is None
        assert verdict.effect is not None
        assert verdict.reason == "fewer than 2 seeds can tell"


def test_seeds_that_agree_exactly_have_an_interval_of_no_width() -> None:
    low, high = bootstrap_interval(np.full(4, 0.25), 0.95, 500) or (np.nan, np.nan)
    assert low == high == 0.25


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95])
def test_interval_is_that_of_all_resamples(confidence: float) -> None:
    """Five values have 3,125 resamples; their means can all be listed."""
    effects = np.array([0.1, 0.35, 0.4, 0.82, 1.3])
    means = [np.mean(resample) for resample in itertools.product(effects, repeat=5)]
    exact = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    found = bootstrap_interval(effects, confidence, 20_000)
    np.testing.assert_allclose(found, exact, atol=0.02)
    assert found == bootstrap_interval(effects, confidence, 20_000)


def test_files_are_strict_json_and_a_table_and_do_not_change(tmp_path: Path) -> None:
    runs = as_the_paper_says()
    runs["diverged_at"].loc[{"optimizer": "adam", "seed": 3}] = 995.0
    runs["displacement"].loc[{"optimizer": "sgd"}] = np.nan
    collection = collection_of(runs)
    written = []
    for name in ("one", "two"):
        paths = tmp_path / f"{name}.json", tmp_path / f"{name}.csv"
        write_claims(decide_claims(collection, SETTINGS), SETTINGS, collection, *paths)
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1]

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    content = json.loads(written[0][0], parse_constant=refuse)
    assert content["schema_version"] == 1
    assert content["null_model"] == "isotropic"
    assert content["settings"] == SETTINGS
    assert content["notes"] == ["digits, adam: seed 3 diverged at step 995"]
    assert [claim["claim"] for claim in content["claims"]] == ["C1", "C2", "C3", "C4"]
    assert content["claims"][0]["effect"] is None
    assert content["claims"][0]["interval"] is None
    third = content["claims"][2]
    assert third["excluded"] == {"3": "adam diverged at step 995"}
    assert list(third["seeds"]) == ["0", "1", "2", "4"]
    table = pd.read_csv(tmp_path / "one.csv")
    expected = "claim dataset verdict effect low high smallest_effect unit n reason"
    assert list(table.columns) == expected.split()
    assert table["low"].isna().tolist() == [True, True, False, False]
    assert table["low"][2] == pytest.approx(third["interval"][0])


def test_every_data_set_is_decided_on_its_own() -> None:
    collection = collection_of(as_the_paper_says())
    collection.runs["mnist5k"] = runs_of({"sgd": 0.3, "adam": 0.3}, {"sgd": 0.03, "adam": 0.03})
    collection.baselines["mnist5k"] = baseline_of()
    verdicts = decide_claims(collection, SETTINGS)
    assert [verdict.dataset for verdict in verdicts] == ["digits"] * 4 + ["mnist5k"] * 4
    assert {verdict.verdict for verdict in verdicts[:4]} == {"supported"}
    assert "supported" not in {verdict.verdict for verdict in verdicts[4:]}

"""Claims over regimes: planted effects are found where they were planted, and prefixes are trainings."""

import numpy as np
import pytest
import xarray as xr
from claims_helpers import SEEDS, SETTINGS, STEPS, baseline_of, jittered, runs_of
from claims_helpers import as_the_paper_says as unlike
from claims_helpers import without_difference as alike

from eigendrift.claims.decide import decide_claims
from eigendrift.claims.evidence import Evidence
from eigendrift.claims.regimes import COLUMNS, TrainingSet, decide_regimes, shortened

PAIRS = [(0.01, 0.001), (0.1, 0.002)]


def fitted(runs: xr.Dataset, accuracy: float = 1.0) -> xr.Dataset:
    """Runs whose training accuracy is that at every checkpoint."""
    shape = (runs.sizes["optimizer"], runs.sizes["seed"], len(STEPS))
    dims = ("optimizer", "seed", "checkpoint")
    return runs.assign(train_accuracy=(dims, np.full(shape, accuracy)), train_loss=(dims, np.full(shape, 1 - accuracy)))


def training_set(samples: int, first: xr.Dataset, second: xr.Dataset) -> TrainingSet:
    """Runs at the first pair of learning rates, and at the second."""
    runs = {
        name: {
            pair[place]: one.sel(optimizer=name, drop=True)
            for pair, one in zip(PAIRS, (first, jittered(second)), strict=True)
        }
        for place, name in enumerate(("sgd", "adam"))
    }
    return TrainingSet("digits", samples, runs, baseline_of())


def rows(table, claim, **regime):
    for key, value in regime.items():
        table = table[table[key] == value]
    return table[table["claim"] == claim]


def test_effects_are_found_where_they_were_planted_and_nowhere_else():
    sets = [training_set(100, fitted(unlike()), fitted(alike())), training_set(900, fitted(alike()), fitted(alike()))]
    table = decide_regimes(sets, PAIRS, [1], SETTINGS)
    assert tuple(table.columns) == COLUMNS
    for claim in ("C1", "C2", "C3", "C4", "C5"):
        found = rows(table, claim).set_index(["training_samples", "sgd_learning_rate"])["verdict"]
        assert found.pop((100, 0.01)) == "supported", claim
        assert set(found) == {"contradicted"}, claim
    assert set(table["adam_learning_rate"].dropna()) == {0.001, 0.002}
    seventh = rows(table, "C7").set_index("training_samples")
    assert seventh["verdict"].to_dict() == {100: "contradicted", 900: "supported"}
    assert seventh["sgd_learning_rate"].isna().all()
    assert not set(table["claim"]) & {"C5b", "C6"}


@pytest.mark.slow
def test_each_length_is_decided_as_a_training_of_its_own():
    """SGD stands still from the middle on, which the first half of the training does not show."""
    late = np.where(STEPS[-1] / 2 >= STEPS, 0.3, 0.003)
    runs = fitted(runs_of({"sgd": late, "adam": 0.3}, {"sgd": 0.03, "adam": 0.03}))
    table = decide_regimes([training_set(100, runs, runs)], PAIRS, [0.5, 1], SETTINGS)
    for claim in ("C1", "C2"):
        verdicts = rows(table, claim, sgd_learning_rate=0.01).set_index("steps")["verdict"].to_dict()
        assert verdicts == {500: "contradicted", 1000: "supported"}, claim


@pytest.mark.slow
def test_a_regime_of_the_main_experiment_has_its_verdicts():
    runs = fitted(unlike())
    table = decide_regimes([training_set(100, runs, runs)], PAIRS, [1], SETTINGS)
    main = {
        verdict.claim.name: verdict.outcome
        for verdict in decide_claims({"digits": Evidence(runs, baseline_of())}, SETTINGS)
    }
    for row in rows(table[table["sgd_learning_rate"] == 0.1], "C2", training_samples=100).to_dict("records"):
        expected = main["C2"]
        each = expected.seeds.values()
        assert (row["verdict"], row["reason"]) == (expected.verdict, expected.reason)
        found = [row[name] for name in ("effect", "low", "high", "lowest_seed", "highest_seed")]
        assert found == pytest.approx([expected.effect, *expected.interval, min(each), max(each)])


def test_few_seeds_decide_nothing_but_have_effects():
    table = decide_regimes(
        [training_set(100, fitted(unlike(2)), fitted(alike().isel(seed=slice(2))))], PAIRS, [1], SETTINGS
    )
    assert set(table["verdict"]) == {"undecided"}
    assert set(table["n"]) == {2}
    assert table[["low", "high"]].isna().all(axis=None)
    assert table["reason"].str.startswith("too few seeds").all()
    assert (table["lowest_seed"] <= table["effect"]).all()
    assert (table["effect"] <= table["highest_seed"]).all()


def test_seeds_that_one_setting_lacks_are_left_out():
    runs = training_set(100, fitted(unlike()), fitted(unlike()))
    runs.runs["adam"][0.001] = runs.runs["adam"][0.001].isel(seed=slice(0, 3))
    table = decide_regimes([runs], PAIRS, [1], SETTINGS)
    assert rows(table, "C2").set_index("sgd_learning_rate")["n"].to_dict() == {0.01: 3, 0.1: SEEDS}
    assert rows(table, "C7")["n"].tolist() == [3]


@pytest.mark.slow
def test_optimizers_that_interpolate_fit_every_sample_in_every_run():
    runs = fitted(unlike())
    imperfect = runs["train_accuracy"].copy()
    imperfect.loc[{"optimizer": "adam", "seed": 3}] = 0.99
    sets = [
        training_set(100, runs, runs.assign(train_accuracy=imperfect)),
        training_set(900, fitted(unlike(), 0.9), fitted(unlike(), 0.9)),
    ]
    table = decide_regimes(sets, PAIRS, [1], SETTINGS)
    found = rows(table, "C2").set_index(["training_samples", "sgd_learning_rate"])
    assert found["interpolating"].tolist() == ["sgd and adam", "sgd", "neither", "neither"]
    assert found.loc[(100, 0.1), "adam_train_accuracy"] == pytest.approx(1 - 0.01 / SEEDS)
    assert found.loc[(900, 0.1), "sgd_train_loss"] == pytest.approx(0.1)
    gone = runs.assign(train_accuracy=runs["train_accuracy"].where(runs["optimizer"] != "adam"))
    diverged = decide_regimes([training_set(100, gone, runs)], PAIRS, [1], SETTINGS)
    assert rows(diverged, "C2")["interpolating"].tolist() == ["sgd", "sgd and adam"]
    # Over all learning rates, one run that does not is enough.
    assert rows(table, "C7", training_samples=100)["interpolating"].tolist() == ["sgd"]


def test_a_divergence_after_the_end_has_not_happened():
    runs = fitted(unlike()).sel(optimizer="sgd", drop=True)
    runs["diverged_at"] = runs["diverged_at"].where(runs["seed"] != 2, 700.0).where(runs["seed"] != 4, 500.0)
    short = shortened(runs, 0.5)
    assert short["step"].values.tolist() == list(range(0, 510, 10))
    assert short.sizes["waiting"] == short.sizes["checkpoint"] == 51
    # The loss of the step that starts at the end belongs to the training.
    assert short["seed"].values[short["diverged_at"].notnull()].tolist() == [4]


@pytest.mark.slow
def test_a_loss_above_the_initial_loss_at_the_end_is_a_divergence():
    """A training that rises above its initial loss and returns is cut short on the way."""
    runs = fitted(unlike())
    risen = (runs["seed"] == 1) & (runs["optimizer"] == "sgd") & (runs["step"] >= 300) & (runs["step"] < 800)
    runs["train_loss"] = runs["train_loss"].where(~risen, 50.0)
    assert shortened(runs, 1)["diverged_at"].isnull().all()
    short = shortened(runs, 0.5)["diverged_at"]
    assert short.sel(optimizer="sgd", seed=1).item() == 300
    assert short.notnull().sum() == 1
    table = decide_regimes([training_set(100, runs, fitted(unlike()))], PAIRS, [0.5, 1], SETTINGS)
    found = rows(table, "C1").set_index(["steps", "sgd_learning_rate"])
    assert found["n"].to_dict() == {(500, 0.01): SEEDS - 1, (500, 0.1): SEEDS, (1000, 0.01): SEEDS, (1000, 0.1): SEEDS}
    assert found.loc[(500, 0.01), "sgd_train_loss"] == 0

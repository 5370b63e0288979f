"""The runs of a study, their directories and settings."""

import json
import re

from study_helpers import CONFIG, changed, merged

from eigendrift.study.check import ordered
from eigendrift.study.runs import (
    Run,
    all_runs,
    null_settings,
    runs_of,
    solver_settings,
    training_settings,
)

SMALL = merged(
    changed("experiments", {"main": CONFIG["experiments"]["main"]}),
    {"experiments": {"main": {"optimizers": ["adam", "sgd"], "seeds": 2}}},
)
WIDE = {"hidden_widths": [64], "activation": "relu", "initialization": "glorot_uniform"}


def test_order_is_data_sets_then_optimizers_then_seeds() -> None:
    found = [(run.dataset, run.optimizer, run.seed) for run in runs_of(SMALL, "main")]
    assert found == [
        (dataset, optimizer, seed)
        for dataset in ("mnist5k", "digits")
        for optimizer in ("adam", "sgd")
        for seed in (0, 1)
    ]


def test_the_directory_spells_the_settings() -> None:
    run = runs_of(CONFIG, "main")[0]
    assert run == Run("mnist5k", "mlp-32-32", "sgd", 64, 0.05, 0)
    assert run.directory == "mnist5k/mlp-32-32/sgd/batch64-lr0.05/seed0"
    full = Run("digits", "linear", "adam", "full", 1e-8, 12)
    assert full.directory == "digits/linear/adam/batchfull-lr1e-08/seed12"


def test_experiments_share_the_runs_that_they_have_in_common() -> None:
    second = {
        "datasets": ["digits"],
        "optimizers": ["sgd"],
        "model": "mlp-32-32",
        "batch_size": 64,
        "seeds": 3,
    }
    both = merged(SMALL, {"experiments": {"second": second}})
    assert list(all_runs(both)) == [
        *(run.directory for run in runs_of(both, "main")),
        "digits/mlp-32-32/sgd/batch64-lr0.05/seed2",
    ]
    assert all(run.directory == directory for directory, run in all_runs(both).items())


def test_whatever_tells_runs_apart_tells_their_directories_apart() -> None:
    main = CONFIG["experiments"]["main"]
    others = {
        "batch": main | {"batch_size": 32},
        "full": main | {"batch_size": "full"},
        "model": main | {"model": "wide"},
        "rate": main | {"learning_rate": {"sgd": [0.01], "momentum": [0.01], "adam": [0.01]}},
    }
    config = changed("experiments", {"main": main, **others}) | {"models": {**CONFIG["models"], "wide": WIDE}}
    runs = {run for name in config["experiments"] for run in runs_of(config, name)}
    assert len({run.directory for run in runs}) == len(runs) == 5 * 6 * main["seeds"]


def test_training_settings_are_complete() -> None:
    run = next(run for run in runs_of(CONFIG, "main") if run.optimizer == "adam")
    assert training_settings(CONFIG, run) == {
        "dataset": "mnist5k",
        "model": {"name": "mlp-32-32", **CONFIG["models"]["mlp-32-32"]},
        "optimizer": {"name": "adam", **CONFIG["optimizers"]["adam"]},
        "batch_size": 64,
        "seed": 0,
        "steps": 8000,
        "checkpoints": {"count": 41, "spacing": "linear"},
    }


def test_solver_settings_know_of_the_pairs_that_they_ask_for_only() -> None:
    others = ("samples", "chunk_size", "tolerance", "max_products", "basis_size")
    expected = {key: CONFIG["eigenpairs"][key] for key in others}
    assert solver_settings(CONFIG) == expected | {"count": 3}
    assert solver_settings(CONFIG, "wide_count") == expected | {"count": 15}


def test_neither_plot_nor_claim_settings_reach_a_run() -> None:
    run = runs_of(CONFIG, "main")[0]
    everything = json.dumps(training_settings(CONFIG, run))
    assert not re.search("waiting|lag|tolerance|device|style", everything)


def test_the_order_in_which_a_user_writes_keys_changes_no_settings() -> None:
    turned = json.loads(json.dumps(CONFIG), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    contents = {
        json.dumps([training_settings(config, run), null_settings(config, "digits", run.model, "isotropic")])
        for config in (ordered(CONFIG), ordered(turned))
        for run in runs_of(config, "main")[:1]
    }
    assert len(contents) == 1

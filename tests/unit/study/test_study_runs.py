"""The runs and null models of a study: their directories and settings."""

import json

import pytest
from study_helpers import CONFIG, DATASETS, changed, merged

from eigendrift.null.models import NULL_MODELS
from eigendrift.study.captions import facts_of
from eigendrift.study.check import check_sizes, ordered
from eigendrift.study.runs import (
    Run,
    all_runs,
    data_settings,
    null_names,
    null_settings,
    parts_of,
    regimes_settings,
    runs_of,
    runs_of_regimes,
    solver_settings,
    steps_of,
    subset_name,
    training_settings,
    with_subsets,
)

MAIN = CONFIG["experiments"]["main"]
RATES, SAMPLES = "experiments.learning_rates.learning_rate", "experiments.training_sizes.training_samples"
SMALL = merged(
    changed("experiments", {"main": MAIN}),
    {"experiments": {"main": {"optimizers": ["adam", "sgd"], "seeds": 2}}},
)
WIDE = {"hidden_widths": [64], "activation": "relu", "initialization": "glorot_uniform"}
NAMES = list(NULL_MODELS)


def run_with(batch_size: int | str) -> Run:
    return Run("digits", "mlp-32-32", "sgd", batch_size, 0.05, 0)


def test_runs_are_ordered_by_data_set_then_optimizer_then_seed() -> None:
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
    second = MAIN | {"datasets": ["digits"], "optimizers": ["sgd"], "seeds": 3}
    both = merged(SMALL, {"experiments": {"second": second}})
    assert list(all_runs(both)) == [
        *(run.directory for run in runs_of(both, "main")),
        "digits/mlp-32-32/sgd/batch64-lr0.05/seed2",
    ]
    assert all(run.directory == directory for directory, run in all_runs(both).items())


def test_runs_with_different_settings_have_different_directories() -> None:
    others = {
        "batch": MAIN | {"batch_size": 32},
        "full": MAIN | {"batch_size": "full"},
        "model": MAIN | {"model": "wide"},
        "rate": MAIN | {"learning_rate": {"sgd": [0.01], "momentum": [0.01], "adam": [0.01]}},
    }
    config = changed("experiments", {"main": MAIN, **others}) | {"models": {**CONFIG["models"], "wide": WIDE}}
    runs = {run for name in config["experiments"] for run in runs_of(config, name)}
    assert len({run.directory for run in runs}) == len(runs) == 5 * 6 * MAIN["seeds"]


@pytest.mark.parametrize(
    ("run", "steps"),
    [
        (Run("mnist5k", "mlp-32-32", "adam", 64, 0.001, 0), 8000),
        (Run("digits", "mlp-32-32", "adam", 256, 0.3, 1), 2000),
    ],
)
def test_training_settings_are_complete_and_those_of_the_run(run: Run, steps: int) -> None:
    assert training_settings(CONFIG, run) == {
        "dataset": run.dataset,
        "model": {"name": "mlp-32-32", **CONFIG["models"]["mlp-32-32"]},
        "optimizer": {"name": "adam", **CONFIG["optimizers"]["adam"], "learning_rate": run.learning_rate},
        "batch_size": run.batch_size,
        "seed": run.seed,
        "steps": steps,
        "checkpoints": {"count": 41, "spacing": "linear"},
    }


def test_solver_settings_contain_only_the_number_of_pairs_that_is_computed() -> None:
    others = ("samples", "chunk_size", "tolerance", "max_products", "basis_size")
    expected = {key: CONFIG["eigenpairs"][key] for key in others}
    assert solver_settings(CONFIG) == expected | {"count": 3}
    assert solver_settings(CONFIG, "wide_count") == expected | {"count": 15}


def test_the_order_of_keys_in_a_file_changes_no_settings() -> None:
    reversed_keys = json.loads(json.dumps(CONFIG), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    contents = {
        json.dumps([training_settings(config, run), null_settings(config, "digits", run.model, "isotropic")])
        for config in (ordered(CONFIG), ordered(reversed_keys))
        for run in runs_of(config, "main")[:1]
    }
    assert len(contents) == 1


def test_each_batch_size_has_runs_of_each_optimizer_and_seed() -> None:
    runs = runs_of(CONFIG, "batch_sizes")
    assert [(run.optimizer, run.batch_size, run.seed) for run in runs] == [
        (optimizer, size, seed)
        for optimizer in ("sgd", "momentum", "adam")
        for size in (32, 64, 256, "full")
        for seed in (0, 1)
    ]
    rates = {(run.optimizer, run.learning_rate) for run in runs}
    assert rates == {(name, CONFIG["optimizers"][name]["learning_rate"]) for name in CONFIG["optimizers"]}


def test_optimizers_have_the_learning_rates_of_the_sweep_or_their_usual_one() -> None:
    runs = runs_of(changed(RATES, {"adam": [0.01, 3]}), "learning_rates")
    rates = [(run.optimizer, run.learning_rate) for run in runs if run.seed == 0]
    assert rates == [("sgd", 0.05), ("momentum", 0.005), ("adam", 0.01), ("adam", 3.0)]
    alone = changed("experiments.learning_rates.optimizers", ["adam"])
    assert {run.optimizer for run in runs_of(alone, "learning_rates")} == {"adam"}


def test_sweeps_share_the_runs_of_the_main_experiment() -> None:
    shared = {run for run in runs_of(CONFIG, "batch_sizes") if run.batch_size == MAIN["batch_size"]}
    assert len(shared) == 3 * 2
    assert shared <= {*runs_of(CONFIG, "main")}
    # Main; three more batch sizes; two more rates for each; another training set with three for two.
    assert len(all_runs(CONFIG)) == 2 * 3 * 7 + 3 * 3 * 2 + (2 + 2 + 2) * 2 + 3 * 2 * 2


def test_a_learning_rate_is_the_same_with_and_without_a_decimal_point() -> None:
    config = merged(CONFIG, {"optimizers": {"sgd": {"learning_rate": 1}}})
    config["experiments"]["learning_rates"]["learning_rate"]["sgd"] = [1.0]
    main, swept = (
        {run.directory for run in runs_of(config, name) if run.optimizer == "sgd"}
        for name in ("main", "learning_rates")
    )
    assert swept < main


@pytest.mark.parametrize(
    ("batch_size", "steps"),
    [(64, 8000), (32, 16000), (256, 2000), (1, 512_000), (63, 8127), (10**7, 1), ("full", 2000)],
)
def test_all_runs_see_the_same_number_of_samples_except_full_batch_runs(batch_size: int | str, steps: int) -> None:
    assert steps_of(CONFIG, run_with(batch_size)) == steps


def test_full_batch_runs_have_their_own_number_of_steps_except_in_the_main_experiment() -> None:
    longer = changed("training.full_batch_steps", 3000)
    assert training_settings(longer, run_with(64)) == training_settings(CONFIG, run_with(64))
    assert steps_of(longer, run_with("full")) == 3000
    config = changed("experiments.main.batch_size", "full")
    assert steps_of(config, run_with("full")) == 8000
    assert steps_of(config, run_with(64)) == 2000


def test_a_study_without_sweeps_has_only_the_main_runs() -> None:
    config = changed("experiments", {"main": MAIN})
    assert [*all_runs(config).values()] == runs_of(CONFIG, "main")
    check_sizes(config, DATASETS)
    assert with_subsets(config, DATASETS) == DATASETS


@pytest.mark.parametrize(("samples", "name"), [(500, "mnist5k-500"), ("all", "mnist5k")])
def test_the_name_of_a_subset_has_data_set_and_size(samples: int | str, name: str) -> None:
    assert subset_name("mnist5k", samples) == name
    assert parts_of(name) == ("mnist5k", samples)
    assert data_settings(CONFIG, name) == {
        "dataset": "mnist5k",
        "training_samples": samples,
        "input_scaling": "standardized",
    }


def test_training_sizes_are_crossed_with_learning_rates_and_share_the_runs_at_full_size() -> None:
    runs = runs_of(changed(SAMPLES, [500, 1500, "all"]), "training_sizes")
    assert len({run.directory for run in runs}) == 3 * (3 + 3) * 2
    assert {run for run in runs if run.dataset == "mnist5k"} < {*runs_of(CONFIG, "learning_rates")}
    assert {run.directory.split("/")[0] for run in runs} == {"mnist5k-500", "mnist5k-1500", "mnist5k"}
    assert {training_settings(CONFIG, run)["steps"] for run in runs} == {CONFIG["training"]["steps"]}


def test_a_subset_differs_from_its_data_set_only_in_size() -> None:
    known = with_subsets(CONFIG, DATASETS)
    small = known["mnist5k-500"]
    assert (small.training_samples, small.image_shape, small.classes) == (500, (28, 28), 10)
    assert known["mnist5k"] is DATASETS["mnist5k"]
    caption = facts_of(CONFIG, runs_of(CONFIG, "training_sizes"), known)["runs"]
    assert "mnist5k-500: 500 training samples, 784-32-32-10 perceptron" in caption
    assert "Hessian over 500 training samples." in caption
    assert "mnist5k: 4,000 training samples" in caption


def test_regimes_use_every_seed_of_their_settings() -> None:
    config = merged(CONFIG, {"experiments": {"main": {"seeds": 5}}})
    seeds: dict[tuple[str, str, float], int] = {}
    for run in runs_of_regimes(config):
        key = (run.dataset, run.optimizer, run.learning_rate)
        seeds[key] = seeds.get(key, 0) + 1
    assert len(seeds) == 2 * 2 * 3
    assert seeds["mnist5k", "sgd", 0.05] == seeds["mnist5k", "adam", 0.001] == 5
    assert sorted(seeds.values()) == [2] * 10 + [5] * 2


def test_regimes_pair_learning_rates_by_position() -> None:
    rates = {"sgd": [0.2, 0.01], "adam": [0.001, 0.01]}
    config = changed("experiments.training_sizes.learning_rate", rates)
    settings = regimes_settings(config, with_subsets(config, DATASETS))
    assert settings["pairs"] == [[0.2, 0.001], [0.01, 0.01]]
    assert settings["sets"] == {"mnist5k-500": ["mnist5k", 500], "mnist5k": ["mnist5k", 4000]}
    assert settings["lengths"] == CONFIG["experiments"]["training_sizes"]["training_lengths"]
    # Regimes do not use the settings of the sensitivity analysis, so these must not rerun regimes.
    assert "sensitivity" not in settings["claims"]


def test_every_null_model_says_what_it_keeps_and_destroys() -> None:
    for facts in NULL_MODELS.values():
        assert "17" in facts.sentence(17)
        assert facts.sentence(17).endswith(f"; keeps {facts.keeps}, destroys {facts.destroys}")


@pytest.mark.parametrize(
    ("names", "untrained"),
    [(NAMES, ["permuted", "shuffled_labels"]), (["reinitialized", "shuffled_labels"], ["shuffled_labels"])],
)
def test_null_models_have_draws_that_validate_them(names: list[str], untrained: list[str]) -> None:
    validation = [f"untrained-{name}" for name in ("observed", *untrained)]
    assert null_names(changed("null_models.names", names)) == [*names, *validation, "wide-reinitialized"]


@pytest.mark.parametrize("null", ["isotropic", "untrained-observed", "untrained-permuted"])
def test_settings_of_draws_without_training_are_complete(null: str) -> None:
    draws = CONFIG["null_models"]
    assert null_settings(CONFIG, "digits", "mlp-32-32", null) == {
        "dataset": "digits",
        "model": {"name": "mlp-32-32", **CONFIG["models"]["mlp-32-32"]},
        "null_model": null.removeprefix("untrained-"),
        "draws": draws["draws"]["isotropic"] if null == "isotropic" else draws["validation"]["draws"],
        "trainings": [],
        "eigenpairs": solver_settings(CONFIG),
    }


@pytest.mark.parametrize("null", NAMES)
def test_wide_draws_differ_only_in_their_number_and_in_eigenpairs(null: str) -> None:
    few, many = (null_settings(CONFIG, "digits", "mlp-32-32", name) for name in (null, f"wide-{null}"))
    assert many == few | {
        "draws": CONFIG["null_models"]["draws"]["wide"],
        "eigenpairs": solver_settings(CONFIG, "wide_count"),
    }


@pytest.mark.parametrize("null", ["permuted", "shuffled_labels"])
def test_draws_of_trained_networks_have_the_trainings_of_the_main_experiment(null: str) -> None:
    settings = null_settings(CONFIG, "digits", "mlp-32-32", null)
    assert settings["draws"] == CONFIG["null_models"]["draws"][null]
    names = [training["optimizer"]["name"] for training in settings["trainings"]]
    assert names == ["sgd", "momentum", "adam"]
    run = next(run for run in runs_of(CONFIG, "main") if run.dataset == "digits" and run.optimizer == "adam")
    expected = training_settings(CONFIG, run)
    del expected["seed"], expected["checkpoints"]
    assert settings["trainings"][2] == expected

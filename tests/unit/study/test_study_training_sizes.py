"""Training sets of reduced size, crossed with learning rates: their runs, and what is wrong with them."""

from typing import Any

import pytest
from study_helpers import CONFIG, SCHEMA, Dataset, changed, merged, refusal

from eigendrift.errors import UserError
from eigendrift.study.captions import facts_of
from eigendrift.study.check import check_config, check_sizes
from eigendrift.study.runs import (
    all_runs,
    data_settings,
    parts_of,
    regimes_settings,
    runs_of,
    runs_of_regimes,
    subset_name,
    training_settings,
    with_subsets,
)

DATASETS = {"mnist5k": Dataset(4000, (28, 28), 10), "digits": Dataset(1437, (8, 8), 10)}
HERE = "experiments.training_sizes"
SIZES, LENGTHS, RATES = f"{HERE}.training_samples", f"{HERE}.training_lengths", f"{HERE}.learning_rate"


@pytest.mark.parametrize(("samples", "name"), [(500, "mnist5k-500"), ("all", "mnist5k")])
def test_a_name_spells_data_set_and_size(samples: int | str, name: str) -> None:
    assert subset_name("mnist5k", samples) == name
    assert parts_of(name) == ("mnist5k", samples)


def test_sizes_and_learning_rates_make_a_grid_of_which_the_whole_size_is_another_sweeps() -> None:
    runs = runs_of(changed(SIZES, [500, 1500, "all"]), "training_sizes")
    assert len({run.directory for run in runs}) == 3 * (3 + 3) * 2
    whole = {run for run in runs if run.dataset == "mnist5k"}
    assert whole < {*runs_of(CONFIG, "learning_rates")}
    assert {run.directory.split("/")[0] for run in runs} == {"mnist5k-500", "mnist5k-1500", "mnist5k"}
    lengths = {training_settings(CONFIG, run)["steps"] for run in runs}
    assert lengths == {CONFIG["training"]["steps"]}


def test_what_is_known_of_a_subset_is_that_of_the_whole_but_for_its_size() -> None:
    known = with_subsets(CONFIG, DATASETS)
    small = known["mnist5k-500"]
    assert (small.training_samples, small.image_shape, small.classes) == (500, (28, 28), 10)
    assert known["mnist5k"] is DATASETS["mnist5k"]
    told = facts_of(CONFIG, runs_of(CONFIG, "training_sizes"), known)["runs"]
    assert "mnist5k-500: 500 training samples, 784-32-32-10 perceptron" in told
    assert "Hessian over 500 training samples." in told
    assert "mnist5k: 4,000 training samples" in told


def test_settings_of_a_data_set_say_which_samples() -> None:
    assert data_settings(CONFIG, "mnist5k-500") == {
        "dataset": "mnist5k",
        "training_samples": 500,
        "input_scaling": "standardized",
    }
    assert data_settings(CONFIG, "digits")["training_samples"] == "all"


def test_regimes_take_every_seed_that_the_study_has_of_their_settings() -> None:
    config = merged(CONFIG, {"experiments": {"main": {"seeds": 5}}})
    seeds: dict[tuple[str, str, float], int] = {}
    for run in runs_of_regimes(config):
        key = (run.dataset, run.optimizer, run.learning_rate)
        seeds[key] = seeds.get(key, 0) + 1
    assert len(seeds) == 2 * 2 * 3
    assert seeds["mnist5k", "sgd", 0.05] == seeds["mnist5k", "adam", 0.001] == 5
    assert sorted(seeds.values()) == [2] * 10 + [5] * 2


def test_learning_rates_are_paired_by_place() -> None:
    config = changed(RATES, {"sgd": [0.2, 0.01], "adam": [0.001, 0.01]})
    settings = regimes_settings(config, with_subsets(config, DATASETS))
    assert settings["pairs"] == [[0.2, 0.001], [0.01, 0.01]]
    assert settings["sets"] == {"mnist5k-500": ["mnist5k", 500], "mnist5k": ["mnist5k", 4000]}
    assert settings["lengths"] == CONFIG["experiments"]["training_sizes"]["training_lengths"]
    # How sensitive verdicts are to other measurements is nothing to regimes, and must not rerun them.
    assert "sensitivity" not in settings["claims"]


MISTAKES: list[tuple[str, Any, str]] = [
    (SIZES, [500, 0], f"'{SIZES}' contains 0, expected all or an integer of at least 1."),
    (LENGTHS, [1.5], f"'{LENGTHS}' contains 1.5, expected a number above 0 and at most 1."),
    (
        LENGTHS,
        [0.02, 1],
        f"'{LENGTHS}' contains 0.02, but the first checkpoint after the start comes after 0.025 of the "
        "training; raise it or 'training.checkpoints.count'.",
    ),
    (
        "experiments.learning_rates.training_samples",
        [500],
        "'experiments.learning_rates.training_samples' is only for 'experiments.training_sizes', the one "
        "experiment that varies more than one setting; move it there.",
    ),
    (
        f"{HERE}.optimizers",
        ["sgd"],
        f"'{HERE}.optimizers' lacks adam, which claims compare; add what is missing.",
    ),
    (
        f"{HERE}.batch_size",
        [32, 64],
        f"'{HERE}.batch_size' is a list, expected one batch size, because training samples and learning "
        "rates vary; put others into 'experiments.batch_sizes'.",
    ),
    (
        RATES,
        {"sgd": [0.01, 0.05]},
        f"'{RATES}' has 2 for sgd and 1 for adam, expected the same number for each, because learning "
        "rates at the same position are compared; make the lists equally long.",
    ),
]


@pytest.mark.parametrize(("key", "value", "sentence"), MISTAKES)
def test_mistake(key: str, value: Any, sentence: str) -> None:
    config = changed(key, value)
    if key.endswith("batch_size"):
        config["experiments"]["training_sizes"].pop("learning_rate")
    assert refusal(config) == f"Config key {sentence}"


@pytest.mark.parametrize(
    ("key", "value"),
    [(RATES, {}), (LENGTHS, [1]), (LENGTHS, [0.025]), (f"{HERE}.optimizers", ["adam", "momentum", "sgd"])],
)
def test_right_values_pass(key: str, value: Any) -> None:
    config = changed(key, value)
    check_config(config, SCHEMA)
    assert runs_of_regimes(config)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        (
            SIZES,
            [4000, "all"],
            f"'{SIZES}' contains 4000, expected at least the number of classes, 10, and fewer than the 4000 "
            "training samples of mnist5k, or 'all' for these.",
        ),
        (SIZES, [9], f"'{SIZES}' contains 9, expected at least the number of classes, 10, and fewer"),
        (SIZES, [63], f"'{HERE}.batch_size' asks for 64, but the training set of mnist5k-63 has 63 samples"),
        ("eigenpairs.samples", 501, "'eigenpairs.samples' asks for 501, but the training set of mnist5k-500"),
    ],
)
def test_sizes_are_held_against_training_set_and_batches(key: str, value: Any, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        check_sizes(changed(key, value), DATASETS)
    assert str(error.value).startswith(f"Config key {sentence}")


def test_a_null_model_of_trained_networks_is_none_of_a_subset() -> None:
    sentence = refusal(changed("figures.null_model", "permuted"))
    assert "'experiments.training_sizes' has another model or data set" in sentence


def test_a_study_without_the_experiment_is_a_study() -> None:
    config = changed("experiments", {"main": CONFIG["experiments"]["main"]})
    check_config(config, SCHEMA)
    check_sizes(config, DATASETS)
    assert with_subsets(config, DATASETS) == DATASETS
    assert not any("-500" in directory for directory in all_runs(config))

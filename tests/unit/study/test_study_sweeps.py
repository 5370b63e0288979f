"""Sweeps: the runs of experiments in which a setting varies, and what is wrong with one."""

from typing import Any

import pytest
from study_helpers import CONFIG, DELETED, SCHEMA, Dataset, changed, merged, read, refusal

from eigendrift.errors import UserError
from eigendrift.study.check import check_config, check_sizes
from eigendrift.study.runs import Run, all_runs, runs_of, steps_of, training_settings

MAIN = CONFIG["experiments"]["main"]
SIZES, RATES = "experiments.batch_sizes.batch_size", "experiments.learning_rates.learning_rate"
SIZE = "full or an integer of at least 1"
VARIED_SIZE = f"{SIZE}, or in a sweep a list of different ones"
LISTS = "a list for each optimizer whose learning rate varies, such as {sgd: [0.01, 0.1]}"
LIST = "a list with 1 or more entries and without repetitions"
SHORT = "lower it or raise"

# Key, its wrong value, and all that is said after "Config key ".
MISTAKES: list[tuple[str, Any, str]] = [
    (SIZES, [], f"'{SIZES}' is [], expected {VARIED_SIZE}."),
    (SIZES, [64, 64], f"'{SIZES}' is [64, 64], expected {VARIED_SIZE}."),
    (SIZES, "all", f"'{SIZES}' is \"all\", expected {VARIED_SIZE}."),
    (SIZES, None, f"'{SIZES}' is null, expected {VARIED_SIZE}."),
    (SIZES, {"sgd": [64]}, f"'{SIZES}' is {{\"sgd\": [64]}}, expected {VARIED_SIZE}."),
    (SIZES, [64, "all"], f"'{SIZES}' contains \"all\", expected {SIZE}."),
    (SIZES, [64, 0], f"'{SIZES}' contains 0, expected {SIZE}."),
    (SIZES, [64, True], f"'{SIZES}' contains true, expected {SIZE}."),
    (SIZES, [64, [32]], f"'{SIZES}' contains [32], expected {SIZE}."),
    (SIZES, [64, 32.0], f"'{SIZES}' contains 32.0, expected {SIZE}; write 32."),
    (
        SIZES,
        DELETED,
        f"'{SIZES}' is missing, expected full or an integer of at least 1, or in a sweep a list of different "
        "ones; add it.",
    ),
    (
        "experiments.main.batch_size",
        [32, 64],
        "'experiments.main.batch_size' is [32, 64], expected one batch size; put others into an experiment "
        "of their own, as 'experiments.batch_sizes' of config.yaml shows.",
    ),
    (RATES, 0.1, f"'{RATES}' is 0.1, expected {LISTS}."),
    (RATES, [0.1], f"'{RATES}' is [0.1], expected {LISTS}."),
    (RATES, None, f"'{RATES}' is null, expected {LISTS}."),
    (RATES, {"sgd": 0.1}, f"'{RATES}.sgd' is 0.1, expected {LIST}."),
    (RATES, {"sgd": []}, f"'{RATES}.sgd' is [], expected {LIST}."),
    (RATES, {"sgd": [0.1, 0.1]}, f"'{RATES}.sgd' is [0.1, 0.1], expected {LIST}."),
    (RATES, {"sgd": [1, 1.0]}, f"'{RATES}.sgd' is [1, 1.0], expected {LIST}."),
    (RATES, {"sgd": [0.1, 0]}, f"'{RATES}.sgd' contains 0, expected a number above 0."),
    (
        RATES,
        {"sgd": ["1e-3"]},
        f"'{RATES}.sgd' contains \"1e-3\", expected a number above 0; it is read as text, write 0.001 "
        "without quotes and in a file, not after --config.",
    ),
    (
        RATES,
        {"lion": [0.1]},
        f"'{RATES}' names 'lion', which is not in 'optimizers', expected one of sgd, momentum, adam; "
        "fix the name, or add it to 'optimizers'.",
    ),
    (
        "experiments.main.learning_rate",
        {"sgd": [0.1]},
        "'experiments.main.learning_rate' is not for the main experiment, which takes learning rates from "
        "'optimizers'; put others into an experiment of their own, as 'experiments.learning_rates' of "
        "config.yaml shows.",
    ),
    (
        "experiments.batch_sizes.learning_rate",
        {"sgd": [0.1, 0.2]},
        "'experiments.batch_sizes.learning_rate' varies while 'experiments.batch_sizes.batch_size' does, "
        "expected one that varies; make two experiments of it.",
    ),
    (
        "experiments.learning_rates.learning_rates",
        {},
        "'experiments.learning_rates.learning_rates' is not known; did you mean 'learning_rate'? Allowed "
        "here: datasets, model, optimizers, batch_size, learning_rate, training_samples, training_lengths, "
        "seeds.",
    ),
    (
        "training.full_batch_steps",
        0,
        "'training.full_batch_steps' is 0, expected an integer of at least 1.",
    ),
    # The shortest run decides: here that with the largest batches, there the full-batch one.
    (
        "training.checkpoints.count",
        2002,
        "'training.checkpoints.count' is 2002, but with batch size 256 a run of 2000 steps has only 2001 "
        f"moments to look at; {SHORT} 'training.steps'.",
    ),
    (
        "training.full_batch_steps",
        39,
        "'training.checkpoints.count' is 41, but with batch size full a run of 39 steps has only 40 moments "
        f"to look at; {SHORT} 'training.full_batch_steps'.",
    ),
]


def run_with(batch_size: int | str) -> Run:
    return Run("digits", "mlp-32-32", "sgd", batch_size, 0.05, 0)


@pytest.mark.parametrize(("key", "value", "sentence"), MISTAKES)
def test_mistake(key: str, value: Any, sentence: str) -> None:
    assert refusal(changed(key, value)) == f"Config key {sentence}"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (SIZES, 32),
        (SIZES, "full"),
        (SIZES, ["full", 1]),
        (RATES, {"adam": [1]}),
        ("experiments.learning_rates.optimizers", ["sgd"]),
        ("experiments.batch_sizes.learning_rate", {"sgd": [0.1]}),
        ("training.checkpoints.count", 2001),
        ("training.full_batch_steps", 40),
        ("experiments", {"main": MAIN}),
    ],
)
def test_right_values_pass(key: str, value: Any) -> None:
    check_config(changed(key, value), SCHEMA)


def test_a_batch_of_a_sweep_that_is_larger_than_a_training_set_is_refused() -> None:
    sizes = {"mnist5k": Dataset(4000, (28, 28), 10), "digits": Dataset(1437, (8, 8), 10)}
    check_sizes(changed(SIZES, [64, 4000, "full"]), sizes)
    with pytest.raises(UserError) as error:
        check_sizes(changed(SIZES, [64, 4001]), sizes)
    assert str(error.value) == (
        f"Config key '{SIZES}' asks for 4001, but the training set of mnist5k has 4000 samples; lower it or "
        "set it to 'full'."
    )


def test_each_batch_size_has_runs_of_each_optimizer_and_seed() -> None:
    found = [(run.optimizer, run.batch_size, run.seed) for run in runs_of(CONFIG, "batch_sizes")]
    assert found == [
        (optimizer, size, seed)
        for optimizer in ("sgd", "momentum", "adam")
        for size in (32, 64, 256, "full")
        for seed in (0, 1)
    ]
    rates = {(run.optimizer, run.learning_rate) for run in runs_of(CONFIG, "batch_sizes")}
    assert rates == {(name, CONFIG["optimizers"][name]["learning_rate"]) for name in CONFIG["optimizers"]}


def test_optimizers_have_their_own_learning_rates_or_the_usual_one() -> None:
    config = changed(RATES, {"adam": [0.01, 3]})
    found = [(run.optimizer, run.learning_rate) for run in runs_of(config, "learning_rates") if not run.seed]
    assert found == [("sgd", 0.05), ("momentum", 0.005), ("adam", 0.01), ("adam", 3.0)]


def test_learning_rates_of_optimizers_that_a_sweep_leaves_out_do_not_matter() -> None:
    config = changed("experiments.learning_rates.optimizers", ["adam"])
    assert {run.optimizer for run in runs_of(config, "learning_rates")} == {"adam"}


@pytest.mark.parametrize(("sweep", "other"), [("batch_sizes", "learning_rate"), ("learning_rates", "batch_size")])
def test_a_sweep_varies_what_its_name_says(sweep: str, other: str) -> None:
    experiment = MAIN | {
        "batch_size": [32, 64] if other == "batch_size" else 64,
        "learning_rate": {"sgd": [0.1, 0.2] if other == "learning_rate" else [0.1]},
    }
    assert refusal(changed(f"experiments.{sweep}", experiment)) == (
        f"Config key 'experiments.{sweep}.{other}' varies, expected "
        f"{'the batch size' if sweep == 'batch_sizes' else 'learning rates'} alone to; move it to "
        f"'experiments.{other}s'."
    )
    check_config(changed("experiments.other", experiment), SCHEMA)


def test_sweeps_share_the_runs_that_main_has() -> None:
    main, runs = {*runs_of(CONFIG, "main")}, all_runs(CONFIG)
    shared = {run for run in runs_of(CONFIG, "batch_sizes") if run.batch_size == MAIN["batch_size"]}
    assert len(shared) == 3 * 2
    assert shared <= main
    # Main; three more batch sizes; two more rates for each; another training set with three for two.
    assert len(runs) == 2 * 3 * 7 + 3 * 3 * 2 + (2 + 2 + 2) * 2 + 3 * 2 * 2


def test_a_learning_rate_is_the_same_with_and_without_a_dot() -> None:
    config = merged(CONFIG, {"optimizers": {"sgd": {"learning_rate": 1}}})
    config["experiments"]["learning_rates"]["learning_rate"]["sgd"] = [1.0]
    usual = {run for run in runs_of(config, "main") if run.optimizer == "sgd"}
    swept = {run for run in runs_of(config, "learning_rates") if run.optimizer == "sgd"}
    assert {run.directory for run in swept} < {run.directory for run in usual}


@pytest.mark.parametrize(
    ("batch_size", "steps"),
    [(64, 8000), (32, 16000), (256, 2000), (1, 512_000), (63, 8127), (10**7, 1), ("full", 2000)],
)
def test_runs_see_the_same_number_of_samples_but_for_full_batches(batch_size: int | str, steps: int) -> None:
    assert steps_of(CONFIG, run_with(batch_size)) == steps


def test_the_main_experiment_takes_the_steps_it_names_also_with_full_batches() -> None:
    config = changed("experiments.main.batch_size", "full")
    assert steps_of(config, run_with("full")) == 8000
    assert steps_of(config, run_with(64)) == 2000
    short = merged(config, {"training": {"full_batch_steps": 7}})
    assert refusal(short).endswith("'training.full_batch_steps'.")


def test_training_settings_carry_the_runs_own_batch_size_learning_rate_and_steps() -> None:
    run = Run("digits", "mlp-32-32", "adam", 256, 0.3, 1)
    settings = training_settings(CONFIG, run)
    assert settings["optimizer"] == {
        "name": "adam",
        "learning_rate": 0.3,
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
    }
    assert (settings["batch_size"], settings["steps"], settings["seed"]) == (256, 2000, 1)


def test_the_length_of_full_batch_runs_is_nothing_to_the_others() -> None:
    longer = changed("training.full_batch_steps", 3000)
    assert training_settings(longer, run_with(64)) == training_settings(CONFIG, run_with(64))
    assert training_settings(longer, run_with("full"))["steps"] == 3000


def test_a_study_without_sweeps_has_the_runs_of_main() -> None:
    config = changed("experiments", {"main": MAIN})
    assert [*all_runs(config).values()] == runs_of(CONFIG, "main")


def test_the_smoke_study_sweeps_two_of_three_optimizers_over_the_smaller_data_set() -> None:
    smoke = merged(CONFIG, read("workflow/studies/smoke.yaml"))
    for name in ("batch_sizes", "learning_rates"):
        runs = runs_of(smoke, name)
        assert {(run.dataset, run.optimizer) for run in runs} == {("digits", "sgd"), ("digits", "adam")}
        assert {*runs} & {*runs_of(smoke, "main")}

"""Wrong configurations, and the sentence that a user reads about each."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from study_helpers import CONFIG, DATASETS, DELETED, SCHEMA, changed, merged, read, refusal

from eigendrift.errors import UserError
from eigendrift.extensions import Model, Optimizer
from eigendrift.extensions.registry import add
from eigendrift.study.check import check_config, check_sizes, without_unset
from eigendrift.study.runs import runs_of_regimes

MAIN = CONFIG["experiments"]["main"]
NETWORK = CONFIG["models"]["mlp-32-32"]

# Keys.
MLP = "models.mlp-32-32"
BATCHES, RATES = "experiments.batch_sizes.batch_size", "experiments.learning_rates.learning_rate"
GRID = "experiments.training_sizes"
SAMPLES, LENGTHS, GRID_RATES = (f"{GRID}.{name}" for name in ("training_samples", "training_lengths", "learning_rate"))

# Parts of sentences.
TOP = ", ".join(SCHEMA["properties"])
NAME = "text of lower-case letters, digits, '-' and '_', other than null and nan"
LIST = "a list with 1 or more entries and without repetitions"
COUNT = "an integer of at least 1"
POSITIVE = "a number above 0"
BATCH = f"full or {COUNT}"
BATCH_SIZE = f"{BATCH}, or in a sweep a list of different ones"
LISTS = "a list for each optimizer whose learning rate varies, such as {sgd: [0.01, 0.1]}"
UNQUOTED = "without quotes and in a file, not after --config"
ADD = "add it as config.yaml shows"

# Key, its wrong value, and how the sentence continues after "Config key"; the key itself may be left out.
MISTAKES: list[tuple[str, Any, str]] = [
    # Misspelt and missing keys.
    ("optimisers", {}, f"is not known; did you mean 'optimizers'? Allowed here: {TOP}."),
    ("training.checkpoints.cout", 3, "is not known; did you mean 'count'? Allowed here: count, spacing."),
    ("experiments.main.seed", 3, "is not known; did you mean 'seeds'? Allowed here: datasets, model,"),
    ("optimizers.adam.weight_decay", 0.1, "is not known; allowed here: learning_rate, beta1, beta2,"),
    ("optimizers.adagrad", {}, "is not known; allowed here: sgd, momentum, adam, adamw, rmsprop, sam,"),
    (f"{MLP}.kind", "cnn", f"'{MLP}.hidden_widths' is not known; allowed here: kind, channels,"),
    ("claims.smallest_effect.C8", 1.0, "is not known; allowed here: C1, C2, C3, C4, C5, C5b, C6, C7."),
    ("training", DELETED, f"is missing; {ADD}."),
    ("optimizers.adam.beta1", DELETED, f"is missing; {ADD}."),
    ("experiments", {}, f"'experiments.main' is missing; {ADD}."),
    (BATCHES, DELETED, f"is missing, expected {BATCH_SIZE}; add it."),
    # Wrong types.
    ("training.steps", "many", f'is "many", expected {COUNT}.'),
    ("training.steps", True, f"is true, expected {COUNT}."),
    ("training.steps", 8000.0, f"is 8000.0, expected {COUNT}; write 8000."),
    ("training.steps", 64.5, f"is 64.5, expected {COUNT}."),
    ("training.steps", "8000", f'is "8000", expected {COUNT}; it is read as text, write 8000 {UNQUOTED}.'),
    ("training", 3, "is 3, expected a group of keys."),
    ("plugins", "mine", 'is "mine", expected a list without repetitions.'),
    ("experiments.main.model", 8, "is 8, expected text."),
    ("experiments.main.datasets", "digits", f'is "digits", expected {LIST}.'),
    ("data_dir", 5, "is 5, expected text or null."),
    (f"{MLP}.hidden_widths", 32, "is 32, expected a list."),
    ("figures.style.a", [1], "is [1], expected a number or text or true or false."),
    ("optimizers.sgd.learning_rate", float("nan"), f"is NaN, expected {POSITIVE}."),
    # Values out of bounds, empty lists and groups, repetitions.
    ("training.full_batch_steps", 0, f"is 0, expected {COUNT}."),
    ("claims.confidence", 95, f"is 95, expected {POSITIVE} and below 1."),
    ("metrics.lag", 0.7, f"is 0.7, expected {POSITIVE} and at most 0.5."),
    # A key that has moved.
    ("claims.lag", 0.125, "is now 'metrics.lag'; move its value there and delete 'claims.lag'."),
    ("optimizers.adam.beta1", 1, "is 1, expected a number of at least 0 and below 1."),
    ("eigenpairs.samples", 0, f"is 0, expected all or {COUNT}."),
    (f"{MLP}.hidden_widths", [32, 0], f"contains 0, expected {COUNT}."),
    ("null_models.draws.isotropic", 3, "is 3, expected an integer of at least 4."),
    ("experiments.main.optimizers", ["sgd", "sgd"], f'is ["sgd", "sgd"], expected {LIST}.'),
    ("optimizers", {}, "is {}, expected a group of keys with 1 or more entries."),
    # Unknown names.
    ("experiments.main.datasets", ["mnist50k"], 'contains "mnist50k", expected one of mnist5k, digits,'),
    (f"{MLP}.activation", "swish", 'is "swish", expected one of relu, tanh, gelu.'),
    (f"{MLP}.kind", "transformer", "is 'transformer', expected one of mlp, cnn; add a plug-in that"),
    ("device", "gpu", 'is "gpu", expected auto, cpu, cuda, or cuda:0 and so on.'),
    # Names that become parts of paths.
    ("study", "My Study", f'is "My Study", expected {NAME}.'),
    ("study", "../up", f'is "../up", expected {NAME}.'),
    ("models.MLP", NETWORK, f"has a name that is not allowed, expected {NAME}; rename it."),
    ("models", {8: NETWORK}, f"'models.8' has a name that is not allowed, expected {NAME}; rename it."),
    ("experiments.Two", MAIN, f"has a name that is not allowed, expected {NAME}; rename it."),
    # Names that are defined nowhere.
    ("experiments.main.optimizers", ["sgd", "rmsprop"], "names 'rmsprop', which is not in 'optimizers',"),
    ("experiments.main.model", "mlp", "names 'mlp', which is not in 'models', expected one of mlp-32-32;"),
    ("figures.null_model", "gaussian", "names 'gaussian', which is not in 'null_models.names', expected"),
    # Numbers that contradict each other.
    ("eigenpairs.wide_every", 15, "is 15, expected a divisor of 40, the number of intervals between"),
    ("training.checkpoints.count", 14, "'eigenpairs.wide_every' is 5, expected a divisor of 13, the number"),
    ("eigenpairs.wide_count", 100, "'eigenpairs.basis_size' is 80, expected at least 2 × wide_count + 4 ="),
    ("eigenpairs.count", 39, "'eigenpairs.basis_size' is 80, expected at least 2 × count + 4 = 82; raise"),
    ("eigenpairs.max_products", 30, "is 30, expected at least 2 × wide_count + 1 = 31; raise it or lower"),
    ("storage.ranks", 2, "is 2, but the validation of the null models needs 'eigenpairs.count' = 3"),
    ("storage.every", 30, "is 30, but figure 16 and the validation of the null models need the"),
    # The shortest run decides: here the run with the largest batches, there the full-batch run.
    ("training.checkpoints.count", 2002, "is 2002, but with batch size 256 a run of 2000 steps has only"),
    ("training.full_batch_steps", 39, "'training.checkpoints.count' is 41, but with batch size full a run"),
    # Batch sizes and sweeps over them.
    ("experiments.main.batch_size", 64.0, f"is 64.0, expected {BATCH_SIZE}; write 64."),
    (BATCHES, [], f"is [], expected {BATCH_SIZE}."),
    (BATCHES, [64, 64], f"is [64, 64], expected {BATCH_SIZE}."),
    (BATCHES, {"sgd": [64]}, f'is {{"sgd": [64]}}, expected {BATCH_SIZE}.'),
    (BATCHES, [64, "all"], f'contains "all", expected {BATCH}.'),
    (BATCHES, [64, True], f"contains true, expected {BATCH}."),
    (BATCHES, [64, [32]], f"contains [32], expected {BATCH}."),
    (BATCHES, [64, 32.0], f"contains 32.0, expected {BATCH}; write 32."),
    ("experiments.main.batch_size", [32, 64], "is [32, 64], expected one batch size; put others into an"),
    # Sweeps over learning rates.
    (RATES, 0.1, f"is 0.1, expected {LISTS}."),
    (RATES, {"sgd": 0.1}, f"'{RATES}.sgd' is 0.1, expected {LIST}."),
    (RATES, {"sgd": [1, 1.0]}, f"'{RATES}.sgd' is [1, 1.0], expected {LIST}."),
    (RATES, {"sgd": [0.1, 0]}, f"'{RATES}.sgd' contains 0, expected {POSITIVE}."),
    (RATES, {"sgd": ["1e-3"]}, f"'{RATES}.sgd' contains \"1e-3\", expected {POSITIVE}; it is read as text,"),
    (RATES, {"lion": [0.1]}, "names 'lion', which is not in 'optimizers', expected one of sgd, momentum,"),
    ("experiments.main.learning_rate", {"sgd": [0.1]}, "is not for the main experiment, which takes"),
    (
        "experiments.batch_sizes.learning_rate",
        {"sgd": [0.1, 0.2]},
        "varies while 'experiments.batch_sizes.batch_size' does, expected one that varies; make two",
    ),
    # Sweeps over sizes of training sets.
    (SAMPLES, [500, 0], f"contains 0, expected all or {COUNT}."),
    (LENGTHS, [1.5], f"contains 1.5, expected {POSITIVE} and at most 1."),
    (LENGTHS, [0.02, 1], "contains 0.02, but the first checkpoint after the start comes after 0.025 of the"),
    ("experiments.learning_rates.training_samples", [500], f"is only for '{GRID}', the one experiment that"),
    (f"{GRID}.optimizers", ["sgd"], "lacks adam, which claims compare; add what is missing."),
    (
        GRID,
        MAIN | {"training_samples": [500], "batch_size": [32, 64]},
        f"'{GRID}.batch_size' is a list, expected one batch size, because training samples and learning",
    ),
    (GRID_RATES, {"sgd": [0.01, 0.05]}, "has 2 for sgd and 1 for adam, expected the same number for each,"),
    # Draws of null models.
    ("null_models.draws.permuted", 5, "is 5, expected at least two for each optimizer of the main"),
    ("figures.null_model", "permuted", "is 'permuted', a null model of trained networks of the main"),
]


@pytest.mark.parametrize(("key", "value", "sentence"), MISTAKES)
def test_a_wrong_value_is_refused(key: str, value: Any, sentence: str) -> None:
    start = "" if sentence.startswith("'") else f"'{key}' "
    found = refusal(changed(key, value))
    assert found.startswith(f"Config key {start}{sentence}")
    assert found.endswith(".")


@pytest.mark.parametrize(
    ("key", "value", "advice"),
    [
        ("optimizers.adam.epsilon", "1e-8", f"write 1.0e-08 {UNQUOTED}."),
        ("experiments.main.optimizers", ["sgd", "lion"], "; fix the name, or add it to 'optimizers'."),
        ("eigenpairs.wide_every", 15, "set it to 5."),
        ("training.checkpoints.count", 14, "set it to 1."),
        ("eigenpairs.wide_count", 100, " = 204; raise it or lower 'eigenpairs.wide_count'."),
        ("eigenpairs.count", 39, " = 82; raise it or lower 'eigenpairs.count'."),
        ("storage.ranks", 2, "raise it to 3 or set it to 'all'."),
        ("storage.every", 30, "'training.checkpoints.count' minus 1; set it to 10."),
        (
            "training.checkpoints.count",
            2002,
            " only 2001 moments to look at; lower it or raise 'training.steps'.",
        ),
        ("training.full_batch_steps", 39, "; lower it or raise 'training.full_batch_steps'."),
        (LENGTHS, [0.02, 1], "raise it or 'training.checkpoints.count'."),
        ("null_models.draws.permuted", 5, " for each optimizer of the main experiment, 6; raise it."),
        ("figures.null_model", "permuted", "'reinitialized' or 'isotropic', or leave that experiment out."),
    ],
)
def test_the_sentence_ends_with_what_to_do(key: str, value: Any, advice: str) -> None:
    assert refusal(changed(key, value)).endswith(advice)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("eigenpairs.basis_size", 34),
        ("eigenpairs.max_products", 31),
        ("eigenpairs.wide_count", 1),
        ("eigenpairs.wide_every", 40),
        ("optimizers.sgd.learning_rate", 1),
        (f"{MLP}.hidden_widths", []),
        ("device", "cuda:1"),
        ("data_dir", "~/data"),
        ("figures.style", {"font.size": 9, "axes.grid": True, "font.family": "serif"}),
        ("null_models.draws.wide", 5),
        ("training.checkpoints.count", 2001),
        ("training.full_batch_steps", 40),
        ("experiments", {"main": MAIN}),
        (BATCHES, "full"),
        (BATCHES, ["full", 1]),
        (RATES, {"adam": [1]}),
        ("experiments.learning_rates.optimizers", ["sgd"]),
        ("experiments.batch_sizes.learning_rate", {"sgd": [0.1]}),
        (GRID_RATES, {}),
        (f"{GRID}.optimizers", ["adam", "momentum", "sgd"]),
    ],
)
def test_right_values_pass(key: str, value: Any) -> None:
    config = changed(key, value)
    check_config(config, SCHEMA)
    if key.startswith(GRID):
        assert runs_of_regimes(config)


def test_the_shipped_studies_pass() -> None:
    check_config(CONFIG, SCHEMA)
    check_config(merged(CONFIG, read("workflow/studies/smoke.yaml")), SCHEMA)


def test_a_misspelt_group_is_reported_as_misspelt_rather_than_missing() -> None:
    config = {("optimisers" if key == "optimizers" else key): value for key, value in CONFIG.items()}
    assert "'optimisers' is not known; did you mean 'optimizers'" in refusal(config)


def test_a_long_value_is_cut() -> None:
    assert len(refusal(changed("training.steps", "x" * 1000))) < 200


@pytest.mark.parametrize("text", ["1e-3", "1e-8", "1e3", "2.5e-7", "1e+20", "0.001"])
def test_yaml_reads_the_suggested_spelling_as_the_number(text: str) -> None:
    advice = refusal(changed("optimizers.adam.epsilon", text)).partition("write ")[2].partition(" without")[0]
    assert yaml.safe_load(advice) == float(text)


@pytest.mark.parametrize(
    ("sweep", "other", "what"),
    [("batch_sizes", "learning_rate", "the batch size"), ("learning_rates", "batch_size", "learning rates")],
)
def test_a_sweep_varies_only_the_setting_in_its_name(sweep: str, other: str, what: str) -> None:
    experiment = MAIN | {
        "batch_size": [32, 64] if other == "batch_size" else 64,
        "learning_rate": {"sgd": [0.1, 0.2] if other == "learning_rate" else [0.1]},
    }
    assert refusal(changed(f"experiments.{sweep}", experiment)) == (
        f"Config key 'experiments.{sweep}.{other}' varies, expected {what} alone to; move it to 'experiments.{other}s'."
    )
    check_config(changed("experiments.other", experiment), SCHEMA)


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        ({"further_null_models": ["isotropic"]}, "'figures.further_null_models' names 'isotropic', which is"),
        ({"null_model": "permuted"}, "'null_models.draws.wide' is 5, expected at least two for each"),
    ],
)
def test_null_models_in_figures_need_draws(figures: dict[str, Any], sentence: str) -> None:
    nulls = {"names": ["reinitialized", "permuted"], "draws": {"wide": 5}}
    config = merged(CONFIG, {"null_models": nulls, "figures": figures})
    assert refusal(config).startswith(f"Config key {sentence}")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("eigenpairs.samples", 1438, "asks for 1438, but the training set of digits has 1437"),
        ("experiments.main.batch_size", 1438, "asks for 1438, but the training"),
        ("eigenpairs.wide_count", 3467, "asks for 3467 eigenpairs, but mlp-32-32 has only 3466 parameters"),
        ("eigenpairs.count", 3467, "asks for 3467 eigenpairs"),
        (BATCHES, [64, 4001], "asks for 4001, but the training set of mnist5k has 4000 samples; lower it"),
        (SAMPLES, [4000, "all"], "contains 4000, expected at least the number of classes, 10, and fewer"),
        (SAMPLES, [9], "contains 9, expected at least the number of classes, 10, and fewer"),
        (SAMPLES, [63], f"'{GRID}.batch_size' asks for 64, but the training set of mnist5k-63 has 63"),
        (f"{GRID}.seeds", 2, None),
        ("eigenpairs.samples", 500, None),
        ("eigenpairs.samples", 501, "asks for 501, but the training set of mnist5k-500"),
        ("experiments.main.batch_size", "full", None),
        ("eigenpairs.wide_count", 3466, None),
        (BATCHES, [64, 4000, "full"], None),
    ],
)
def test_sizes_are_compared_with_training_sets_and_networks(key: str, value: Any, sentence: str | None) -> None:
    config = changed(key, value)
    if value == 1438:  # the smaller training sets would be reported first
        del config["experiments"]["training_sizes"]
    if sentence is None:
        check_sizes(config, DATASETS)
    else:
        start = "" if sentence.startswith("'") else f"'{key}' "
        with pytest.raises(UserError) as error:
            check_sizes(config, DATASETS)
        assert str(error.value).startswith(f"Config key {start}{sentence}")


SWEEPS = [name for name in CONFIG["experiments"] if name != "main"]


@pytest.mark.parametrize("left_out", [SWEEPS[:1], SWEEPS])
def test_null_in_a_study_file_leaves_experiments_out(left_out: list[str]) -> None:
    config = merged(CONFIG, {"experiments": dict.fromkeys(left_out)})
    remaining = without_unset(config)
    kept = {name: value for name, value in CONFIG["experiments"].items() if name not in left_out}
    assert remaining == {**CONFIG, "experiments": kept}
    check_config(remaining, SCHEMA)
    assert config["experiments"][left_out[0]] is None


def test_without_the_main_experiment_there_is_no_study() -> None:
    with pytest.raises(UserError, match=r"'experiments\.main' is null, .* every study needs this one"):
        without_unset(changed("experiments.main", None))


@pytest.mark.parametrize("wrong", [{}, {"experiments": 3}, {"experiments": None}, {"experiments": {}}])
def test_other_mistakes_are_left_to_the_check(wrong: dict[str, object]) -> None:
    assert without_unset(wrong) == wrong


@pytest.mark.usefixtures("plugins_forgotten")
def test_a_plugin_that_cannot_count_parameters_is_refused() -> None:
    def fail(*_: object) -> Any:
        raise KeyError("wrong")

    add(Model(name="mine", build=print, parameters=fail), Path("mine.py"))
    with pytest.raises(
        UserError, match=r"^The function parameters of the network 'mine' fails with KeyError: 'wrong'; f"
    ):
        check_sizes(changed(MLP, {"kind": "mine"}), DATASETS)


@pytest.mark.usefixtures("plugins_forgotten")
def test_a_setting_that_does_not_fit_a_schema_without_type_is_refused() -> None:
    schema = {"description": "Any.", "anyOf": [{"type": "number"}, {"const": "auto"}]}
    add(Optimizer(name="mine", build=print, settings={"a": schema}), Path("mine.py"))
    sentence = refusal(changed("optimizers.mine", {"learning_rate": 0.1, "a": "x"}))
    assert '\'optimizers.mine.a\' is "x", expected a value that fits its schema, {"desc' in sentence

"""Keys that are wrong by themselves, and the sentence that a user reads about each."""

from typing import Any

import pytest
import yaml
from study_helpers import CONFIG, DELETED, SCHEMA, changed, merged, read, refusal

from eigendrift.errors import UserError
from eigendrift.study.check import check_config

TOP = ", ".join(SCHEMA["properties"])
NAME = "text of lower-case letters, digits, '-' and '_', other than null and nan"
LIST = "a list with 1 or more entries and without repetitions"
BATCH_SIZE = "full or an integer of at least 1, or in a sweep a list of different ones"
NETWORK = CONFIG["models"]["mlp-32-32"]

# Key, its wrong value, and all that is said after "Config key ".
MISTAKES: list[tuple[str, Any, str]] = [
    # Misspelt keys.
    ("optimisers", {}, f"'optimisers' is not known; did you mean 'optimizers'? Allowed here: {TOP}."),
    (
        "training.step",
        3,
        "'training.step' is not known; did you mean 'steps'? Allowed here: steps, full_batch_steps, checkpoints.",
    ),
    (
        "training.checkpoints.cout",
        3,
        "'training.checkpoints.cout' is not known; did you mean 'count'? Allowed here: count, spacing.",
    ),
    (
        "optimizers.adam.weight_decay",
        0.1,
        "'optimizers.adam.weight_decay' is not known; allowed here: learning_rate, beta1, beta2, epsilon.",
    ),
    (
        "optimizers.adagrad",
        {},
        "'optimizers.adagrad' is not known; allowed here: sgd, momentum, adam, adamw, rmsprop, sam, muon, "
        "and the optimizers of 'plugins'.",
    ),
    ("plugins", "mine", "'plugins' is \"mine\", expected a list without repetitions."),
    (
        "models.mlp-32-32.kind",
        "transformer",
        "'models.mlp-32-32.kind' is 'transformer', expected one of mlp, cnn; add a plug-in that declares it "
        "to 'plugins', or choose another.",
    ),
    (
        "models.mlp-32-32.kind",
        "cnn",
        "'models.mlp-32-32.hidden_widths' is not known; allowed here: kind, channels, kernel_size, "
        "activation, initialization.",
    ),
    (
        "experiments.main.seed",
        3,
        "'experiments.main.seed' is not known; did you mean 'seeds'? Allowed here: datasets, model, "
        "optimizers, "
        "batch_size, learning_rate, training_samples, training_lengths, seeds.",
    ),
    (
        "claims.smallest_effect.C8",
        1.0,
        "'claims.smallest_effect.C8' is not known; allowed here: C1, C2, C3, C4, C5, C5b, C6, C7.",
    ),
    ("training", DELETED, "'training' is missing; add it as config.yaml shows."),
    ("optimizers.adam.beta1", DELETED, "'optimizers.adam.beta1' is missing; add it as config.yaml shows."),
    ("experiments", {}, "'experiments.main' is missing; add it as config.yaml shows."),
    # Wrong types.
    ("training.steps", "many", "'training.steps' is \"many\", expected an integer of at least 1."),
    ("training.steps", True, "'training.steps' is true, expected an integer of at least 1."),
    ("training.steps", None, "'training.steps' is null, expected an integer of at least 1."),
    ("training.steps", 8000.0, "'training.steps' is 8000.0, expected an integer of at least 1; write 8000."),
    ("training.steps", 64.5, "'training.steps' is 64.5, expected an integer of at least 1."),
    (
        "training.steps",
        "8000",
        "'training.steps' is \"8000\", expected an integer of at least 1; it is read as text, write 8000 "
        "without quotes and in a file, not after --config.",
    ),
    ("training", 3, "'training' is 3, expected a group of keys."),
    ("experiments.main", None, "'experiments.main' is null, expected a group of keys."),
    ("experiments.main.model", 8, "'experiments.main.model' is 8, expected text."),
    ("experiments.main.datasets", "digits", f"'experiments.main.datasets' is \"digits\", expected {LIST}."),
    ("data_dir", 5, "'data_dir' is 5, expected text or null."),
    ("models.mlp-32-32.hidden_widths", 32, "'models.mlp-32-32.hidden_widths' is 32, expected a list."),
    ("figures.style.a", [1], "'figures.style.a' is [1], expected a number or text or true or false."),
    (
        "optimizers.sgd.learning_rate",
        "1e-3",
        "'optimizers.sgd.learning_rate' is \"1e-3\", expected a number above 0; it is read as "
        "text, write 0.001 without quotes and in a file, not after --config.",
    ),
    (
        "optimizers.adam.epsilon",
        "1e-8",
        "'optimizers.adam.epsilon' is \"1e-8\", expected a number above 0; it is read as text, "
        "write 1.0e-08 without quotes and in a file, not after --config.",
    ),
    (
        "optimizers.sgd.learning_rate",
        float("nan"),
        "'optimizers.sgd.learning_rate' is NaN, expected a number above 0.",
    ),
    (
        "optimizers.sgd.learning_rate",
        float("inf"),
        "'optimizers.sgd.learning_rate' is Infinity, expected a number above 0.",
    ),
    # Values out of bounds.
    ("training.steps", -5, "'training.steps' is -5, expected an integer of at least 1."),
    ("claims.confidence", 95, "'claims.confidence' is 95, expected a number above 0 and below 1."),
    ("metrics.lag", 0.7, "'metrics.lag' is 0.7, expected a number above 0 and at most 0.5."),
    # Keys that have moved.
    ("claims.lag", 0.125, "'claims.lag' is now 'metrics.lag'; move its value there and delete 'claims.lag'."),
    (
        "optimizers.adam.beta1",
        1,
        "'optimizers.adam.beta1' is 1, expected a number of at least 0 and below 1.",
    ),
    ("eigenpairs.samples", 0, "'eigenpairs.samples' is 0, expected all or an integer of at least 1."),
    (
        "eigenpairs.samples",
        "full",
        "'eigenpairs.samples' is \"full\", expected all or an integer of at least 1.",
    ),
    (
        "experiments.main.batch_size",
        0,
        f"'experiments.main.batch_size' is 0, expected {BATCH_SIZE}.",
    ),
    (
        "experiments.main.batch_size",
        64.0,
        f"'experiments.main.batch_size' is 64.0, expected {BATCH_SIZE}; write 64.",
    ),
    (
        "experiments.main.batch_size",
        True,
        f"'experiments.main.batch_size' is true, expected {BATCH_SIZE}.",
    ),
    (
        "models.mlp-32-32.hidden_widths",
        [32, 0],
        "'models.mlp-32-32.hidden_widths' contains 0, expected an integer of at least 1.",
    ),
    (
        "null_models.draws.isotropic",
        3,
        "'null_models.draws.isotropic' is 3, expected an integer of at least 4.",
    ),
    # Empty lists and groups, repetitions.
    ("experiments.main.optimizers", [], f"'experiments.main.optimizers' is [], expected {LIST}."),
    ("experiments.main.datasets", [], f"'experiments.main.datasets' is [], expected {LIST}."),
    ("null_models.names", [], f"'null_models.names' is [], expected {LIST}."),
    (
        "experiments.main.optimizers",
        ["sgd", "sgd"],
        f'\'experiments.main.optimizers\' is ["sgd", "sgd"], expected {LIST}.',
    ),
    ("optimizers", {}, "'optimizers' is {}, expected a group of keys with 1 or more entries."),
    # Unknown names.
    (
        "experiments.main.datasets",
        ["mnist50k"],
        "'experiments.main.datasets' contains \"mnist50k\", expected one of mnist5k, digits, mnist, fashion_mnist.",
    ),
    (
        "null_models.names",
        ["gaussian"],
        "'null_models.names' contains \"gaussian\", expected one of isotropic, reinitialized, "
        "permuted, shuffled_labels.",
    ),
    (
        "training.checkpoints.spacing",
        "log",
        "'training.checkpoints.spacing' is \"log\", expected one of linear, logarithmic.",
    ),
    (
        "models.mlp-32-32.activation",
        "swish",
        "'models.mlp-32-32.activation' is \"swish\", expected one of relu, tanh, gelu.",
    ),
    ("device", "gpu", "'device' is \"gpu\", expected auto, cpu, cuda, or cuda:0 and so on."),
    # Names that become parts of paths.
    ("study", "My Study", f"'study' is \"My Study\", expected {NAME}."),
    ("study", "../up", f"'study' is \"../up\", expected {NAME}."),
    ("models.MLP", NETWORK, f"'models.MLP' has a name that is not allowed, expected {NAME}; rename it."),
    ("models.null", NETWORK, f"'models.null' has a name that is not allowed, expected {NAME}; rename it."),
    (
        "experiments.Two",
        CONFIG["experiments"]["main"],
        f"'experiments.Two' has a name that is not allowed, expected {NAME}; rename it.",
    ),
]


@pytest.mark.parametrize(("key", "value", "sentence"), MISTAKES)
def test_mistake(key: str, value: Any, sentence: str) -> None:
    assert refusal(changed(key, value)) == f"Config key {sentence}"


def test_a_renamed_group_is_told_as_misspelt_rather_than_missing() -> None:
    config = {("optimisers" if key == "optimizers" else key): value for key, value in CONFIG.items()}
    with pytest.raises(UserError, match="'optimisers' is not known; did you mean 'optimizers'"):
        check_config(config, SCHEMA)


def test_a_long_value_is_cut() -> None:
    assert len(refusal(changed("training.steps", "x" * 1000))) < 200


@pytest.mark.parametrize("text", ["1e-3", "1e-8", "1e3", "2.5e-7", "1e+20", "0.001"])
def test_what_the_hint_says_to_write_is_right(text: str) -> None:
    advice = refusal(changed("optimizers.adam.epsilon", text)).partition("write ")[2].partition(" without")[0]
    assert yaml.safe_load(advice) == float(text)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("eigenpairs.basis_size", 34),
        ("eigenpairs.max_products", 31),
        ("eigenpairs.wide_count", 1),
        ("eigenpairs.wide_every", 40),
        ("experiments.main.batch_size", "full"),
        ("eigenpairs.samples", 100),
        ("optimizers.sgd.learning_rate", 1),
        ("models.mlp-32-32.hidden_widths", []),
        ("device", "cuda:1"),
        ("data_dir", "~/data"),
        ("figures.style", {"font.size": 9, "axes.grid": True, "font.family": "serif"}),
    ],
)
def test_right_values_pass(key: str, value: Any) -> None:
    check_config(changed(key, value), SCHEMA)


def test_the_shipped_studies_pass() -> None:
    check_config(CONFIG, SCHEMA)
    check_config(merged(CONFIG, read("workflow/studies/smoke.yaml")), SCHEMA)


def test_a_name_that_yaml_reads_as_a_number_is_refused() -> None:
    expected = f"Config key 'models.8' has a name that is not allowed, expected {NAME}; rename it."
    assert refusal(changed("models", CONFIG["models"] | {8: NETWORK})) == expected

"""Keys that are right by themselves and do not agree, and the sentence that a user reads about each."""

from typing import Any

import pytest
from study_helpers import Dataset, changed, refusal

from eigendrift.errors import UserError
from eigendrift.study.check import check_sizes

# Key, its wrong value, and all that is said after "Config key ".
MISTAKES: list[tuple[str, Any, str]] = [
    # Names of what is not there.
    (
        "experiments.main.optimizers",
        ["sgd", "rmsprop"],
        "'experiments.main.optimizers' names 'rmsprop', which is not in 'optimizers', expected one of sgd, "
        "momentum, adam; fix the name, or add it to 'optimizers'.",
    ),
    (
        "experiments.main.model",
        "mlp",
        "'experiments.main.model' names 'mlp', which is not in 'models', expected one of "
        "mlp-32-32; fix the name, or add it to 'models'.",
    ),
    (
        "figures.null_model",
        "gaussian",
        "'figures.null_model' names 'gaussian', which is not in 'null_models.names', expected one "
        "of isotropic, reinitialized, permuted, shuffled_labels; fix the name, or add it to "
        "'null_models.names'.",
    ),
    # Numbers that do not fit together.
    (
        "eigenpairs.wide_every",
        15,
        "'eigenpairs.wide_every' is 15, expected a divisor of 40, the number of intervals between "
        "checkpoints; set it to 5.",
    ),
    (
        "training.checkpoints.count",
        14,
        "'eigenpairs.wide_every' is 5, expected a divisor of 13, the number of intervals between "
        "checkpoints; set it to 1.",
    ),
    (
        "eigenpairs.wide_count",
        100,
        "'eigenpairs.basis_size' is 80, expected at least 2 × wide_count + 4 = 204; raise it or lower "
        "'eigenpairs.wide_count'.",
    ),
    (
        "eigenpairs.count",
        39,
        "'eigenpairs.basis_size' is 80, expected at least 2 × count + 4 = 82; raise it or lower 'eigenpairs.count'.",
    ),
    (
        "eigenpairs.max_products",
        30,
        "'eigenpairs.max_products' is 30, expected at least 2 × wide_count + 1 = 31; raise it or lower "
        "'eigenpairs.wide_count'.",
    ),
    # Eigenvectors that are needed when all is measured.
    (
        "storage.ranks",
        2,
        "'storage.ranks' is 2, but the validation of the null models needs 'eigenpairs.count' = 3 "
        "eigenvectors of a checkpoint; raise it to 3 or set it to 'all'.",
    ),
    (
        "storage.every",
        30,
        "'storage.every' is 30, but figure 16 and the validation of the null models need the eigenvectors of "
        "the last checkpoint, so it must divide 40, 'training.checkpoints.count' minus 1; set it to 10.",
    ),
]


@pytest.mark.parametrize(("key", "value", "sentence"), MISTAKES)
def test_mistake(key: str, value: Any, sentence: str) -> None:
    assert refusal(changed(key, value)) == f"Config key {sentence}"


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        (
            "eigenpairs.samples",
            1001,
            "'eigenpairs.samples' asks for 1001, but the training set of digits has 1000",
        ),
        (
            "experiments.main.batch_size",
            1001,
            "'experiments.main.batch_size' asks for 1001, but the training",
        ),
        ("eigenpairs.samples", 1000, None),
        ("experiments.main.batch_size", "full", None),
        ("eigenpairs.wide_count", 3466, None),
        (
            "eigenpairs.wide_count",
            3467,
            "'eigenpairs.wide_count' asks for 3467 eigenpairs, but mlp-32-32 has only 3466 parameters",
        ),
        ("eigenpairs.count", 3467, "'eigenpairs.count' asks for 3467 eigenpairs"),
    ],
)
def test_sizes_are_held_against_the_training_sets(key, value, sentence):
    config = changed(key, value)
    # Its smaller training sets have tests of their own.
    del config["experiments"]["training_sizes"]
    sizes = {"mnist5k": Dataset(4000, (28, 28), 10), "digits": Dataset(1000, (8, 8), 10)}
    if sentence is None:
        check_sizes(config, sizes)
    else:
        with pytest.raises(UserError, match=sentence):
            check_sizes(config, sizes)

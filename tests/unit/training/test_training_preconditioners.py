"""Preconditioners compared with torch's own steps, and stability thresholds with iterated maps."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_helpers import OPTIMIZERS as SETTINGS
from training_helpers import arrays, run, settings_of

from eigendrift.errors import UserError
from eigendrift.training.optimizers import (
    OPTIMIZERS,
    adam_preconditioner,
    is_adaptive,
    preconditioners_along,
    stability_threshold,
)


def test_only_some_optimizers_are_adaptive() -> None:
    assert [name for name in OPTIMIZERS if is_adaptive(name)] == ["adam", "adamw", "rmsprop"]


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop"])
def test_steps_are_divided_by_the_preconditioner(name: str, tmp_path: Path) -> None:
    """The running mean of gradients that the recorded updates imply follows from the recorded gradients."""
    settings = settings_of(name)
    record = arrays(run(settings, tmp_path / name))
    # RMSprop divides the gradient itself. AdamW first shrinks the weights.
    own = {"beta1": 0.0, "weight_decay": 0.0} | settings["optimizer"]
    preconditioner = OPTIMIZERS[name].preconditioner
    assert preconditioner
    diagonals = preconditioners_along(preconditioner, own, record["second_moment"], record["gradient"], record["step"])
    # There is a checkpoint at every step, so the running mean is known from the first step on.
    mean = np.zeros(record["weights"].shape[1])
    for index in range(len(record["step"])):
        gradient = record["gradient"][index].astype(float)
        mean = own["beta1"] * mean + (1 - own["beta1"]) * gradient
        step = mean / diagonals(index) + own["weight_decay"] * record["weights"][index]
        expected = -own["learning_rate"] * step
        np.testing.assert_allclose(record["update"][index], expected, rtol=2e-3, atol=3e-7)
        assert (diagonals(index) > 0).all()
    first = np.abs(record["gradient"][0].astype(float))
    root = np.sqrt(1 - own["beta2"]) if name == "rmsprop" else 1
    np.testing.assert_allclose(diagonals(0), (1 - own["beta1"]) * (root * first + own["epsilon"]), rtol=1e-6)


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "returns NoneType, expected an array of shape (4,) of numbers above 0; correct the function"),
        (np.ones(3), "returns an array of shape (3,), expected"),
        (np.array([1.0, 2, -1, 3]), "returns numbers that are not above 0, expected"),
        (np.full(4, np.nan), "returns numbers that are not above 0, expected"),
    ],
)
def test_an_invalid_diagonal_is_refused(returned: object, words: str) -> None:
    preconditioner: Any = lambda *_: returned  # noqa: E731
    diagonal = preconditioners_along(preconditioner, {"name": "mine"}, [np.ones(4)], [np.ones(4)], np.array([3]))
    with pytest.raises(UserError, match=f"The preconditioner of the optimizer 'mine' {re.escape(words)}"):
        diagonal(0)


def test_the_preconditioner_is_nan_after_a_divergence() -> None:
    diagonal = adam_preconditioner(SETTINGS["adam"], np.full(2, np.nan), np.full(2, np.nan), 5)
    assert np.isnan(diagonal).all()


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "adamw", "rmsprop"])
@pytest.mark.parametrize(("factor", "stable"), [(0.98, True), (1.02, False)])
def test_steps_on_a_quadratic_are_stable_up_to_the_threshold(name: str, factor: float, stable: bool) -> None:
    settings: dict[str, Any] = SETTINGS[name] | {"learning_rate": 0.01}
    if name == "adamw":
        # Large enough to change the threshold by more than the factors of this test.
        settings["weight_decay"] = 10.0
    threshold = stability_threshold(settings)
    assert threshold
    curvature = factor * threshold
    parameter = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    if is_adaptive(name):
        # With its diagonal fixed at 1, it is gradient descent along a running mean.
        mean, beta = torch.zeros(1, dtype=torch.float64), settings.get("beta1", 0)
        for _ in range(1000):
            mean = beta * mean + (1 - beta) * curvature * parameter.data
            step = mean + settings.get("weight_decay", 0) * parameter.data
            parameter.data -= settings["learning_rate"] * step
    else:
        optimizer = OPTIMIZERS[name].build([parameter], settings)
        for _ in range(1000):
            parameter.grad = curvature * parameter.detach()
            optimizer.step()
    assert (abs(parameter.item()) < 1) == stable


def test_adams_threshold_is_the_published_one() -> None:
    assert stability_threshold(SETTINGS["adam"] | {"learning_rate": 1}) == pytest.approx(38)


@pytest.mark.parametrize("name", ["sam", "muon", "from a plug-in that is not loaded"])
def test_optimizers_without_a_declared_threshold_have_none(name: str) -> None:
    assert stability_threshold({"name": name, "learning_rate": 0.1}) is None

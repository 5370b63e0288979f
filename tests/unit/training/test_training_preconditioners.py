"""What adaptive optimizers divide by, against torch's own steps, and stability against iterated maps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_helpers import OPTIMIZERS as SETTINGS
from training_helpers import arrays, run, settings_of

from eigendrift.training.optimizers import OPTIMIZERS
from eigendrift.training.preconditioners import (
    PRECONDITIONERS,
    preconditioner,
    preconditioners_along,
    stability_threshold,
)


def test_optimizers_with_a_second_moment_are_those_with_a_preconditioner() -> None:
    assert {name for name, spec in OPTIMIZERS.items() if spec.second_moment} == set(PRECONDITIONERS)


def test_of_others_there_is_none() -> None:
    with pytest.raises(KeyError, match="sgd"):
        preconditioner(SETTINGS["sgd"], np.zeros(3), np.ones(3), 0)


def test_it_is_what_adams_steps_are_divided_by(tmp_path: Path) -> None:
    """The running mean of gradients that the recorded updates imply follows from the recorded gradients."""
    settings = settings_of("adam")
    record = arrays(run(settings, tmp_path / "adam"))
    adam = settings["optimizer"]
    diagonals = preconditioners_along(adam, record["second_moment"], record["gradient"], record["step"])
    # A checkpoint at every step: the running mean is known from the first on.
    mean = np.zeros(record["weights"].shape[1])
    for index in range(len(record["step"])):
        gradient = record["gradient"][index].astype(float)
        mean = adam["beta1"] * mean + (1 - adam["beta1"]) * gradient
        expected = -adam["learning_rate"] * mean / diagonals(index)
        np.testing.assert_allclose(record["update"][index], expected, rtol=2e-3, atol=3e-7)
        assert (diagonals(index) > 0).all()
    first = np.abs(record["gradient"][0].astype(float)) + adam["epsilon"]
    np.testing.assert_allclose(diagonals(0), (1 - adam["beta1"]) * first, rtol=1e-6)


def test_after_a_divergence_there_is_none() -> None:
    diagonal = preconditioner(SETTINGS["adam"], np.full(2, np.nan), np.full(2, np.nan), 5)
    assert np.isnan(diagonal).all()


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize(("factor", "stable"), [(0.98, True), (1.02, False)])
def test_steps_on_a_quadratic_are_stable_up_to_the_threshold(name: str, factor: float, stable: bool) -> None:
    settings: dict[str, Any] = SETTINGS[name] | {"learning_rate": 0.01}
    curvature = factor * stability_threshold(settings)
    parameter = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    if name == "adam":
        # With its diagonal held fixed at 1, Adam is gradient descent along a running mean.
        mean, beta = torch.zeros(1, dtype=torch.float64), settings["beta1"]
        for _ in range(4000):
            mean = beta * mean + (1 - beta) * curvature * parameter.data
            parameter.data -= settings["learning_rate"] * mean
    else:
        optimizer = OPTIMIZERS[name].build([parameter], settings)
        for _ in range(4000):
            parameter.grad = curvature * parameter.detach()
            optimizer.step()
    assert (abs(parameter.item()) < 1) == stable


def test_of_adam_it_is_the_known_number() -> None:
    assert stability_threshold(SETTINGS["adam"] | {"learning_rate": 1}) == pytest.approx(38)

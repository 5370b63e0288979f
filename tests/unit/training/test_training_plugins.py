"""Networks and optimizers of plug-ins: those that would silently give wrong results are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from training_helpers import run, settings_of

from eigendrift.errors import UserError
from eigendrift.extensions import Model, Optimizer
from eigendrift.extensions.registry import add
from eigendrift.training.torch_networks import build_model
from eigendrift.training.torch_optimizers import build_optimizer, second_moment

pytestmark = pytest.mark.usefixtures("plugins_forgotten")


class Features(nn.Module):
    """Random features: a buffer that changes with each initialization."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("directions", torch.randn(12, 3))

    def forward(self, images: torch.Tensor) -> Any:
        return images @ self.directions


def frozen() -> nn.Module:
    layer = nn.Linear(3, 3)
    layer.bias.requires_grad_(False)
    return layer


def trained(model: Callable[[], object], directory: Path) -> None:
    def build(*_: object) -> object:
        built = model()
        return nn.Sequential(nn.Flatten(), nn.Linear(12, 3), built) if isinstance(built, nn.Module) else built

    add(Model(name="mine", build=build), Path("mine.py"))
    run(settings_of("sgd", model={"name": "mine", "kind": "mine"}), directory)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (
            lambda: nn.BatchNorm1d(3),
            "The buffer '2.running_mean' of the network 'mine' is random or changes in a forward pass, "
            ".* use LayerNorm or GroupNorm instead of batch norm",
        ),
        (lambda: nn.Sequential(nn.Linear(3, 12), Features()), "The buffer '2.1.directions' .* is random"),
        (frozen, "The parameter '2.bias' .* is frozen, but all parameters must be float32"),
        (lambda: nn.Linear(3, 3).double(), "The parameter '2.weight' .* is float64, but"),
        (
            lambda: nn.Linear(3, 5),
            r"returns float32 of shape \(2, 5\) for 2 images, expected scores of 3 classes, float32 of shape "
            r"\(2, 3\); correct its last layer",
        ),
        (
            lambda: nn.Linear(4, 3),
            r"The network 'mine' fails for images of shape \(2, .*\(.*shapes cannot be multiplied.*\); "
            "correct its function build, whose argument image_shape",
        ),
        (lambda: None, "The network 'mine' is built as NoneType, expected a torch.nn.Module; correct its"),
    ],
)
def test_an_unsuitable_network_is_refused(model: Callable[[], object], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=sentence):
        trained(model, tmp_path)


def test_a_network_without_parameters_is_refused() -> None:
    add(Model(name="mine", build=lambda *_: nn.Flatten()), Path("mine.py"))
    with pytest.raises(UserError, match="The network 'mine' has no parameters to train; correct"):
        build_model({"kind": "mine"}, (3, 4), 3, torch.Generator())


@pytest.mark.parametrize("model", [lambda: nn.GroupNorm(1, 3), lambda: nn.Dropout(0.5)])
def test_other_networks_are_trained(model: Callable[[], nn.Module], tmp_path: Path) -> None:
    trained(model, tmp_path)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (
            lambda *_: None,
            "The optimizer 'mine' is built as NoneType, expected a torch.optim.Optimizer; correct",
        ),
        (
            lambda parameters, _: torch.optim.LBFGS(parameters),
            r"The optimizer 'mine' has a method step\(closure\), but is called with nothing because of "
            "takes_closure=False; correct one of them",
        ),
    ],
)
def test_an_unsuitable_optimizer_is_refused(build: Callable[..., Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        build_optimizer(Optimizer(name="mine", build=build), nn.Linear(3, 2).parameters(), {})


class Plain(torch.optim.Optimizer):
    """An optimizer whose step takes no closure."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for parameter in self.param_groups[0]["params"]:
            parameter -= 0.1 * parameter.grad


def test_a_step_without_a_closure_is_called_without_it(tmp_path: Path) -> None:
    add(Optimizer(name="mine", build=lambda parameters, _: Plain(parameters)), Path("mine.py"))
    run(settings_of("sgd") | {"optimizer": {"name": "mine", "learning_rate": 0.1}}, tmp_path)
    with pytest.raises(UserError, match=r"step\(\).*, but is called with a closure"):
        build_optimizer(
            Optimizer(name="mine", build=lambda parameters, _: Plain(parameters), takes_closure=True),
            nn.Linear(3, 2).parameters(),
            {},
        )


def in_groups(parameters: Any, _: object) -> torch.optim.Optimizer:
    """Return Adam with the biases in the first group, as is usual for weight decay of weights alone."""
    listed = list(parameters)
    groups = [
        {"params": [p for p in listed if p.ndim < 2]},
        {"params": [p for p in listed if p.ndim > 1], "weight_decay": 0.1},
    ]
    return torch.optim.Adam(groups, lr=0.1)


def adaptive(second_moment: str) -> Optimizer:
    return Optimizer(name="mine", build=in_groups, second_moment=second_moment, preconditioner=lambda *_: np.ones(1))


def stepped() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    optimizer = in_groups(model.parameters(), {})
    model(torch.ones(4, 3)).square().mean().backward()
    optimizer.step()
    return model, optimizer


def test_second_moments_have_the_order_of_the_networks_parameters() -> None:
    model, optimizer = stepped()
    expected = torch.cat([optimizer.state[p]["exp_avg_sq"].flatten() for p in model.parameters()])
    found = second_moment(adaptive("exp_avg_sq"), optimizer, model.parameters(), 1)
    assert found is not None
    assert torch.equal(found, expected)


def test_a_missing_second_moment_is_refused() -> None:
    model, optimizer = stepped()
    sentence = "'mine' declares the second_moment 'exp_avg_square', but .* has only step, exp_avg, exp_avg_sq;"
    with pytest.raises(UserError, match=sentence):
        second_moment(adaptive("exp_avg_square"), optimizer, model.parameters(), 1)


def test_a_second_moment_of_another_shape_or_without_any_state_is_refused() -> None:
    model, optimizer = stepped()
    with pytest.raises(UserError, match=r"'step', but that state is of shape \(\) for a parameter of shape"):
        second_moment(adaptive("step"), optimizer, model.parameters(), 1)
    without = torch.optim.SGD(model.parameters(), lr=0.1)
    assert second_moment(adaptive("exp_avg_sq"), without, model.parameters(), 0) is not None
    with pytest.raises(UserError, match=r"after 3 steps optimizer\.state has no state of any parameter"):
        second_moment(adaptive("exp_avg_sq"), without, model.parameters(), 3)

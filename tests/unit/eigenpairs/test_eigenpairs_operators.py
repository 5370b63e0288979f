"""Which operator a network gets, and that none is wrong."""

from collections.abc import Callable

import pytest
import torch
from eigenpairs_helpers import check, dense_hessian, matrix_of
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import prune

from eigendrift.eigenpairs.double_backward import DoubleBackwardHessian
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.eigenpairs.perceptron import PerceptronHessian


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3)).double()


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.outer(inputs + self.inner(inputs).sigmoid())


def mean_squared_error(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs - nn.functional.one_hot(targets, 3)).square().mean()


def shared_weights() -> nn.Module:
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.Tanh(), layer)


def convolution() -> nn.Module:
    features = nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Conv1d(1, 3, 2), nn.Tanh(), nn.Flatten())
    return nn.Sequential(*features, nn.Linear(6, 3))


OTHERS: dict[str, Callable[[], nn.Module]] = {
    "branches": Residual,
    "convolution": convolution,
    "shared weights": shared_weights,
    "another activation": lambda: nn.Sequential(nn.Linear(3, 4), nn.Softplus(), nn.Linear(4, 3)),
    "activation at the end": lambda: nn.Sequential(nn.Linear(3, 3), nn.Tanh()),
    "linear layers alone": lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 3)),
}


@pytest.mark.parametrize("chunk_size", [None, 4])
@pytest.mark.parametrize("name", OTHERS)
def test_any_network_has_a_hessian(name, inputs, targets, chunk_size):
    torch.manual_seed(1)
    model = OTHERS[name]().double()
    operator = hessian_operator(model, cross_entropy, inputs, targets, chunk_size)
    assert isinstance(operator, DoubleBackwardHessian)
    check(operator, dense_hessian(model, cross_entropy, inputs, targets))


def test_any_mean_loss_has_a_hessian(model, inputs, targets):
    operator = hessian_operator(model, mean_squared_error, inputs, targets, 4)
    check(operator, dense_hessian(model, mean_squared_error, inputs, targets))


class LoudFlatten(nn.Flatten):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(inputs)


def double(module: nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
    return 2 * output


def plain() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3)).double()


def own_forward(model: nn.Sequential) -> None:
    layer = model[1]
    layer.forward = lambda inputs: 2 * nn.functional.linear(inputs, layer.weight, layer.bias)


LOOK_ALIKES: dict[str, Callable[[nn.Sequential], object]] = {
    "hooked layer": lambda model: model[1].register_forward_hook(double),
    "hooked network": lambda model: model.register_forward_hook(double),
    "own forward": own_forward,
    "pruned": lambda model: prune.random_unstructured(model[1], "weight", amount=0.5),
    "normalized": lambda model: nn.utils.parametrizations.weight_norm(model[1]),
    "in place": lambda model: setattr(model[2], "inplace", True),
    "a flatten of other dimensions": lambda model: setattr(model[0], "end_dim", 1),
    "another flatten": lambda model: setattr(model, "0", LoudFlatten()),
}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_what_only_looks_like_a_perceptron_is_none(name, inputs, targets):
    assert isinstance(hessian_operator(plain(), cross_entropy, inputs, targets), PerceptronHessian)
    model = plain()
    LOOK_ALIKES[name](model)
    operator = hessian_operator(model, cross_entropy, inputs, targets)
    assert isinstance(operator, DoubleBackwardHessian)
    assert (operator @ torch.ones(operator.size, dtype=torch.float64)).isfinite().all()


def test_the_cross_entropy_of_a_perceptron_has_the_fast_operator(model, inputs, targets):
    assert isinstance(hessian_operator(model, cross_entropy, inputs, targets), PerceptronHessian)
    probabilities = nn.functional.one_hot(targets, 3).double()
    soft = hessian_operator(model, cross_entropy, inputs, probabilities)
    assert isinstance(soft, DoubleBackwardHessian)
    torch.testing.assert_close(
        matrix_of(soft), matrix_of(hessian_operator(model, cross_entropy, inputs, targets)), rtol=0, atol=1e-13
    )

"""Which operator a network gets, and that none is wrong."""

from collections.abc import Callable

import pytest
import torch
from eigenpairs_helpers import dense_hessian, matrix_of
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
def test_any_network_has_a_hessian(
    name: str, inputs: torch.Tensor, targets: torch.Tensor, chunk_size: int | None
) -> None:
    torch.manual_seed(1)
    model = OTHERS[name]().double()
    matrix = matrix_of(hessian_operator(model, cross_entropy, inputs, targets, chunk_size))
    expected = dense_hessian(model, cross_entropy, inputs, targets)
    torch.testing.assert_close(matrix, expected, rtol=0, atol=1e-12)


def test_any_mean_loss_has_a_hessian(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> None:
    operator = hessian_operator(model, mean_squared_error, inputs, targets, 4)
    expected = dense_hessian(model, mean_squared_error, inputs, targets)
    torch.testing.assert_close(matrix_of(operator), expected, rtol=0, atol=1e-12)


class LoudFlatten(nn.Flatten):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(inputs)


def double(module: nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
    return 2 * output


def plain() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3)).double()


def hooked_layer() -> nn.Module:
    model = plain()
    model[1].register_forward_hook(double)
    return model


def hooked_network() -> nn.Module:
    model = plain()
    model.register_forward_hook(double)
    return model


def own_forward() -> nn.Module:
    model = plain()
    layer = model[1]
    layer.forward = lambda inputs: 2 * nn.functional.linear(inputs, layer.weight, layer.bias)
    return model


def pruned() -> nn.Module:
    model = plain()
    prune.random_unstructured(model[1], "weight", amount=0.5)
    return model


def normalized() -> nn.Module:
    model = plain()
    nn.utils.parametrizations.weight_norm(model[1])
    return model


LOOK_ALIKES = {
    "hooked layer": hooked_layer,
    "hooked network": hooked_network,
    "own forward": own_forward,
    "pruned": pruned,
    "normalized": normalized,
    "in place": lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 3)).double(),
    "a flatten of other dimensions": lambda: nn.Sequential(nn.Flatten(1, 1), *plain()[1:]).double(),
    "another flatten": lambda: nn.Sequential(LoudFlatten(), *plain()[1:]).double(),
}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_what_only_looks_like_a_perceptron_is_none(name: str, inputs: torch.Tensor, targets: torch.Tensor) -> None:
    assert isinstance(hessian_operator(plain(), cross_entropy, inputs, targets), PerceptronHessian)
    operator = hessian_operator(LOOK_ALIKES[name](), cross_entropy, inputs, targets)
    assert isinstance(operator, DoubleBackwardHessian)
    assert (operator @ torch.ones(operator.size, dtype=torch.float64)).isfinite().all()


def test_labels_that_do_not_count_are_left_to_automatic_differentiation(inputs: torch.Tensor) -> None:
    ignored = torch.tensor([0, 1, -100] * 4)[: len(inputs)]
    operator = hessian_operator(plain(), cross_entropy, inputs, ignored)
    assert isinstance(operator, DoubleBackwardHessian)


def test_the_cross_entropy_of_a_perceptron_has_the_fast_operator(
    model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor
) -> None:
    assert isinstance(hessian_operator(model, cross_entropy, inputs, targets), PerceptronHessian)
    for name, other in OTHERS.items():
        operator = hessian_operator(other().double(), cross_entropy, inputs, targets)
        assert isinstance(operator, DoubleBackwardHessian), name
    probabilities = nn.functional.one_hot(targets, 3).double()
    soft = hessian_operator(model, cross_entropy, inputs, probabilities)
    assert isinstance(soft, DoubleBackwardHessian)
    torch.testing.assert_close(
        matrix_of(soft),
        matrix_of(hessian_operator(model, cross_entropy, inputs, targets)),
        rtol=0,
        atol=1e-13,
    )

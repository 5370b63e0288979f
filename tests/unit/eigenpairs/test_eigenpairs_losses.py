"""Products in float32 of networks that are sure of every sample, where rounding could leave nothing."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.autograd.functional import hessian
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector

from eigendrift.eigenpairs.double_backward import DoubleBackwardHessian
from eigendrift.eigenpairs.losses import is_cross_entropy, mean_cross_entropy
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.eigenpairs.perceptron import PerceptronHessian
from eigendrift.eigenpairs.stack import PerceptronStack
from eigendrift.eigenpairs.symmetric import SymmetricOperator

Data = tuple[torch.Tensor, torch.Tensor]


def one(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> SymmetricOperator:
    return PerceptronHessian(model, inputs, targets)


def stacked(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> SymmetricOperator:
    weights = parameters_to_vector(model.parameters()).detach()
    return PerceptronStack(model, weights[None], inputs, targets)[0]


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(300, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model(inputs: torch.Tensor) -> nn.Module:
    """A network whose most probable class leads by at least 14, whatever the sample."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 5))
    with torch.no_grad():
        highest = model(inputs).topk(2, dim=1).values
        scale = 14 / (highest[:, 0] - highest[:, 1]).quantile(0.1)
        model[2].weight *= scale
        model[2].bias *= scale
    return model


@pytest.mark.parametrize("build", [one, stacked])
@pytest.mark.parametrize("wrong", [0, 1], ids=["all right", "one sample wrong"])
def test_float32_products_keep_their_digits_at_a_small_loss(
    build, wrong: int, model: nn.Module, inputs: torch.Tensor
) -> None:
    outputs = model(inputs).detach()
    sure = outputs.topk(2, dim=1).values.diff(dim=1)[:, 0] < -14
    inputs, targets = inputs[sure], outputs.argmax(1)[sure]
    targets[:wrong] = (targets[:wrong] + 1) % 5
    if not wrong:
        assert cross_entropy(model(inputs), targets) < 1e-6
    narrow = build(model, inputs, targets)
    exact = build(deepcopy(model).double(), inputs.double(), targets)
    vectors = torch.randn(4, narrow.size, generator=torch.Generator().manual_seed(2))
    products, expected = narrow @ vectors, exact @ vectors.double()
    errors = (products - expected).norm(dim=1) / expected.norm(dim=1)
    # Outputs of some 100 are known to 1e-5, and so are their exponentials.
    assert errors.max() < 5e-5


def test_float32_products_of_any_network_keep_their_digits(model: nn.Module, inputs: torch.Tensor) -> None:
    """A convolution, here as wide as the input, makes it a network whose products are not written out."""
    convolution = nn.Conv1d(1, 20, 6)
    with torch.no_grad():
        convolution.weight.copy_(model[0].weight[:, None])
        convolution.bias.copy_(model[0].bias)
    network = nn.Sequential(nn.Unflatten(1, (1, 6)), convolution, nn.Flatten(), *model[1:])
    outputs = model(inputs).detach()
    sure = outputs.topk(2, dim=1).values.diff(dim=1)[:, 0] < -14
    inputs, targets = inputs[sure], outputs.argmax(1)[sure]
    narrow = hessian_operator(network, cross_entropy, inputs, targets)
    assert isinstance(narrow, DoubleBackwardHessian)
    exact = PerceptronHessian(deepcopy(model).double(), inputs.double(), targets)
    vectors = torch.randn(4, narrow.size, generator=torch.Generator().manual_seed(2))
    products, expected = narrow @ vectors, exact @ vectors.double()
    errors = (products - expected).norm(dim=1) / expected.norm(dim=1)
    assert errors.max() < 5e-5


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_the_cross_entropy_and_its_derivatives_are_those_of_torch(scale: float) -> None:
    outputs = scale * torch.randn(30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    targets = torch.arange(30) % 4
    torch.testing.assert_close(mean_cross_entropy(outputs, targets), cross_entropy(outputs, targets))
    ours = hessian(lambda z: mean_cross_entropy(z, targets), outputs)
    torch.testing.assert_close(ours, hessian(lambda z: cross_entropy(z, targets), outputs))


@pytest.mark.parametrize(
    ("loss", "plain"),
    [
        (cross_entropy, True),
        (nn.CrossEntropyLoss(), True),
        (nn.CrossEntropyLoss().eval(), True),
        (nn.CrossEntropyLoss(label_smoothing=0.1), False),
        (nn.CrossEntropyLoss(weight=torch.ones(5)), False),
        (nn.CrossEntropyLoss(reduction="sum"), False),
        (nn.CrossEntropyLoss(ignore_index=2), False),
        (nn.MSELoss(), False),
    ],
)
def test_the_mean_cross_entropy_is_known_in_whatever_form_it_comes(loss: object, plain: bool) -> None:
    assert is_cross_entropy(loss) == plain


def test_the_module_form_has_its_products_written_out(model: nn.Module, inputs: torch.Tensor) -> None:
    targets = torch.zeros(len(inputs), dtype=torch.int64)
    assert isinstance(hessian_operator(model, nn.CrossEntropyLoss(), inputs, targets), PerceptronHessian)
    ignoring = targets.clone()
    ignoring[0] = -100
    operator = hessian_operator(model, nn.CrossEntropyLoss(), inputs, ignoring)
    assert isinstance(operator, DoubleBackwardHessian)
    exact = DoubleBackwardHessian(model, cross_entropy, inputs, ignoring)
    vector = torch.ones(operator.size)
    torch.testing.assert_close(operator @ vector, exact @ vector)

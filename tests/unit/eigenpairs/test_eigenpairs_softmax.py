"""Products in float32 of networks that are sure of every sample, where rounding could leave nothing."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector

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

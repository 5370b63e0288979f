"""The Hessian operator against dense Hessians."""

import pytest
import torch
from eigenpairs_helpers import dense_hessian
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from eigendrift.eigenpairs.hessian import HessianOperator

SAMPLES = 11
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


@pytest.fixture(params=list(ACTIVATIONS))
def model(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(1)
    activation = ACTIVATIONS[request.param]
    layers = [nn.Linear(3, 4), activation(), nn.Linear(4, 3), activation(), nn.Linear(3, 3)]
    return nn.Sequential(*layers).double()


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(SAMPLES, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def targets() -> torch.Tensor:
    return torch.arange(SAMPLES) % 3


def matrix_of(operator: HessianOperator) -> torch.Tensor:
    identity = torch.eye(operator.size, dtype=operator.dtype)
    return torch.stack([operator @ column for column in identity])


@pytest.mark.parametrize("chunk_size", [None, 1, 4, 7, SAMPLES, 100])
def test_products_are_those_of_the_dense_hessian_whatever_the_chunks(
    model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, chunk_size: int | None
) -> None:
    operator = HessianOperator(model, cross_entropy, inputs, targets, chunk_size)
    expected = dense_hessian(model, cross_entropy, inputs, targets)
    torch.testing.assert_close(matrix_of(operator), expected, rtol=0, atol=1e-12)


def test_products_are_symmetric_and_linear(
    model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor
) -> None:
    operator = HessianOperator(model, cross_entropy, inputs, targets, 4)
    u, v = torch.randn(2, operator.size, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(u @ (operator @ v), v @ (operator @ u), rtol=1e-12, atol=0)
    combined = 2 * (operator @ u) - 3 * (operator @ v)
    torch.testing.assert_close(operator @ (2 * u - 3 * v), combined, rtol=0, atol=1e-13)


def test_products_are_differences_of_the_gradient(
    model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor
) -> None:
    operator = HessianOperator(model, cross_entropy, inputs, targets)
    direction = torch.randn(operator.size, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    product = operator @ direction
    weights = parameters_to_vector(model.parameters()).detach()

    def gradient_at(point: torch.Tensor) -> torch.Tensor:
        vector_to_parameters(point, model.parameters())
        loss = cross_entropy(model(inputs), targets)
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])

    step = 1e-5
    difference = (gradient_at(weights + step * direction) - gradient_at(weights - step * direction)) / (
        2 * step
    )
    torch.testing.assert_close(product, difference, rtol=0, atol=1e-8)


def test_float32_products_are_those_of_float64_rounded(
    model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor
) -> None:
    wide = matrix_of(HessianOperator(model, cross_entropy, inputs, targets, 4))
    narrow = matrix_of(HessianOperator(model.float(), cross_entropy, inputs.float(), targets, 4))
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow.double(), wide, rtol=0, atol=1e-6 * wide.abs().max().item())


def test_rows_follow_the_order_of_parameters(inputs: torch.Tensor, targets: torch.Tensor) -> None:
    """The loss of a linear classifier has a closed form: blocks of p(1 − p) x xᵀ, weights before biases."""
    torch.manual_seed(5)
    model = nn.Linear(3, 3).double()
    operator = HessianOperator(model, cross_entropy, inputs, targets, 4)
    p = model(inputs).softmax(1).detach()
    curvature = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    weights = torch.einsum("nab,ni,nj->aibj", curvature, inputs, inputs).reshape(9, 9) / SAMPLES
    mixed = torch.einsum("nab,ni->aib", curvature, inputs).reshape(9, 3) / SAMPLES
    expected = torch.cat([torch.cat([weights, mixed], 1), torch.cat([mixed.T, curvature.mean(0)], 1)])
    torch.testing.assert_close(matrix_of(operator), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("chunk_size", [None, 4])
def test_parameters_that_the_loss_does_not_curve_have_zero_rows(
    inputs: torch.Tensor, targets: torch.Tensor, chunk_size: int | None
) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 3)).double()
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.fill_(-1.0)
    matrix = matrix_of(HessianOperator(model, cross_entropy, inputs, targets, chunk_size))
    assert not matrix[:14].any()
    assert matrix[14:, 14:].any()


def test_knows_its_size_device_and_dtype(
    model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor
) -> None:
    operator = HessianOperator(model, cross_entropy, inputs, targets)
    assert operator.size == sum(p.numel() for p in model.parameters())
    assert (operator.device, operator.dtype) == (torch.device("cpu"), torch.float64)


def test_leaves_the_model_as_it_was(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> None:
    before = parameters_to_vector(model.parameters()).detach().clone()
    matrix_of(HessianOperator(model, cross_entropy, inputs, targets, 4))
    assert torch.equal(parameters_to_vector(model.parameters()), before)
    assert all(parameter.grad is None for parameter in model.parameters())

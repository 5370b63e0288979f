"""The Hessian operators against dense Hessians."""

from collections.abc import Callable

import pytest
import torch
from eigenpairs_helpers import SAMPLES, check, dense_hessian, double_backward, gradient_difference, matrix_of, seeded
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector

from eigendrift.eigenpairs.hessian import HessianOperator
from eigendrift.eigenpairs.perceptron import PerceptronHessian
from eigendrift.training.torch_networks import ACTIVATIONS

Build = Callable[..., HessianOperator]


@pytest.fixture(params=[double_backward, PerceptronHessian], ids=["double backward", "perceptron"])
def build(request: pytest.FixtureRequest) -> Build:
    return request.param


@pytest.fixture(params=list(ACTIVATIONS))
def model(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(1)
    activation = ACTIVATIONS[request.param]
    layers = [nn.Linear(3, 4), activation(), nn.Linear(4, 3), activation(), nn.Linear(3, 3)]
    return nn.Sequential(*layers).double()


@pytest.mark.parametrize("chunk_size", [None, 1, 4, 100])
@pytest.mark.parametrize("bias", [True, False])
def test_products_are_those_of_the_dense_hessian_whatever_the_chunks(build, model, inputs, targets, chunk_size, bias):
    if not bias:
        for layer in (model[0], model[-1]):
            layer.register_parameter("bias", None)
    operator = build(model, inputs, targets, chunk_size)
    assert (operator.device, operator.dtype) == (torch.device("cpu"), torch.float64)
    check(operator, dense_hessian(model, cross_entropy, inputs, targets))


def test_float32_products_are_those_of_float64_rounded(build, model, inputs, targets):
    wide = matrix_of(build(model, inputs, targets, 4))
    narrow = matrix_of(build(model.float(), inputs.float(), targets, 4))
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow.double(), wide, rtol=0, atol=1e-6 * wide.abs().max().item())


def test_rows_follow_the_order_of_parameters(build, inputs, targets):
    """The loss of a linear classifier has a closed form: blocks of p(1 − p) x xᵀ, weights before biases."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(3, 3)).double()
    operator = build(model, inputs, targets, 4)
    p = model(inputs).softmax(1).detach()
    curvature = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    weights = torch.einsum("nab,ni,nj->aibj", curvature, inputs, inputs).reshape(9, 9) / SAMPLES
    mixed = torch.einsum("nab,ni->aib", curvature, inputs).reshape(9, 3) / SAMPLES
    expected = torch.cat([torch.cat([weights, mixed], 1), torch.cat([mixed.T, curvature.mean(0)], 1)])
    check(operator, expected, 1e-13)


@pytest.mark.parametrize("chunk_size", [None, 4])
def test_parameters_that_the_loss_does_not_curve_have_zero_rows(build, inputs, targets, chunk_size):
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 3)).double()
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.fill_(-1.0)
    matrix = matrix_of(build(model, inputs, targets, chunk_size))
    assert not matrix[:14].any()
    assert matrix[14:, 14:].any()


def test_leaves_the_model_as_it_was(build, model, inputs, targets):
    before = parameters_to_vector(model.parameters()).detach().clone()
    matrix_of(build(model, inputs, targets, 4))
    assert torch.equal(parameters_to_vector(model.parameters()), before)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("chunk_size", [None, 4])
@pytest.mark.parametrize("rows", [1, 2, 40])
def test_products_with_a_block_are_those_with_its_rows(build, model, inputs, targets, rows, chunk_size):
    operator = build(model, inputs, targets, chunk_size)
    block = torch.randn(rows, operator.size, dtype=torch.float64, generator=seeded(6))
    products = operator @ block
    assert products.shape == block.shape
    one_by_one = torch.stack([operator @ row for row in block])
    torch.testing.assert_close(products, one_by_one, rtol=0, atol=1e-15)


def test_products_are_the_callers_own(build, model, inputs, targets):
    operator = build(model, inputs, targets)
    vector = torch.ones(operator.size, dtype=torch.float64)
    first = operator @ vector
    kept = first.clone()
    operator @ -vector
    assert torch.equal(first, kept)
    assert torch.equal(vector, torch.ones(operator.size, dtype=torch.float64))


@pytest.mark.parametrize("samples", [1, 3, 4])
def test_a_perceptrons_samples_may_take_several_passes(model, inputs, targets, samples, monkeypatch):
    monkeypatch.setattr("eigendrift.eigenpairs.perceptron.CACHED_ROWS", samples)
    check(PerceptronHessian(model, inputs, targets), dense_hessian(model, cross_entropy, inputs, targets))


@pytest.mark.parametrize("training", [True, False])
def test_attention_has_products(training):
    torch.manual_seed(0)
    encoder = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True)
    network = nn.Sequential(encoder, nn.Flatten(), nn.Linear(12, 3)).double().train(training)
    inputs = torch.randn(5, 3, 4, dtype=torch.float64, generator=seeded(1))
    operator = double_backward(network, inputs, torch.arange(5) % 3)
    matrix = matrix_of(operator)
    torch.testing.assert_close(matrix, matrix.T)
    vector = torch.randn(operator.size, dtype=torch.float64, generator=seeded(2))
    expected = gradient_difference(network, cross_entropy, (inputs, torch.arange(5) % 3), vector)
    torch.testing.assert_close(matrix @ vector, expected, rtol=1e-5, atol=1e-7)

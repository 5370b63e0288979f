"""What operators refuse in one sentence, instead of a wrong product or a message from torch."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from eigenpairs_helpers import matrix_of, seeded
from torch import nn
from torch.nn import CrossEntropyLoss
from torch.nn.functional import cross_entropy
from torch.nn.utils import vector_to_parameters

from eigendrift.eigenpairs.batched_perceptrons import PerceptronStack
from eigendrift.eigenpairs.hessian import HessianOperator
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.eigenpairs.perceptron import PerceptronHessian
from eigendrift.eigenpairs.preconditioned import PreconditionedOperator, PreconditionedStack

Build = Callable[..., HessianOperator]


def double_backward(model: nn.Module, *data: object) -> HessianOperator:
    return hessian_operator(nn.Sequential(model), cross_entropy, *data)


@pytest.fixture(params=[double_backward, PerceptronHessian], ids=["double backward", "perceptron"])
def build(request: pytest.FixtureRequest) -> Build:
    return request.param


def test_frozen_parameters_and_empty_chunks_are_refused(build, model, inputs, targets):
    with pytest.raises(ValueError, match="chunk_size is 0, expected at least 1"):
        build(model, inputs, targets, 0)
    with pytest.raises(ValueError, match=r"chunk_size is 2\.5, expected a whole number"):
        build(model, inputs, targets, 2.5)
    model[2].bias.requires_grad_(False)
    with pytest.raises(ValueError, match=r"2\.bias' does not require a gradient"):
        build(model, inputs, targets)


def test_as_many_targets_as_inputs(build, model, inputs):
    with pytest.raises(ValueError, match="11 inputs and 10 targets, expected equal numbers"):
        build(model, inputs, torch.arange(10) % 3)


@pytest.mark.parametrize("shape", [(2, 1, 31), (), (31, 1), (30,), (2, 30)])
def test_vectors_of_another_shape_are_refused(build, model, inputs, targets, shape):
    operator = build(model, inputs, targets)
    with pytest.raises(ValueError, match=r"expected \(N,\) or \(b, N\) with N = 31"):
        operator @ torch.ones(shape, dtype=torch.float64)


def test_vectors_of_another_dtype_or_device_are_refused(build, model, inputs, targets):
    operator = build(model, inputs, targets)
    with pytest.raises(ValueError, match=r"are torch.float32 on cpu, expected torch.float64 on cpu"):
        operator @ torch.ones(operator.size)
    with pytest.raises(ValueError, match=r"on meta, expected torch.float64 on cpu"):
        operator @ torch.ones(operator.size, dtype=torch.float64, device="meta")


@pytest.mark.parametrize("chunk_size", [None, 4])
def test_no_vectors_have_no_products(build, model, inputs, targets, chunk_size):
    operator = build(model, inputs, targets, chunk_size)
    products = operator @ torch.ones(0, operator.size, dtype=torch.float64)
    assert products.shape == (0, operator.size)


CHANGES: dict[str, Callable[[nn.Module], object]] = {
    "step": lambda model: torch.optim.SGD(model.parameters(), 0.1).step(),
    "fused step": lambda model: torch.optim.Adam(model.parameters(), 0.1, fused=True).step(),
    "replace": lambda model: vector_to_parameters(torch.ones(31).double(), model.parameters()),
    "load": lambda model: model.load_state_dict(
        {name: 2 * value for name, value in model.state_dict().items()}, assign=True
    ),
    "change in place": lambda model: [parameter.data.mul_(2) for parameter in model.parameters()],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("chunk_size", [None, 4])
def test_weights_that_change_later_do_not_matter(build, model, inputs, targets, chunk_size, change):
    operator = build(model, inputs, targets, chunk_size)
    before = matrix_of(operator)
    cross_entropy(model(inputs), targets).backward()
    CHANGES[change](model)
    assert torch.equal(matrix_of(operator), before)
    assert not torch.equal(matrix_of(build(model, inputs, targets, chunk_size)), before)


def test_a_network_without_parameters_is_refused(inputs, targets):
    with pytest.raises(ValueError, match="the network has no parameters"):
        hessian_operator(nn.Tanh(), cross_entropy, inputs, targets)


def test_several_threads_may_use_one_operator(build, inputs, targets):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 3))
    operator = build(model.double(), inputs.repeat(100, 1), targets.repeat(100))
    vectors = torch.randn(40, operator.size, dtype=torch.float64, generator=seeded(3))
    expected = [operator @ vector for vector in vectors]
    with ThreadPoolExecutor(4) as threads:
        products = list(threads.map(operator.__matmul__, vectors))
    torch.testing.assert_close(products, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_that_are_no_class_are_refused(build, model, inputs, targets, label):
    targets[7] = label
    if build is double_backward and label < 0:
        pytest.skip("a negative label may be one that cross_entropy ignores")
    with pytest.raises(ValueError, match=f"a label is {label}, but the network has 3 classes: expected 0 to 2"):
        build(model, inputs, targets)


def stack(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> PerceptronStack:
    return PerceptronStack(model, torch.ones(2, 31, dtype=torch.float64), inputs, targets)


@pytest.mark.parametrize("make", [PerceptronHessian, stack])
def test_what_does_not_fit_a_perceptron_is_refused(make, model, inputs, targets):
    with pytest.raises(ValueError, match="linear layers with one activation between each two"):
        make(nn.Sequential(model), inputs, targets)
    for wrong in (inputs[:, :2], inputs[:, None], inputs[:, 0]):
        with pytest.raises(ValueError, match="the first layer takes 3 features of each sample"):
            make(model, wrong, targets)
    with pytest.raises(ValueError, match=r"are torch.float32 on cpu, the weights are torch.float64 on cpu"):
        make(model, inputs.float(), targets)
    for wrong in (targets.int(), targets[:, None]):
        with pytest.raises(ValueError, match=r"expected torch\.int64 \(n,\)"):
            make(model, inputs, wrong)
    with pytest.raises(ValueError, match="11 inputs and 1 targets"):
        make(model, inputs, targets[:1])


def test_the_hessian_of_one_network_in_a_stack_refuses_the_same(model, inputs, targets):
    one = stack(model, inputs, targets)[0]
    assert (one @ torch.ones(0, 31, dtype=torch.float64)).shape == (0, 31)
    with pytest.raises(ValueError, match="with N = 31"):
        one @ torch.ones(62, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"are torch.float32"):
        one @ torch.ones(31)


@pytest.mark.parametrize("shape", [(31,), (2, 30), (0, 31)])
def test_a_stack_refuses_weights_of_another_shape(model, inputs, targets, shape):
    with pytest.raises(ValueError, match=r"expected \(C, N\) with N = 31"):
        PerceptronStack(model, torch.ones(shape, dtype=torch.float64), inputs, targets)


def test_a_stack_refuses_vectors_without_a_network(model, inputs, targets):
    both, vectors = stack(model, inputs, targets), torch.ones(2, 31, dtype=torch.float64)
    for networks in ([0], [0, 1, 1], []):
        with pytest.raises(ValueError, match=r"2 vectors and . networks, expected as many of each"):
            both.products(vectors, networks)
    for networks in ([0, 2], [-1, 0]):
        with pytest.raises(IndexError, match="expected indices from 0 to 1"):
            both.products(vectors, networks)
    with pytest.raises(ValueError, match=r"are torch\.float32"):
        both.products(vectors.float(), [0, 1])


def test_a_preconditioned_operator_refuses_what_does_not_fit(model, inputs, targets):
    operator = PerceptronHessian(model, inputs, targets)
    diagonal = torch.ones(31, dtype=torch.float64)
    preconditioned = PreconditionedOperator(operator, diagonal)
    for shape in ((), (1,), (31, 1), (4, 1)):
        with pytest.raises(ValueError, match="with N = 31"):
            preconditioned @ torch.ones(shape, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"vectors are torch\.float32"):
        preconditioned @ torch.ones(31)
    with pytest.raises(ValueError, match=r"the diagonal is torch\.float32 on cpu, expected torch\.float64"):
        PreconditionedOperator(operator, diagonal.float())
    with pytest.raises(ValueError, match=r"the diagonal is torch\.float32 on cpu, expected torch\.float64"):
        PreconditionedStack(stack(model, inputs, targets), torch.ones(2, 31))


@pytest.mark.parametrize("chunk_size", [None, 5])
def test_the_loss_must_be_one_number(model, inputs, targets, chunk_size):
    with pytest.raises(
        ValueError, match=r"the loss has shape \(\d+,\), expected the mean over the samples, or their sum"
    ):
        hessian_operator(model, CrossEntropyLoss(reduction="none"), inputs, targets, chunk_size) @ torch.ones(
            31, dtype=torch.float64
        )


def test_a_loss_that_is_linear_in_the_weights_has_no_curvature(inputs):
    operator = hessian_operator(nn.Linear(3, 1).double(), lambda out, _: out.mean(), inputs, inputs, 5)
    assert not matrix_of(operator).any()

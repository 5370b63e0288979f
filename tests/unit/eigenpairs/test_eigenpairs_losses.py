"""Products in float32 at small losses, where usual formulas leave nothing but rounding."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from eigenpairs_helpers import SAMPLES, check, dense_hessian, perceptron, seeded
from torch import nn
from torch.autograd.functional import hessian
from torch.nn.functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    logsigmoid,
    multilabel_soft_margin_loss,
    nll_loss,
    one_hot,
    softplus,
)
from torch.nn.utils import parameters_to_vector

from eigendrift.eigenpairs.batched_perceptrons import PerceptronStack
from eigendrift.eigenpairs.double_backward import DoubleBackwardHessian
from eigendrift.eigenpairs.losses import ExactDerivatives, is_cross_entropy
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.eigenpairs.perceptron import PerceptronHessian
from eigendrift.eigenpairs.symmetric import SymmetricOperator

Data = tuple[torch.Tensor, torch.Tensor]


def one(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> SymmetricOperator:
    return PerceptronHessian(model, inputs, targets)


def stacked(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> SymmetricOperator:
    weights = parameters_to_vector(model.parameters()).detach()
    return PerceptronStack(model, weights[None], inputs, targets)[0]


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(300, 6, generator=seeded())


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


@pytest.fixture
def confident(model: nn.Module, inputs: torch.Tensor) -> Data:
    """The samples of which the network is sure, and its most probable classes."""
    outputs = model(inputs).detach()
    sure = outputs.topk(2, dim=1).values.diff(dim=1)[:, 0] < -14
    return inputs[sure], outputs.argmax(1)[sure]


def largest_error(narrow: SymmetricOperator, exact: SymmetricOperator) -> float:
    """The largest relative error of four random products."""
    vectors = torch.randn(4, narrow.size, generator=seeded(2))
    expected = exact @ vectors.double()
    return float(((narrow @ vectors - expected).norm(dim=1) / expected.norm(dim=1)).max())


@pytest.mark.parametrize("build", [one, stacked])
@pytest.mark.parametrize("wrong", [0, 1], ids=["all right", "one sample wrong"])
def test_float32_products_keep_their_digits_at_a_small_loss(build, wrong, model, confident):
    inputs, targets = confident
    targets[:wrong] = (targets[:wrong] + 1) % 5
    if not wrong:
        assert cross_entropy(model(inputs), targets) < 1e-6
    narrow = build(model, inputs, targets)
    exact = build(deepcopy(model).double(), inputs.double(), targets)
    # Outputs of some 100 are known to 1e-5, and so are their exponentials.
    assert largest_error(narrow, exact) < 5e-5


def test_float32_products_of_any_network_keep_their_digits(model, confident):
    """A convolution as wide as the input makes the same network one whose products are not written out."""
    convolution = nn.Conv1d(1, 20, 6)
    with torch.no_grad():
        convolution.weight.copy_(model[0].weight[:, None])
        convolution.bias.copy_(model[0].bias)
    network = nn.Sequential(nn.Unflatten(1, (1, 6)), convolution, nn.Flatten(), *model[1:])
    inputs, targets = confident
    narrow = hessian_operator(network, cross_entropy, inputs, targets)
    assert isinstance(narrow, DoubleBackwardHessian)
    exact = PerceptronHessian(deepcopy(model).double(), inputs.double(), targets)
    assert largest_error(narrow, exact) < 5e-5


def test_losses_that_have_lost_their_digits_are_refused(model, confident):
    """Written in another way, the same loss contains p_y − 1, which is mostly rounding."""
    with pytest.raises(FloatingPointError, match=r"second derivatives lose their digits in float32.*\.double\(\)"):
        hessian_operator(model, lambda z, y: nll_loss(z.log_softmax(1), y), *confident)


class Scalar(nn.Module):
    """A network whose outputs all equal its only parameter."""

    def __init__(self, value: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor([value], dtype=dtype))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.value.expand(len(inputs), 1)


@pytest.mark.parametrize("logit", [-60.0, -20.0, 0.0, 20.0, 60.0])
@pytest.mark.parametrize(
    "loss",
    [lambda z, y: -logsigmoid(z).mean(), lambda z, y: softplus(z).mean(), lambda z, y: softplus(-z).mean()],
    ids=["logsigmoid", "softplus", "softplus of the other sign"],
)
def test_soft_losses_keep_their_digits_on_both_sides(loss, logit):
    targets = torch.ones(4, 1)
    operator = hessian_operator(Scalar(logit, torch.float32), loss, targets, targets)
    curvature = 1 / (2 + 2 * np.cosh(logit))
    product = operator @ torch.ones(1)
    np.testing.assert_allclose(product.item(), curvature, rtol=1e-5)


SATURATED: dict[str, Any] = {
    "a sigmoid": (12.0, lambda z, y: (z.sigmoid() - y).square().mean()),
    "a tanh": (12.0, lambda z, y: (z.tanh() - y).square().mean()),
    "several soft margins": (24.0, multilabel_soft_margin_loss),
    "a focal loss": (18.0, lambda z, y: ((1 - z.sigmoid()) ** 2 * softplus(-z)).mean()),
}


@pytest.mark.parametrize("name", SATURATED)
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_saturated_functions_are_refused_in_float32(name, chunk_size):
    value, loss = SATURATED[name]
    targets = torch.ones(4, 1)
    with pytest.raises(FloatingPointError, match=r"second derivatives lose their digits in float32.*\.double\(\)"):
        hessian_operator(Scalar(value, torch.float32), loss, targets, targets, chunk_size)
    wide = hessian_operator(Scalar(value, torch.float64), loss, targets.double(), targets.double(), chunk_size)
    assert (wide @ torch.ones(1, dtype=torch.float64)).item() != 0


def test_a_few_samples_may_lose_their_digits():
    """The whole sample counts: here, one sample of six hundred has almost all of the curvature."""
    model, inputs = nn.Linear(1, 1, bias=False), torch.full((600, 1), 16.0)
    nn.init.ones_(model.weight)
    inputs[-1] = 1.0
    loss = SATURATED["a sigmoid"][1]
    for chunk_size in (None, 100):
        operator = hessian_operator(model, loss, inputs, torch.ones(600, 1), chunk_size)
        assert (operator @ torch.ones(1)).item() != 0
    with pytest.raises(FloatingPointError, match="lose their digits"):
        hessian_operator(model, loss, inputs[:-1], torch.ones(599, 1))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reduction": "sum"},
        {"reduction": "none"},
        {"ignore_index": 2},
        {"ignore_index": 2, "reduction": "sum"},
        {"weight": torch.tensor([0.5, 2, 0, 3], dtype=torch.float64)},
        {"weight": torch.tensor([0.5, 2, 0, 3], dtype=torch.float64), "ignore_index": 1},
        {"weight": torch.tensor([0.5, 2, 0, 3], dtype=torch.float64), "reduction": "sum"},
        {"label_smoothing": 0.2},
        {"size_average": False},
    ],
    ids=lambda options: ", ".join(options) or "mean",
)
@pytest.mark.parametrize("shape", [(8, 4), (3, 4, 2), (1, 4, 2, 3), (4,)], ids=str)
@pytest.mark.filterwarnings("ignore:size_average")
def test_the_cross_entropy_and_its_derivatives_are_those_of_torch(options, shape):
    outputs = 10 * torch.randn(shape, dtype=torch.float64, generator=seeded(3))
    targets = torch.arange(outputs.numel() // 4).reshape(shape[:1] + shape[2:] if shape[1:] else ()) % 4

    def loss(outputs: torch.Tensor) -> torch.Tensor:
        return cross_entropy(outputs, targets, **options).sum()

    expected = loss(outputs), hessian(loss, outputs)
    with ExactDerivatives():
        torch.testing.assert_close((loss(outputs), hessian(loss, outputs)), expected)


@pytest.mark.parametrize(
    "loss",
    [
        lambda outputs, targets: 3 * cross_entropy(input=outputs, target=targets, reduction="sum"),
        nn.CrossEntropyLoss(weight=torch.ones(5)),
        lambda outputs, targets: cross_entropy(outputs, targets, None, None, 7, None, "none").mean(),
        lambda outputs, targets: cross_entropy(outputs.T[None], targets[None]),
    ],
    ids=["sum by name", "weighted", "by position", "positions"],
)
def test_cross_entropies_keep_their_digits_wherever_they_are_called(loss):
    """The outputs are the parameters, and in each one class leads by 20."""

    class Outputs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.values = nn.Parameter(20 * torch.eye(5))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.values

    targets = torch.arange(5)
    vector = torch.randn(25, generator=seeded())
    product = DoubleBackwardHessian(Outputs(), loss, torch.ones(5, 1), targets) @ vector
    factor = 3.0 if loss(torch.zeros(5, 5), targets) > 2 else 1 / 5
    probabilities = (20 * torch.eye(5, dtype=torch.float64)).softmax(1)
    rows = vector.double().view(5, 5)
    # The difference p_y (v_y − Σ_c p_c v_c) without the terms that cancel.
    centred = rows - rows.diag()[:, None]
    expected = factor * probabilities * (centred - (probabilities * centred).sum(1, keepdim=True))
    torch.testing.assert_close(product.double().view(5, 5), expected, rtol=1e-5, atol=0)


def test_cross_entropies_are_those_of_torch_where_labels_cannot_be_read():
    outputs, targets = torch.randn(6, 4, generator=seeded()), torch.arange(6) % 4
    with ExactDerivatives():
        each = torch.func.vmap(cross_entropy)(outputs, targets)
        slopes = torch.func.vmap(torch.func.grad(binary_cross_entropy), (0, None))(outputs.sigmoid(), torch.ones(4))
    torch.testing.assert_close(each, cross_entropy(outputs, targets, reduction="none"))
    torch.testing.assert_close(slopes, -1 / outputs.sigmoid() / 4)


class Probabilities(nn.Module):
    """A network whose outputs are probabilities, in a column."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.logits.sigmoid()[:, None]


@pytest.mark.parametrize(
    ("dtype", "largest", "rtol"), [(torch.float32, 6.0, 1e-4), (torch.float64, 12.0, 1e-9)], ids=str
)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_binary_cross_entropy_of_probabilities(dtype, largest, rtol, reduction):
    """The second derivative by a logit is s (1 − s); torch's lacks a part of it."""
    logits = torch.linspace(-largest, largest, 9, dtype=dtype).repeat(3)
    targets = torch.tensor([0.0, 0.4, 1.0], dtype=dtype).repeat_interleave(9)[:, None]
    weight = torch.tensor([2.0], dtype=dtype)
    loss = nn.BCELoss(weight=weight, reduction=reduction)
    operator = hessian_operator(Probabilities(logits), loss, targets, targets)
    exact = 2 * logits.sigmoid() * (-logits).sigmoid() / (len(logits) if reduction == "mean" else 1)
    torch.testing.assert_close(operator @ torch.ones_like(logits), exact, rtol=rtol, atol=0)


@pytest.mark.parametrize(("logit", "target"), [(200.0, 0.0), (-200.0, 1.0)])
def test_probabilities_that_are_rounded_to_the_wrong_side_are_refused(logit, target):
    targets = torch.full((1, 1), target)
    with pytest.raises(FloatingPointError, match="leave out the sigmoid and use"):
        hessian_operator(Probabilities(torch.tensor([logit])), binary_cross_entropy, targets, targets)


def test_invalid_probabilities_are_refused_by_torch():
    targets = torch.ones(1, 1)
    network = nn.Linear(1, 1)
    nn.init.constant_(network.weight, 3)
    with pytest.raises(ValueError, match=r"the loss fails .* between 0 and 1"):
        hessian_operator(network, binary_cross_entropy, targets, targets)


@pytest.mark.parametrize("loss", [cross_entropy, binary_cross_entropy, binary_cross_entropy_with_logits])
def test_invalid_reductions_are_refused_by_torch(loss):
    outputs = torch.zeros(3, 3)
    with ExactDerivatives(), pytest.raises(ValueError, match="average is not a valid value for reduction"):
        loss(outputs, outputs, reduction="average")


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
def test_all_forms_of_the_mean_cross_entropy_are_recognized(loss, plain):
    assert is_cross_entropy(loss) == plain


def test_the_module_form_has_its_products_written_out(model, inputs):
    targets = torch.zeros(len(inputs), dtype=torch.int64)
    assert isinstance(hessian_operator(model, nn.CrossEntropyLoss(), inputs, targets), PerceptronHessian)
    ignoring = targets.clone()
    ignoring[0] = -100
    operator = hessian_operator(model, nn.CrossEntropyLoss(), inputs, ignoring)
    assert isinstance(operator, DoubleBackwardHessian)
    exact = DoubleBackwardHessian(model, cross_entropy, inputs, ignoring)
    vector = torch.ones(operator.size)
    torch.testing.assert_close(operator @ vector, exact @ vector)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("logit", [-200, -20, 0.5, 20])
@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    "make",
    [
        lambda: binary_cross_entropy_with_logits,
        nn.BCEWithLogitsLoss,
        lambda: nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0]), weight=torch.tensor([0.5])),
        lambda: lambda outputs, targets: binary_cross_entropy_with_logits(outputs.mT, target=targets.mT),
    ],
    ids=["function", "module", "weighted", "inside another function"],
)
def test_binary_cross_entropy_keeps_its_digits_on_both_sides(make, logit, target, dtype):
    """The second derivative of a network of one parameter, a constant, is s (1 − s) times the weights."""
    loss = make()
    model, targets = Scalar(float(logit), dtype), torch.full((4, 1), target, dtype=dtype)
    if isinstance(loss, nn.Module):
        loss.to(dtype)
    product = hessian_operator(model, loss, targets, targets) @ torch.ones(1, dtype=dtype)
    curvature = 1 / (2 + 2 * np.cosh(float(logit)))
    if getattr(loss, "weight", None) is not None:
        curvature *= 0.5 * (2 * target + 1 - target)
    np.testing.assert_allclose(product.item(), curvature, rtol=1e-6, atol=torch.finfo(dtype).tiny)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_binary_cross_entropy_is_the_function_of_torch(reduction):
    inputs = torch.randn(SAMPLES, 3, dtype=torch.float64, generator=seeded(2))
    labels = one_hot(torch.arange(SAMPLES) % 3, 3).double()
    loss = nn.BCEWithLogitsLoss(
        weight=torch.rand(3, dtype=torch.float64, generator=seeded()),
        pos_weight=torch.rand(3, dtype=torch.float64, generator=seeded()),
        reduction=reduction,
    )
    for chunk_size in (None, 4):
        operator = hessian_operator(perceptron(), loss, inputs, labels, chunk_size, reduction=reduction)
        check(operator, dense_hessian(perceptron(), loss, inputs, labels))
    with pytest.raises(
        ValueError, match=r"the loss fails on outputs of shape \(11, 3\) and targets of shape \(11, 2\)"
    ):
        hessian_operator(perceptron(), loss, inputs, labels[:, :2])

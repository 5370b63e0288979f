"""Derivatives are by the network's own parameters: anything that reads them counts."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from eigenpairs_helpers import SAMPLES, check, dense_hessian, matrix_of, seeded
from torch import nn
from torch.nn.functional import cross_entropy, linear, mse_loss, scaled_dot_product_attention
from torch.nn.utils import parameters_to_vector
from torch.utils.checkpoint import checkpoint

from eigendrift.eigenpairs.double_backward import DoubleBackwardHessian
from eigendrift.eigenpairs.lanczos import leading_eigenpairs
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.null.network import null_draws

PENALTY = 0.3
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.inner, self.outer = nn.Linear(3, 4), nn.Linear(4, 3)
        self.double()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.outer(self.inner(inputs).tanh())


def penalized(squares: Callable[[], Iterator[torch.Tensor]]) -> Loss:
    return lambda outputs, targets: cross_entropy(outputs, targets) + PENALTY / 2 * sum(squares())


def through_a_list(model: nn.Module) -> Loss:
    held = list(model.parameters())
    return penalized(lambda: (parameter.square().sum() for parameter in held))


PENALTIES: dict[str, Callable[[Network], Loss]] = {
    "model": lambda model: penalized(lambda: (part.square().sum() for part in model.parameters())),
    "list": through_a_list,
    "attributes": lambda model: penalized(
        lambda: (part.pow(2).sum() for layer in (model.inner, model.outer) for part in (layer.weight, layer.bias))
    ),
    "vector": lambda model: penalized(lambda: iter([parameters_to_vector(model.parameters()).square().sum()])),
}


@pytest.mark.slow
@pytest.mark.parametrize("chunk_size", [None, 4])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_weight_penalty_raises_every_eigenvalue(inputs, targets, penalty, chunk_size):
    model = Network()
    expected = dense_hessian(model, cross_entropy, inputs, targets)
    expected += PENALTY * torch.eye(len(expected), dtype=torch.float64)
    operator = hessian_operator(model, PENALTIES[penalty](model), inputs, targets, chunk_size)
    check(operator, expected)
    pairs = leading_eigenpairs(operator, 3, generator=seeded(), tolerance=1e-9)
    torch.testing.assert_close(pairs.eigenvalues, torch.linalg.eigvalsh(expected).flip(0)[:3])
    # The loss also sees the values from when the operator was made.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    check(operator, expected)


@pytest.mark.parametrize("null_model", ["permuted", "reinitialized"])
def test_null_draws_penalize_the_weights_that_they_draw(inputs, targets, null_model):
    model = Network()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    bare, raised = (
        null_draws(model, loss, inputs, targets, null_model, count=2, draws=3, generator=seeded()).eigenvalues
        for loss in (cross_entropy, lambda z, y: PENALTIES["model"](model)(z, y) + quartic(model))
    )
    # The quartic term depends on the weights at which the penalty is taken.
    assert (raised > bare + PENALTY).all()
    assert len({round(float(value), 6) for value in (raised - bare)[:, 0]}) == 3
    for parameter, value in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter, value)


def quartic(model: nn.Module) -> torch.Tensor:
    return sum((parameter**4).sum() for parameter in model.parameters())


class Checkpointed(Network):
    def __init__(self, use_reentrant: bool = False) -> None:
        super().__init__()
        self.use_reentrant = use_reentrant

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = checkpoint(lambda x: self.inner(x).tanh(), inputs, use_reentrant=self.use_reentrant)
        return self.outer(hidden)


@pytest.mark.parametrize("chunk_size", [None, 4])
def test_checkpoints_are_recomputed_at_the_operators_values(inputs, targets, chunk_size):
    model = Checkpointed()
    operator = hessian_operator(model, cross_entropy, inputs, targets, chunk_size)
    expected = dense_hessian(Network(), cross_entropy, inputs, targets)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    check(operator, expected)


class Attention(nn.Module):
    def __init__(self, is_checkpointed: bool) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.inner, self.outer = nn.Linear(3, 12), nn.Linear(4, 3)
        self.is_checkpointed = is_checkpointed
        self.double()

    def attend(self, inputs: torch.Tensor) -> torch.Tensor:
        query, key, value = self.inner(inputs)[:, None].chunk(3, -1)
        return scaled_dot_product_attention(query, key, value)[:, 0]

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        sequences = torch.stack([inputs, inputs.roll(1, 1), inputs.square()], 1)
        if self.is_checkpointed:
            return self.outer(checkpoint(self.attend, sequences, use_reentrant=False).mean(1))
        return self.outer(self.attend(sequences).mean(1))


@pytest.mark.parametrize("chunk_size", [None, 4])
def test_attention_is_recomputed_as_it_was_computed(inputs, targets, chunk_size):
    plain, checkpointed = (
        matrix_of(hessian_operator(Attention(is_checkpointed), cross_entropy, inputs, targets, chunk_size))
        for is_checkpointed in (False, True)
    )
    torch.testing.assert_close(checkpointed, plain, rtol=0, atol=1e-14)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad:UserWarning")
def test_reentrant_checkpoints_which_drop_gradients_are_refused(inputs, targets):
    for given in (inputs, inputs.clone().requires_grad_()):
        with pytest.raises(ValueError, match=r"changes with parameter 'inner\.weight', but torch finds no"):
            hessian_operator(Checkpointed(use_reentrant=True), cross_entropy, given, targets)


class Tied(nn.Module):
    """One matrix, used twice, once through a function that is no parameter."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(3, 3).double()
        self.reader = lambda x: linear(x, self.layer.weight.T)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.reader(self.layer(inputs).tanh())


@pytest.mark.parametrize("chunk_size", [None, 4])
def test_a_network_may_read_a_parameter_twice(inputs, targets, chunk_size):
    model = Tied()
    operator = hessian_operator(model, cross_entropy, inputs, targets, chunk_size)
    expected = dense_hessian(model, cross_entropy, inputs, targets)
    check(operator, expected)


def test_hooks_on_parameters_do_not_change_derivatives(inputs, targets):
    model = Network()
    expected = dense_hessian(model, cross_entropy, inputs, targets)
    calls: list[torch.Tensor] = []

    def clip(gradient: torch.Tensor) -> torch.Tensor:
        calls.append(gradient)
        return gradient.clamp(-1e-3, 1e-3)

    handles = [parameter.register_hook(clip) for parameter in model.parameters()]
    operator = hessian_operator(model, cross_entropy, inputs, targets)
    check(operator, expected)
    assert not calls
    cross_entropy(model(inputs), targets).backward()
    assert len(calls) == len(handles)
    for handle in handles:
        handle.remove()
    cross_entropy(model(inputs), targets).backward()
    assert len(calls) == len(handles)


CHANGES: dict[str, Callable[[Any], object]] = {
    "freeze": lambda model: model.requires_grad_(False),
    "train": lambda model: model.train(),
    "replace a layer": lambda model: setattr(model, "inner", nn.Linear(3, 4).double()),
    "hook a layer": lambda model: model.inner.register_forward_hook(lambda module, given, out: 2 * out),
    "convert": lambda model: model.float(),
    "change buffers": lambda model: model.norm.running_mean.add_(1),
}


@pytest.mark.parametrize("chunk_size", [None, 4])
@pytest.mark.parametrize("change", CHANGES)
def test_later_changes_of_the_network_do_not_matter(inputs, targets, chunk_size, change):
    class Normalized(Network):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.drop = nn.BatchNorm1d(4).double(), nn.Dropout()

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.outer(self.drop(self.norm(self.inner(inputs).tanh())))

    model = Normalized().eval()
    operator = hessian_operator(model, cross_entropy, inputs, targets, chunk_size)
    before = matrix_of(operator)
    CHANGES[change](model)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert torch.equal(matrix_of(operator), before)
    after = model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in state.items())


def test_a_graph_of_the_callers_outlives_the_products(inputs, targets):
    model = Network()
    cross_entropy(model(inputs), targets).backward()
    expected = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    loss = cross_entropy(model(inputs), targets)
    matrix_of(hessian_operator(model, cross_entropy, inputs, targets, 4))
    loss.backward()
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=0, atol=0)


def test_two_operators_of_one_network_keep_their_own_values(inputs, targets):
    model = Network()
    first = hessian_operator(model, cross_entropy, inputs, targets)
    expected = matrix_of(first)
    with torch.no_grad():
        model.inner.weight.mul_(2)
    second = hessian_operator(model, cross_entropy, inputs, targets)
    other = matrix_of(second)
    assert not torch.equal(expected, other)
    assert torch.equal(matrix_of(first), expected)
    assert torch.equal(matrix_of(second), other)


def test_targets_are_constants(inputs):
    """This includes targets from the network itself, with their graph."""
    model = Network()
    targets = model(inputs) + 1
    attached, constant = (
        matrix_of(DoubleBackwardHessian(model, mse_loss, inputs, part)) for part in (targets, targets.detach())
    )
    assert torch.equal(attached, constant)


@pytest.mark.parametrize("chunk_size", [None, 4])
def test_an_interrupt_leaves_the_network_as_it_was(inputs, targets, chunk_size):
    model, interrupts = Network(), []

    def interrupting(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if interrupts:
            assert not torch.equal(model.inner.weight, interrupts[0])
            raise KeyboardInterrupt
        return cross_entropy(outputs, targets)

    operator = hessian_operator(model, interrupting, inputs, targets, chunk_size)
    with torch.no_grad():
        model.inner.weight.mul_(2)
    value, attributes = model.inner.weight.detach().clone(), vars(model)
    interrupts.append(value)
    with pytest.raises(KeyboardInterrupt):
        operator @ torch.ones(operator.size, dtype=torch.float64)
    assert torch.equal(model.inner.weight, value)
    assert vars(model) is attributes
    interrupts.clear()
    exact = hessian_operator(Network(), cross_entropy, inputs, targets)
    check(operator, matrix_of(exact))


class Clamped(Network):
    """Clamps its weights, like a network with a constraint."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.inner.weight.data.clamp_(-0.1, 0.1)
        return super().forward(inputs)


class Decaying(Network):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = super().forward(inputs)
        with torch.no_grad():
            self.outer.bias.mul_(0.9)
        return outputs


@pytest.mark.parametrize("chunk_size", [None, 4])
@pytest.mark.parametrize(("kind", "name"), [(Clamped, "inner.weight"), (Decaying, "outer.bias")])
def test_networks_that_change_their_parameters_are_refused(inputs, targets, kind, name, chunk_size):
    with pytest.raises(ValueError, match=rf"changes parameter '{name}' in place, .* work on a copy"):
        hessian_operator(kind(), cross_entropy, inputs, targets, chunk_size)


class Tempered(nn.Module):
    """A loss with a parameter and a buffer of its own, and a count of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(3, dtype=torch.float64))
        self.calls = 0

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return cross_entropy(outputs * self.scale / self.temperature, targets)


@pytest.mark.parametrize("chunk_size", [None, 4])
@pytest.mark.parametrize("as_method", [False, True])
def test_the_state_of_a_loss_is_kept(inputs, targets, chunk_size, as_method):
    loss = Tempered()
    given = loss.forward if as_method else loss
    expected = dense_hessian(Network(), Tempered(), inputs, targets)
    operator = hessian_operator(Network(), given, inputs, targets, chunk_size)
    check(operator, expected)
    with torch.no_grad():
        loss.temperature.mul_(3)
        loss.scale.mul_(5)
    loss.train()
    check(operator, expected)
    assert loss.temperature.item() == 6
    assert loss.calls == 0


@pytest.mark.parametrize("chunk_size", [None, 4])
@pytest.mark.parametrize("what", ["inputs", "weights of a closure"])
def test_later_changes_of_the_sample_or_the_loss_are_refused(inputs, targets, chunk_size, what):
    weights = torch.ones(3, dtype=torch.float64)

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return cross_entropy(outputs * weights, targets)

    operator = hessian_operator(Network(), loss, inputs, targets, chunk_size)
    matrix_of(operator)
    (inputs if what == "inputs" else weights).mul_(2)
    with pytest.raises(ValueError, match="has changed since the operator was made; make a new operator"):
        matrix_of(operator)


def test_a_loss_must_be_callable(inputs, targets):
    with pytest.raises(TypeError, match="the loss is a str, expected a function of outputs and targets"):
        hessian_operator(Network(), "cross_entropy", inputs, targets)


class ForeignError(Exception):
    """An error of another library."""


def test_errors_of_any_kind_are_explained(inputs, targets):
    def failing(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        raise ForeignError("no such thing")

    with pytest.raises(ValueError, match=r"the loss fails on outputs .* \(ForeignError: no such thing\)"):
        hessian_operator(Network(), failing, inputs, targets)


def test_inputs_may_require_a_gradient(inputs):
    class Derivative(Network):
        """A network that is trained on its derivative by the inputs."""

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            outputs = super().forward(inputs)
            return torch.autograd.grad(outputs.sum(), inputs, create_graph=True)[0]

    model = Derivative()
    inputs.requires_grad_()
    chunked, whole = (
        matrix_of(hessian_operator(model, mse_loss, inputs, torch.zeros(SAMPLES, 3).double(), size))
        for size in (4, None)
    )
    torch.testing.assert_close(chunked, whole, rtol=0, atol=1e-12)
    assert whole.abs().max() > 0.1

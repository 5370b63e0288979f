"""Networks, losses and vectors of many kinds: each works, or one sentence says what to do."""

import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from eigenpairs_helpers import (
    SAMPLES,
    DenseOperator,
    check,
    dense_hessian,
    gradient_difference,
    matrix_of,
    perceptron,
    seeded,
)
from torch import nn
from torch.nn.functional import cross_entropy, dropout, mse_loss
from torch.nn.utils import parametrizations

from eigendrift.eigenpairs.double_backward import DoubleBackwardHessian
from eigendrift.eigenpairs.lanczos import leading_eigenpairs
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.eigenpairs.perceptron import PerceptronHessian
from eigendrift.null.network import null_draws

DOUBLE = torch.float64


class Around(nn.Module):
    """A network around a perceptron."""

    def __init__(self, compute: Callable[[nn.Module, torch.Tensor], Any]) -> None:
        super().__init__()
        self.inner, self.compute = perceptron(), compute

    def forward(self, inputs: torch.Tensor) -> Any:
        return self.compute(self.inner, inputs)


@pytest.fixture
def compiler() -> Iterator[None]:
    # The compiler's own warnings at import do not matter here.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def wholly_compiled() -> nn.Module:
    return torch.compile(perceptron())


def compiled_in_place() -> nn.Module:
    model = perceptron()
    model.compile()
    return model


def partly_compiled() -> nn.Module:
    model = perceptron()
    model[0] = torch.compile(model[0])
    return model


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("make", [wholly_compiled, compiled_in_place, partly_compiled])
@pytest.mark.parametrize("chunk_size", [None, 4])
@pytest.mark.parametrize("loss", [cross_entropy, lambda z, y: cross_entropy(z, y)], ids=["known", "own"])
def test_compiled_networks(inputs, targets, make, chunk_size, loss):
    expected = dense_hessian(perceptron(), cross_entropy, inputs, targets)
    check(hessian_operator(make(), loss, inputs, targets, chunk_size), expected)


@pytest.mark.usefixtures("compiler")
def test_a_compiled_perceptron_gets_the_fast_operator(inputs, targets):
    operator = hessian_operator(wholly_compiled(), cross_entropy, inputs, targets)
    assert isinstance(operator, PerceptronHessian)
    loss = torch.compile(lambda z, y: cross_entropy(z, y))
    check(hessian_operator(wholly_compiled(), loss, inputs, targets), matrix_of(operator))


def test_data_parallel_networks(inputs, targets):
    operator = hessian_operator(nn.DataParallel(perceptron()), cross_entropy, inputs, targets)
    assert isinstance(operator, PerceptronHessian)
    drawn = null_draws(
        nn.DataParallel(perceptron()), cross_entropy, inputs, targets, "permuted", count=1, draws=1, generator=seeded()
    )
    assert drawn.converged.all()


class Delegating(nn.Module):
    """Like wrappers of other libraries, it has the attributes of the wrapped network."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return 3 * self.inner(inputs)


@pytest.mark.usefixtures("compiler")
def test_wrappers_around_compiled_networks_count(inputs, targets):
    operator = hessian_operator(Delegating(wholly_compiled()), cross_entropy, inputs, targets)
    check(operator, dense_hessian(Delegating(perceptron()), cross_entropy, inputs, targets))


def derivative(inner: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """The derivative by the inputs, as in networks of physics."""
    inputs = inputs.detach().clone().requires_grad_()
    return torch.autograd.grad(inner(inputs).sum(), inputs, create_graph=True)[0]


@pytest.mark.parametrize("chunk_size", [None, 4])
def test_networks_that_differentiate(inputs, chunk_size):
    model = Around(derivative)
    operator = hessian_operator(model, mse_loss, inputs, inputs, chunk_size)
    with torch.no_grad():
        product = operator @ torch.ones(operator.size, dtype=DOUBLE)
    expected = gradient_difference(model, mse_loss, (inputs, inputs), torch.ones_like(product))
    torch.testing.assert_close(product, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("chunk_size", [None, 4])
def test_recurrent_networks(targets, kind, chunk_size):
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.recurrent, self.readout = kind(2, 3, batch_first=True), nn.Linear(3, 3)
            self.double()

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            # cuDNN must be off, because its recurrent layers have no second derivative.
            assert not torch.backends.cudnn.enabled
            return self.readout(self.recurrent(inputs)[0][:, -1])

    assert torch.backends.cudnn.enabled
    inputs = torch.randn(SAMPLES, 4, 2, dtype=DOUBLE, generator=seeded())
    operator = hessian_operator(Last(), cross_entropy, inputs, targets, chunk_size)
    assert torch.backends.cudnn.enabled
    with torch.backends.cudnn.flags(enabled=False):
        expected = dense_hessian(Last(), cross_entropy, inputs, targets)
    check(operator, expected, 1e-13)


@pytest.mark.parametrize("chunk_size", [None, 4])
@pytest.mark.parametrize(
    ("wrap", "take", "advice"),
    [
        (lambda z: SimpleNamespace(logits=z), lambda o: o.logits, r"loss\(o\.logits, y\)"),
        (lambda z: {"logits": z}, lambda o: o["logits"], r"loss\(o\['logits'\], y\)"),
        (lambda z: (z, None), lambda o: o[0], r"loss\(o\[0\], y\)"),
    ],
    ids=["object", "dictionary", "tuple"],
)
def test_networks_that_return_no_tensor(inputs, targets, chunk_size, wrap, take, advice):
    model = Around(lambda inner, x: wrap(inner(x)))
    with pytest.raises(ValueError, match=f"the loss fails on the network's output, a .*{advice}"):
        hessian_operator(model, cross_entropy, inputs, targets, chunk_size)
    operator = hessian_operator(model, lambda o, y: cross_entropy(take(o), y), inputs, targets, chunk_size)
    check(operator, dense_hessian(perceptron(), cross_entropy, inputs, targets))


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        # TorchScript is deprecated but still in use.
        warnings.simplefilter("ignore", FutureWarning)
        return nn.Sequential(nn.Linear(3, 3), torch.jit.trace(nn.Linear(3, 3), torch.ones(1, 3)))


def from_inference_mode() -> nn.Module:
    with torch.inference_mode():
        return nn.Linear(3, 3)


REFUSED_NETWORKS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a function": (lambda: lambda x: x, TypeError, "the model is a function, expected a torch.nn.Module"),
    "a name": (lambda: "resnet", TypeError, "the model is a str, expected a torch.nn.Module"),
    "sparse": (
        lambda: nn.Sequential(nn.Embedding(3, 2, sparse=True)),
        ValueError,
        r"'0' \(Embedding\) has sparse gradients.* set its attribute sparse to False",
    ),
    "scaled by frequency": (
        lambda: nn.Sequential(nn.Embedding(3, 2, scale_grad_by_freq=True)),
        ValueError,
        r"'0' \(Embedding\) rescales its gradients, .* set its attribute scale_grad_by_freq to",
    ),
    "renormalized": (
        lambda: nn.Sequential(nn.EmbeddingBag(3, 2, max_norm=1.0)),
        ValueError,
        r"'0' \(EmbeddingBag\) changes its weight .* set its attribute max_norm to None",
    ),
    "scripted": (scripted, ValueError, r"'1' \(TopLevelTracedModule\) is TorchScript, .* from Python"),
    "complex": (lambda: nn.Linear(3, 3, dtype=torch.complex64), ValueError, "complex64, .* use real numbers"),
    "mixed": (
        lambda: nn.Sequential(nn.Linear(3, 4).double(), nn.Linear(4, 3)),
        ValueError,
        r"'1\.weight' is torch\.float32 on cpu, and '0\.weight' torch\.float64 on cpu",
    ),
    "on meta": (lambda: nn.Linear(3, 3, device="meta"), ValueError, "is on meta, which holds no numbers"),
    "on two devices": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 3, device="meta")),
        ValueError,
        r"'1\.weight' is on meta, which holds no numbers",
    ),
    "lazy": (lambda: nn.LazyLinear(3), ValueError, "'weight' has no values yet; apply the network"),
    "inference": (from_inference_mode, ValueError, r"was made in torch\.inference_mode"),
    "half": (lambda: nn.Linear(3, 3).half(), ValueError, "float16, expected float32 or float64; convert"),
}


@pytest.mark.parametrize("name", REFUSED_NETWORKS)
def test_networks_that_are_refused(name, inputs, targets):
    make, error, words = REFUSED_NETWORKS[name]
    for ask in (
        lambda: hessian_operator(make(), cross_entropy, inputs, targets),
        lambda: null_draws(make(), cross_entropy, inputs, targets, "permuted", count=1, draws=1, generator=seeded()),
    ):
        with pytest.raises(error, match=words):
            ask()


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("chunk_size", [None, 4])
def test_weight_normalized_networks(inputs, targets, dim, chunk_size):
    """Torch's second derivative of the norm over some dimensions is not symmetric."""

    class WrittenOut(nn.Module):
        """The same network with its norm written out."""

        def __init__(self, layer: nn.Linear) -> None:
            super().__init__()
            self.bias = nn.Parameter(layer.bias.detach().clone())
            weight = layer.parametrizations.weight
            self.lengths = nn.Parameter(weight.original0.detach().clone())
            self.directions = nn.Parameter(weight.original1.detach().clone())

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            others = [0, 1] if dim is None else [1 - dim]
            norms = self.directions.square().sum(others, keepdim=dim is not None).sqrt()
            return nn.functional.linear(inputs, self.lengths * self.directions / norms, self.bias).tanh()

    torch.manual_seed(1)
    layer = parametrizations.weight_norm(nn.Linear(3, 3), dim=dim).double()
    operator = hessian_operator(nn.Sequential(layer, nn.Tanh()), cross_entropy, inputs, targets, chunk_size)
    check(operator, dense_hessian(WrittenOut(layer), cross_entropy, inputs, targets))


class Assorted(nn.Module):
    """Has float32 operations that easily fail in float64: constants, changes in place, conversions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.inner = perceptron().float()
        self.recurrent = nn.LSTM(3, 3, batch_first=True)
        self.attention = nn.MultiheadAttention(3, 1, batch_first=True)
        self.register_buffer("average", torch.zeros(3))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = torch.zeros(len(inputs), 2, 3, dtype=torch.float32)
        hidden[:, 0] = self.inner(inputs)
        hidden[:, 1] = inputs @ torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]).to(inputs.dtype)
        hidden = self.attention(*[self.recurrent(hidden)[0]] * 3)[0].mean(1).float()
        self.average.zero_().add_(torch.tensor([0.1, 0.9, -0.5]))
        return hidden.mul_(2) + self.average


@pytest.mark.parametrize("chunk_size", [None, 4])
def test_ordinary_networks_have_their_digits_in_float32(inputs, targets, chunk_size, monkeypatch):
    weights = torch.tensor([1.0, 2, 3])

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return cross_entropy(outputs, targets, weight=weights, reduction="sum")

    compared = []

    def near(self: DoubleBackwardHessian, chunks: object, probe: torch.Tensor) -> object:
        found = measured(self, chunks, probe)
        compared.append(found[-1])
        return found

    measured = DoubleBackwardHessian._measured
    monkeypatch.setattr(DoubleBackwardHessian, "_measured", near)
    hessian_operator(Assorted(), loss, inputs.float(), targets, chunk_size, reduction="sum")
    narrow, wide = compared[-2:]
    assert (narrow.dtype, wide.dtype) == (torch.float32, DOUBLE)
    torch.testing.assert_close(narrow.double(), wide, rtol=1e-4, atol=1e-6)
    assert not torch.equal(narrow.double(), wide)


class Tokens(nn.Module):
    """Converts numbers to indices, because the dense reference takes one dtype only."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.long()


@pytest.mark.parametrize("chunk_size", [None, 4])
def test_padding_is_a_constant(targets, chunk_size):
    torch.manual_seed(1)
    layers = Tokens(), nn.Embedding(4, 2, padding_idx=0), nn.Flatten(), nn.Linear(6, 3)
    model = nn.Sequential(*layers).double()
    tokens = torch.randint(4, (SAMPLES, 3), generator=seeded()).double()
    assert (tokens == 0).any()
    expected = dense_hessian(model, cross_entropy, tokens, targets)
    padding = torch.arange(len(expected)) < 2
    expected[padding], expected[:, padding] = 0, 0
    check(hessian_operator(model, cross_entropy, tokens, targets, chunk_size), expected)


def test_apples_devices_are_refused():
    operator = SimpleNamespace(size=3, device=torch.device("mps"), dtype=torch.float32)
    with pytest.raises(ValueError, match=r"is on mps, which has no float64; .* \.to\('cpu'\)"):
        leading_eigenpairs(operator, 1, generator=seeded())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64, torch.int64])
def test_operators_of_other_numbers_are_refused(dtype):
    with pytest.raises(ValueError, match=f"the operator is {dtype}, expected float32 or float64"):
        leading_eigenpairs(DenseOperator(np.eye(3), dtype), 1, generator=seeded())


def test_vectors_from_numpy_are_refused(inputs, targets):
    for operator in (
        hessian_operator(perceptron(), cross_entropy, inputs, targets),
        hessian_operator(nn.Sequential(perceptron()), cross_entropy, inputs, targets),
    ):
        with pytest.raises(TypeError, match=r"a ndarray, expected a torch\.Tensor, such as torch\.as_tensor"):
            operator @ np.ones(operator.size)
        with pytest.raises(TypeError, match=r"unsupported operand type\(s\) for @: 'numpy.ndarray'"):
            np.ones(operator.size) @ operator


def test_inputs_that_do_not_fit(inputs, targets):
    model = nn.Sequential(perceptron())
    with pytest.raises(ValueError, match=r"the network fails on inputs of shape \(11, 3\) in torch.float32 \(R"):
        hessian_operator(model, cross_entropy, inputs.float(), targets)
    with pytest.raises(ValueError, match=r"the loss fails on outputs of shape \(11, 3\) and targets of shape"):
        hessian_operator(model, cross_entropy, inputs, targets.double())
    with pytest.raises(ValueError, match="the loss is a float, expected a tensor that holds one number"):
        hessian_operator(model, lambda z, y: cross_entropy(z, y).item(), inputs, targets)


@pytest.mark.parametrize("chunk_size", [None, 4])
def test_networks_that_change_their_inputs_are_refused(inputs, targets, chunk_size):
    with pytest.raises(ValueError, match=r"changes its inputs in place, .* make it work on a copy"):
        hessian_operator(Around(lambda inner, x: inner(x.sub_(1))), cross_entropy, inputs, targets, chunk_size)


class Detached(nn.Module):
    """A network with a part that torch does not see."""

    def __init__(self, cut: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.inner, self.outer, self.cut = perceptron(), nn.Linear(3, 3).double(), cut

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.outer(self.cut(self.inner(inputs)))


CUTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "detach": torch.Tensor.detach,
    "data": lambda hidden: hidden.data,
    "numpy": lambda hidden: torch.from_numpy(hidden.detach().numpy()),
    "item": lambda hidden: torch.tensor(hidden.tolist(), dtype=DOUBLE),
    "no_grad": torch.no_grad()(torch.tanh),
}


@pytest.mark.parametrize("name", CUTS)
def test_parameters_that_torch_does_not_see_are_found(inputs, targets, name):
    with pytest.raises(ValueError, match=r"the loss changes with parameter 'inner\.0\.weight', but torch finds"):
        hessian_operator(Detached(CUTS[name]), cross_entropy, inputs, targets)
    with pytest.raises(ValueError, match="the loss does not depend differentiably on the parameters"):
        hessian_operator(perceptron(), lambda z, y: mse_loss(CUTS[name](z), inputs), inputs, targets)


def test_parameters_that_do_not_matter_have_zero_rows(inputs, targets):
    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = perceptron(), nn.Linear(3, 2).double()

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.used(inputs)

    matrix = matrix_of(hessian_operator(Spare(), cross_entropy, inputs, targets))
    expected = dense_hessian(perceptron(), cross_entropy, inputs, targets)
    torch.testing.assert_close(matrix[:31, :31], expected, rtol=0, atol=1e-12)
    assert not matrix[31:].any()


class SineOfInput(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(z)
        return z.sin()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * ctx.saved_tensors[0].cos()


class SineOfResult(SineOfInput):
    """Saves the derivative, so that torch cannot differentiate it again."""

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(z.cos())
        return z.sin()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * ctx.saved_tensors[0]


class SineThroughNumpy(SineOfInput):
    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * torch.from_numpy(np.cos(ctx.saved_tensors[0].detach().numpy()))


class SineOnce(SineOfInput):
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * ctx.saved_tensors[0].cos()


def with_function(function: type[torch.autograd.Function], dtype: torch.dtype = DOUBLE) -> nn.Module:
    class Custom(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.inner, self.outer = nn.Linear(3, 4), nn.Linear(4, 3)
            self.to(dtype)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.outer(function.apply(self.inner(inputs)).relu())

    return Custom()


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize(
    ("function", "words"),
    [
        (SineOfResult, "do not match its gradient, which goes through the torch.autograd.Function SineOfResult"),
        (SineThroughNumpy, "which goes through the torch.autograd.Function SineThroughNumpy"),
        (SineOnce, "marked with @once_differentiable; replace the Function by operations of torch"),
    ],
)
def test_functions_without_second_derivatives_are_refused(inputs, targets, function, words, dtype):
    for chunk_size in (None, 4):
        with pytest.raises(ValueError, match=words):
            hessian_operator(
                with_function(function, dtype), cross_entropy, inputs.to(dtype), targets, chunk_size
            ) @ torch.ones(31, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_functions_with_second_derivatives_work(inputs, targets, dtype):
    operator = hessian_operator(with_function(SineOfInput, dtype), cross_entropy, inputs.to(dtype), targets, 4)
    plain = with_function(SimpleNamespace(apply=torch.sin))
    expected = dense_hessian(plain, cross_entropy, inputs, targets)
    torch.testing.assert_close(matrix_of(operator).double(), expected, rtol=0, atol=1e-6)


def test_operations_without_second_derivative_are_named(inputs):
    model = nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Conv1d(1, 2, 1), nn.Flatten()).double()

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.ctc_loss(
            outputs.view(3, 11, 2).log_softmax(2),
            torch.ones(11, 1, dtype=torch.int64),
            torch.full((11,), 3),
            torch.full((11,), 1),
        )

    operator = hessian_operator(model, loss, inputs, inputs)
    with pytest.raises(ValueError, match=r"the network has no second derivatives .*ctc_loss"):
        leading_eigenpairs(operator, 1, generator=seeded())


IN_TRAINING: dict[str, Callable[[], nn.Module]] = {
    "dropout": lambda: nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.1)),
    "batch norm": lambda: nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)),
    "attention": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 3)), nn.TransformerEncoderLayer(3, 1, 4, 0.1, batch_first=True), nn.Flatten()
    ),
    "functional dropout": lambda: Around(lambda inner, x: dropout(inner(x), 0.5, inner.training)),
}


@pytest.mark.parametrize("name", IN_TRAINING)
def test_training_mode_is_warned_of(name, inputs, targets):
    model = IN_TRAINING[name]().double()
    state = torch.get_rng_state()
    with pytest.warns(UserWarning, match=r"(is in training mode|differs each time).*call model\.eval\(\)"):
        operator = hessian_operator(model.train(), cross_entropy, inputs, targets)
    assert isinstance(operator, DoubleBackwardHessian)
    # Random numbers are drawn once.
    assert leading_eigenpairs(operator, 1, generator=seeded()).converged.all()
    hessian_operator(model.eval(), cross_entropy, inputs, targets)
    torch.set_rng_state(state)


def counting(change: float = 1.0) -> nn.Module:
    """Depends on how often its hook was called, which is not a state of the network."""
    model, calls = perceptron(), []

    def louder(module: nn.Module, given: object, output: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return output * (1 + change * len(calls))

    model.register_forward_hook(louder)
    return nn.Sequential(model)


@pytest.mark.parametrize("make", [lambda: Around(lambda inner, x: inner(x + torch.randn_like(x))), counting])
def test_losses_that_differ_each_time_are_warned_of(make, inputs, targets):
    with pytest.warns(UserWarning, match="the loss differs each time it is computed") as caught:
        operator = hessian_operator(make().eval(), cross_entropy, inputs, targets)
    assert [warning.filename for warning in caught] == [__file__]
    before = matrix_of(operator)
    assert torch.equal(matrix_of(operator), before)


class Averaging(nn.Module):
    """Reads its own running average and count of calls."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.calls, self.history = perceptron(), 0, []
        self.register_buffer("average", torch.zeros(3, dtype=DOUBLE))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.history.append(inputs)
        self.average.mul_(0.5).add_(inputs.mean(0))
        return self.inner(inputs - self.average / self.calls)


@pytest.mark.filterwarnings("ignore:the loss differs each time:UserWarning")
def test_the_state_of_a_network_is_the_same_for_every_product(inputs, targets):
    model = Averaging()
    operator = hessian_operator(model, cross_entropy, inputs, targets)
    first = matrix_of(operator)
    with torch.no_grad():
        model.inner[0].weight.mul_(1)
    assert torch.equal(matrix_of(operator), first)
    assert model.calls == len(model.history) == 0
    assert not model.average.any()


def test_no_warning_of_rounding(inputs, targets):
    """On a GPU, the order of a sum may differ each time."""
    hessian_operator(counting(1e-15), cross_entropy, inputs, targets)


def test_no_warning_where_nothing_is_drawn(inputs, targets):
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.0), nn.LayerNorm(3)).double().train()
    hessian_operator(model, cross_entropy, inputs, targets)

"""Problems from the tests of other libraries, rewritten here: models, losses, and unequal batches.

The problems are those of curvlinops (`test/cases.py`) and hessian-eigenthings (`tests/test_analytic_hessian.py`), and
tiny random transformers. Each is compared with a reference at several chunk sizes, and with the products of these
libraries if they are installed. The reference is never
``torch.func.hessian``: in torch 2.14.1, it is wrong for LayerNorm, off by 0.28 and not symmetric.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy, mse_loss
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from eigendrift.eigenpairs.lanczos import leading_eigenpairs
from eigendrift.eigenpairs.operators import hessian_operator

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
MISSING = "another library is not installed: pip install '.[peers]'"
DOUBLE = torch.float64
CHUNK_SIZES = [None, 3]
Targets = Literal["labels", "binary", "values"]


@dataclass(frozen=True)
class Problem:
    """A network and a loss on two batches of unequal size.

    Attributes:
        build: Builds the network.
        loss: Mean or sum over the samples.
        batches: Sizes of the two batches.
        shape: Shape of a sample's inputs.
        outputs: Shape of a sample's targets. The number of classes comes last; labels lack this dimension.
        targets: Kind of targets.
    """

    build: Callable[[], nn.Module]
    loss: nn.Module
    batches: tuple[int, int]
    shape: tuple[int, ...]
    outputs: tuple[int, ...]
    targets: Targets

    @property
    def reduction(self) -> Literal["mean", "sum"]:
        return self.loss.reduction  # type: ignore[no-any-return]

    def draw(self) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
        torch.manual_seed(0)
        model = self.build().double()
        random = torch.Generator().manual_seed(1)
        count = sum(self.batches)
        inputs = torch.rand(count, *self.shape, dtype=DOUBLE, generator=random)
        if self.targets == "labels":
            return (
                model,
                inputs,
                torch.randint(self.outputs[-1], (count, *self.outputs[:-1]), generator=random),
            )
        targets = torch.rand(count, *self.outputs, dtype=DOUBLE, generator=random)
        return model, inputs, targets.round() if self.targets == "binary" else targets


class ClassesFirst(nn.Module):
    """Puts the classes where torch's cross-entropy expects them, before the other dimensions."""

    def forward(self, outputs: torch.Tensor) -> torch.Tensor:
        return outputs.movedim(-1, 1)


def two_layers(width: int, classes: int, *last: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(width, 5), nn.ReLU(), nn.Linear(5, classes), *last)


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


def normalized() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 5), nn.LayerNorm(5), nn.GELU(), nn.Linear(5, 3))


BINARY, ENTROPY, SQUARES = nn.BCEWithLogitsLoss, nn.CrossEntropyLoss, nn.MSELoss
PROBLEMS: dict[str, Problem] = {
    f"{name}, {reduction}": Problem(build, loss(reduction=reduction), *rest)  # type: ignore[arg-type]
    for reduction in ("mean", "sum")
    for name, build, loss, *rest in (
        ("cross-entropy", two_layers(10, 3), ENTROPY, (3, 4), (10,), (3,), "labels"),
        ("binary, one output", two_layers(10, 1), BINARY, (3, 4), (10,), (1,), "binary"),
        ("binary, two outputs", two_layers(10, 2), BINARY, (3, 4), (10,), (2,), "binary"),
        ("squares", two_layers(8, 3), SQUARES, (2, 6), (8,), (3,), "values"),
        ("tokens", two_layers(10, 3, ClassesFirst()), ENTROPY, (3, 4), (5, 10), (5, 3), "labels"),
        ("binary sequences", two_layers(10, 2), BINARY, (3, 4), (5, 10), (5, 2), "binary"),
        ("sequences", two_layers(8, 3), SQUARES, (2, 6), (5, 8), (5, 3), "values"),
        ("convolutions", convolutions, ENTROPY, (5, 4), (1, 28, 28), (10,), "labels"),
        ("layer norm", normalized, ENTROPY, (3, 4), (10,), (3,), "labels"),
    )
}


def by_differences(
    model: nn.Module,
    loss: Callable[..., torch.Tensor],
    data: tuple[torch.Tensor, torch.Tensor],
    vector: torch.Tensor,
) -> torch.Tensor:
    """Hv as a difference of gradients, without second derivatives from torch."""
    parameters = list(model.parameters())
    flat = parameters_to_vector(parameters).detach().clone()

    def gradient_at(shift: float) -> torch.Tensor:
        vector_to_parameters(flat + shift * vector, parameters)
        parts = torch.autograd.grad(loss(model(data[0]), data[1]), parameters)
        return torch.cat([part.flatten() for part in parts])

    # A short step rarely crosses a kink.
    step = 1e-7 / float(vector.norm())
    difference = (gradient_at(step) - gradient_at(-step)) / (2 * step)
    vector_to_parameters(flat, parameters)
    return difference


@pytest.mark.parametrize("name", PROBLEMS)
def test_products_are_differences_of_the_gradient(name: str) -> None:
    problem = PROBLEMS[name]
    model, inputs, targets = problem.draw()
    size = sum(parameter.numel() for parameter in model.parameters())
    vector = torch.randn(size, dtype=DOUBLE, generator=torch.Generator().manual_seed(2))
    expected = by_differences(model, problem.loss, (inputs, targets), vector)
    for chunk_size in CHUNK_SIZES:
        operator = hessian_operator(model, problem.loss, inputs, targets, chunk_size, reduction=problem.reduction)
        torch.testing.assert_close(operator @ vector, expected, rtol=1e-6, atol=1e-8 * float(expected.norm()))


# Like ``torch.func.hessian``, curvlinops uses forward over reverse mode, which is wrong for LayerNorm.
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PROBLEMS if "layer norm" not in name])
def test_products_are_those_of_curvlinops(name: str) -> None:
    curvlinops = pytest.importorskip("curvlinops", reason=MISSING)
    problem = PROBLEMS[name]
    model, inputs, targets = problem.draw()
    batches = list(zip(inputs.split(problem.batches), targets.split(problem.batches), strict=True))
    theirs = curvlinops.HessianLinearOperator(model, problem.loss, list(model.parameters()), batches)
    operator = hessian_operator(model, problem.loss, inputs, targets, 3, reduction=problem.reduction)
    vector = torch.randn(operator.size, dtype=DOUBLE, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(operator @ vector, theirs @ vector, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PROBLEMS if "mean" in name])
def test_products_are_those_of_hessian_eigenthings(name: str) -> None:
    eigenthings = pytest.importorskip("hessian_eigenthings", reason=MISSING)
    problem = PROBLEMS[name]
    model, inputs, targets = problem.draw()
    # One batch, because it averages batches without weighting them by size.
    theirs = eigenthings.HessianOperator(
        model, [(inputs, targets)], lambda network, batch: problem.loss(network(batch[0]), batch[1])
    )
    operator = hessian_operator(model, problem.loss, inputs, targets, 3)
    vector = torch.randn(operator.size, dtype=DOUBLE, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(operator @ vector, theirs.matvec(vector), rtol=1e-9, atol=1e-12)


def linear(outputs: int) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(3)
    random = torch.Generator().manual_seed(4)
    return nn.Linear(4, outputs, bias=False).double(), torch.randn(16, 4, dtype=DOUBLE, generator=random)


@pytest.mark.parametrize("chunk_size", [None, 1, 5])
def test_linear_models_have_closed_forms(chunk_size: int | None) -> None:
    """Least squares 2 XᵀX / n; logistic Xᵀ diag(s (1 − s)) X / n; softmax Σ (diag(p) − ppᵀ) ⊗ xxᵀ / n."""
    model, x = linear(1)
    squares = 2 * x.T @ x / 16
    s = model(x).sigmoid().detach()
    logistic = (x.T * (s * (1 - s)).T) @ x / 16
    labels = (torch.arange(16) % 2)[:, None].double()
    for loss, expected in ((mse_loss, squares), (nn.BCEWithLogitsLoss(), logistic)):
        operator = hessian_operator(model, loss, x, labels, chunk_size)
        torch.testing.assert_close(operator @ torch.eye(4, dtype=DOUBLE), expected, rtol=0, atol=1e-13)
    model, x = linear(3)
    p = model(x).softmax(1).detach()
    softmax = sum(torch.kron(row.diag() - row.outer(row), x_.outer(x_)) for row, x_ in zip(p, x, strict=True))
    operator = hessian_operator(model, cross_entropy, x, torch.arange(16) % 3, chunk_size)
    torch.testing.assert_close(operator @ torch.eye(12, dtype=DOUBLE), softmax / 16, rtol=0, atol=1e-13)


@pytest.mark.filterwarnings("ignore:module '1':UserWarning")
@pytest.mark.parametrize("layer", [nn.Dropout(), nn.BatchNorm1d(5)], ids=["dropout", "batch norm"])
def test_their_nondeterministic_problems_are_refused(layer: nn.Module) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 5), layer, nn.ReLU(), nn.Linear(5, 2))
    random = torch.Generator().manual_seed(1)
    inputs, labels = torch.rand(12, 10, generator=random), torch.randint(2, (12,), generator=random)
    with pytest.raises(ValueError, match="depends on how the sample is cut into chunks"):
        hessian_operator(model, cross_entropy, inputs, labels, 3)


VOCABULARY, LENGTH = 11, 5


class Logits(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.model(tokens).logits


def next_token(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:])


def transformer(name: str) -> nn.Module:
    transformers: Any = pytest.importorskip("transformers", reason=MISSING)
    shape = {"vocab_size": VOCABULARY, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    if name == "gpt2":
        model = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(vocab_size=VOCABULARY, n_positions=LENGTH, n_embd=4, n_layer=1, n_head=2, n_inner=4)
        )
    elif name == "llama":
        model = transformers.LlamaForCausalLM(
            transformers.LlamaConfig(**shape, intermediate_size=4, num_key_value_heads=1)
        )
    else:
        config = transformers.BertConfig(**shape, intermediate_size=4, max_position_embeddings=LENGTH, num_labels=3)
        model = transformers.BertForSequenceClassification(config)
    # With the initial weights, outputs barely depend on inputs.
    for parameter in model.parameters():
        parameter.data *= 5 if parameter.dim() > 1 else 1
    return Logits(model).double().eval()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("gpt2", 1e-10),
        # Its normalization computes in float32 whatever the network's dtype is.
        ("llama", 1e-5),
        ("bert", 1e-10),
    ],
)
def test_tiny_transformers(name: str, precision: float) -> None:
    model = transformer(name)
    tokens = torch.randint(VOCABULARY, (6, LENGTH), generator=torch.Generator().manual_seed(1))
    targets, loss = (torch.arange(6) % 3, cross_entropy) if name == "bert" else (tokens, next_token)
    parameters = list(model.parameters())
    # By reverse mode, one row at a time.
    with sdpa_kernel(SDPBackend.MATH):
        gradients = torch.autograd.grad(loss(model(tokens), targets), parameters, create_graph=True)
    rows = []
    for entry in torch.cat([gradient.flatten() for gradient in gradients]):
        parts = torch.autograd.grad(entry, parameters, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([part.flatten() for part in parts]))
    dense = torch.stack(rows)
    scale = float(dense.abs().max())
    for chunk_size in CHUNK_SIZES:
        operator = hessian_operator(model, loss, tokens, targets, chunk_size)
        matrix = operator @ torch.eye(operator.size, dtype=DOUBLE)
        torch.testing.assert_close(matrix, dense, rtol=0, atol=precision * scale)
    pairs = leading_eigenpairs(operator, 3, generator=torch.Generator().manual_seed(0))
    assert pairs.converged.all()
    expected = np.linalg.eigvalsh(((dense + dense.T) / 2).numpy())[::-1][:3]
    np.testing.assert_allclose(pairs.eigenvalues, expected, atol=1e-4 * expected[0])

"""Samples, operators and generators of the wrong kind are refused in one sentence."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from eigenpairs_helpers import DenseOperator, seeded
from torch import nn
from torch.nn.functional import cross_entropy

from eigendrift.eigenpairs.density import spectral_density
from eigendrift.eigenpairs.lanczos import leading_eigenpairs
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.eigenpairs.perceptron import PerceptronHessian
from eigendrift.eigenpairs.trace import trace

MODEL = nn.Linear(3, 2)
INPUTS, TARGETS = torch.ones(4, 3), torch.tensor([0, 1, 0, 1])


@pytest.mark.parametrize(
    "build",
    [
        partial(hessian_operator, MODEL, cross_entropy),
        partial(hessian_operator, nn.Sequential(nn.Sequential(MODEL)), cross_entropy),
        partial(PerceptronHessian, nn.Sequential(MODEL)),
    ],
    ids=["hessian_operator", "double backward", "perceptron"],
)
def test_samples_are_tensors(build):
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(INPUTS, TARGETS))
    with pytest.raises(TypeError, match=r"inputs is a ndarray, expected a torch\.Tensor of all samples"):
        build(INPUTS.numpy(), TARGETS)
    with pytest.raises(TypeError, match=r"inputs is a DataLoader, .* or torch\.cat of a loader's batches"):
        build(loader, TARGETS)
    with pytest.raises(TypeError, match="targets is a list"):
        build(INPUTS, TARGETS.tolist())
    with pytest.raises(ValueError, match="0 inputs and 0 targets, expected equal numbers, at least one"):
        build(INPUTS[:0], TARGETS[:0])


def test_samples_are_dense_and_have_a_first_dimension():
    with pytest.raises(ValueError, match=r"inputs is a sparse tensor, expected a dense one, .*to_dense\(\)"):
        hessian_operator(MODEL, cross_entropy, INPUTS.to_sparse(), TARGETS)
    with pytest.raises(ValueError, match=r"inputs is a nested tensor, .* torch\.nested\.to_padded_tensor"):
        hessian_operator(MODEL, cross_entropy, torch.nested.nested_tensor(list(INPUTS), layout=torch.jagged), TARGETS)
    with pytest.raises(ValueError, match=r"targets is a single number, expected a tensor \(n, …\)"):
        hessian_operator(MODEL, cross_entropy, INPUTS, torch.tensor(1))


SOLVERS = [partial(leading_eigenpairs, count=1), partial(spectral_density, probes=1, steps=3), trace]


@pytest.mark.parametrize("solve", SOLVERS)
def test_solvers_take_operators_and_generators(solve):
    with pytest.raises(TypeError, match="the operator, a Tensor, has no size that is a whole number"):
        solve(torch.eye(4), generator=torch.Generator())
    with pytest.raises(TypeError, match=r"generator is None, expected one such as torch\.Generator\(\)"):
        solve(hessian_operator(MODEL, cross_entropy, INPUTS, TARGETS), generator=None)


class Own(DenseOperator):
    """A symmetric operator whose products may have any form."""

    def __init__(self, form: Callable[[torch.Tensor, torch.Tensor], object] = lambda v, image: image) -> None:
        super().__init__(np.diag(np.arange(1.0, 7)))
        self.form = form

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        return self.form(vectors, super().__matmul__(vectors))


WRONG_IMAGES: dict[str, tuple[Callable[[torch.Tensor, torch.Tensor], object], type[Exception], str]] = {
    "numpy": (lambda v, image: image.numpy(), TypeError, "the operator returns a ndarray, expected a t"),
    "shape": (lambda v, image: image[..., None], ValueError, "must accept a vector"),
    "dtype": (lambda v, image: image.float(), ValueError, "of dtype torch.float32 for .* torch.float64"),
    "device": (lambda v, image: image.to("meta"), ValueError, "of device meta for vectors of device cpu"),
    "in place": (lambda v, image: v.copy_(image).clone(), ValueError, "changes the vectors"),
}


@pytest.mark.parametrize("name", WRONG_IMAGES)
@pytest.mark.parametrize("solve", SOLVERS)
def test_operators_that_return_something_else_are_refused(solve, name):
    form, error, words = WRONG_IMAGES[name]
    with pytest.raises(error, match=words):
        solve(Own(form), generator=seeded())


class ColumnsOnly(Own):
    """Like operators of SciPy, it takes a vector or columns."""

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        return self.matrix @ vectors


def test_errors_of_operators_are_explained():
    words = r"the operator fails on vectors of shape \(2, 6\) \(RuntimeError: .*must accept a vector"
    with pytest.raises(ValueError, match=words):
        leading_eigenpairs(ColumnsOnly(), 2, generator=seeded())


def test_products_of_rows_must_be_those_of_vectors():
    doubled = Own(lambda vectors, image: image if vectors.dim() == 1 else 2 * image)
    assert not leading_eigenpairs(doubled, 2, generator=seeded()).converged.any()


class Reusing(Own):
    """Writes all products of one shape to the same memory, and keeps a graph."""

    def __init__(self) -> None:
        super().__init__(self.keep)
        self.kept: dict[torch.Size, torch.Tensor] = {}
        self.parameter = torch.ones((), dtype=torch.float64, requires_grad=True)

    def keep(self, vectors: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        kept = self.kept.setdefault(image.shape, torch.empty_like(image))
        return kept.copy_(image) * self.parameter if len(self.kept) % 2 else kept.copy_(image)


class Identity(Own):
    """Returns its argument."""

    def __init__(self) -> None:
        super().__init__(lambda vectors, image: vectors)
        self.matrix = torch.eye(6, dtype=torch.float64)


@pytest.mark.parametrize("make", [Reusing, Identity])
@pytest.mark.parametrize("count", [1, 3])
def test_operators_may_share_memory_and_keep_graphs(make, count):
    operator = make()
    exact = torch.linalg.eigvalsh(operator.matrix).flip(0)
    pairs = leading_eigenpairs(operator, count, generator=seeded())
    assert pairs.converged.all()
    assert not pairs.eigenvectors.requires_grad
    torch.testing.assert_close(pairs.eigenvalues, exact[:count])
    assert trace(operator, generator=torch.Generator(), products=5).estimate > 5
    assert spectral_density(operator, generator=torch.Generator(), probes=1, steps=3).products > 0


@pytest.mark.parametrize("loss", [cross_entropy, lambda z, y: cross_entropy(z, y)], ids=["known", "own"])
def test_vectors_that_are_to_be_differentiated_are_refused(loss):
    operator = hessian_operator(nn.Sequential(MODEL), loss, INPUTS, TARGETS)
    vectors = torch.ones(2, operator.size)
    with pytest.raises(ValueError, match=r"require a gradient, .* pass vectors\.detach\(\)"):
        operator @ vectors.clone().requires_grad_()
    with pytest.raises(ValueError, match=r"inside a transform of torch\.func, such as vmap; multiply the "):
        torch.func.vmap(lambda vector: operator @ vector)(vectors)
    with pytest.raises(ValueError, match=r"inside a transform of torch\.func, .*; make the operator outside"):
        torch.func.vmap(lambda x: hessian_operator(MODEL, loss, x, TARGETS) @ vectors)(INPUTS[None])

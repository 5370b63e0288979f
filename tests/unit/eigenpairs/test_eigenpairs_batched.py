"""Iterations whose steps are taken together, against each by itself; one that fails disturbs no other."""

import weakref
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from eigenpairs_helpers import DenseOperator, DenseStack, largest_angle, leading, seeded, with_spectrum
from torch import nn
from torch.nn.utils import vector_to_parameters

from eigendrift.eigenpairs.batched import leading_eigenpairs_together
from eigendrift.eigenpairs.batched_perceptrons import PerceptronStack
from eigendrift.eigenpairs.krylov import KrylovBasis
from eigendrift.eigenpairs.lanczos import Eigenpairs, leading_eigenpairs
from eigendrift.eigenpairs.perceptron import PerceptronHessian

SIZE = 60
COUNT = 3


def matrices() -> list[np.ndarray]:
    """Easy and hard spectra, one with equal leading eigenvalues, one of low rank."""
    outliers = np.r_[9.0, 7.0, 5.0]
    spectra = [
        np.r_[outliers, np.linspace(0, 0.1, SIZE - 3)],
        np.linspace(-1, 1, SIZE),
        np.r_[2.0, 2.0, 2.0, np.linspace(0, 1, SIZE - 3)],
        np.r_[outliers, np.zeros(SIZE - 3)],
        np.r_[1e3 * outliers, np.linspace(-5, 5, SIZE - 3)],
    ]
    return [with_spectrum(spectrum, seed) for seed, spectrum in enumerate(spectra)]


def starts(count: int) -> list[torch.Generator]:
    return [seeded(seed) for seed in range(count)]


def together(stack: DenseStack | PerceptronStack, basis_size: int = 14) -> list[Eigenpairs | FloatingPointError]:
    return leading_eigenpairs_together(
        stack, COUNT, generators=starts(len(stack)), tolerance=1e-8, basis_size=basis_size
    )


def found(outcomes: list[Eigenpairs | FloatingPointError]) -> list[Eigenpairs]:
    assert all(isinstance(outcome, Eigenpairs) for outcome in outcomes)
    return outcomes


@pytest.mark.parametrize("basis_size", [10, 14, 60, 80])
def test_pairs_are_the_leading_ones_of_each(basis_size):
    dense = matrices()
    for matrix, pairs in zip(dense, found(together(DenseStack(dense), basis_size)), strict=True):
        values, vectors = leading(matrix, COUNT)
        np.testing.assert_allclose(pairs.eigenvalues, values, rtol=0, atol=1e-8 * values[0])
        assert largest_angle(pairs.eigenvectors.numpy(), vectors) < 1e-5
        assert pairs.converged.all()
        assert (pairs.residuals <= 1e-8).all()


@pytest.mark.parametrize("basis_size", [14, 60])
def test_pairs_and_evidence_are_those_of_each_by_itself(basis_size):
    dense = matrices()
    for matrix, start, pairs in zip(dense, starts(5), found(together(DenseStack(dense), basis_size)), strict=True):
        alone = leading_eigenpairs(DenseOperator(matrix), COUNT, generator=start, tolerance=1e-8, basis_size=basis_size)
        torch.testing.assert_close(pairs.eigenvalues, alone.eigenvalues, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(pairs.gaps, alone.gaps, rtol=0, atol=1e-8)
        assert pairs.next_eigenvalue == pytest.approx(alone.next_eigenvalue, abs=1e-3 * alone.scale)
        # Rounding may tip a step over a threshold.
        assert abs(pairs.products - alone.products) <= 3
        assert pairs.miss_probability <= 1e-3


def test_every_step_is_one_product_for_all_that_are_on_their_way():
    stack = DenseStack(matrices())
    outcomes = found(together(stack))
    assert [pairs.products for pairs in outcomes] == [operator.products for operator in stack.operators]
    steps = [sum(index in call for call in stack.calls) for index in range(len(stack))]
    assert len(stack.calls) == max(steps) < sum(steps)
    assert len(set(steps)) > 1
    assert stack.calls[0] == [0, 1, 2, 3, 4]
    for earlier, later in zip(stack.calls, stack.calls[1:], strict=False):
        assert later == sorted(set(later) & set(earlier))


def test_the_same_bits_every_time():
    one, other = (
        leading_eigenpairs_together(DenseStack(matrices(), torch.float32), COUNT, generators=starts(5))
        for _ in range(2)
    )
    for pairs, again in zip(found(one), found(other), strict=True):
        assert torch.equal(pairs.eigenvalues, again.eigenvalues)
        assert torch.equal(pairs.eigenvectors, again.eigenvectors)
        assert pairs.miss_probability == again.miss_probability


class Overflowing(DenseOperator):
    """A matrix whose products are no longer finite after some."""

    def __init__(self, matrix: np.ndarray, last: int) -> None:
        super().__init__(matrix)
        self.last = last

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        images = super().__matmul__(vectors)
        return images if self.products <= self.last else images / 0


def products_alone(matrix: np.ndarray, start: torch.Generator) -> int:
    return leading_eigenpairs(DenseOperator(matrix), COUNT, generator=start, tolerance=1e-8, basis_size=14).products


@pytest.mark.parametrize("position", [0, 2, 4])
@pytest.mark.parametrize("when", ["first", "middle", "certificate"])
def test_one_that_fails_disturbs_no_other(position, when):
    dense = matrices()
    stack = DenseStack(dense)
    whole = products_alone(dense[position], starts(5)[position])
    last = {"first": 0, "middle": whole // 2, "certificate": whole - 1}[when]
    stack.operators[position] = Overflowing(dense[position], last)
    outcomes = together(stack)
    error = outcomes.pop(position)
    assert isinstance(error, FloatingPointError)
    assert str(error) == "a product with the operator is not finite"
    del dense[position]
    for matrix, pairs in zip(dense, found(outcomes), strict=True):
        np.testing.assert_allclose(pairs.eigenvalues, leading(matrix, COUNT)[0], rtol=0, atol=1e-8)
        assert pairs.converged.all()


def test_bases_of_those_that_have_ended_take_no_memory(monkeypatch):
    bases: weakref.WeakSet[KrylovBasis] = weakref.WeakSet()
    begin = KrylovBasis.__init__

    def observed(self: KrylovBasis, *arguments: Any) -> None:
        bases.add(self)
        begin(self, *arguments)

    class Observing(DenseStack):
        def products(self, vectors: torch.Tensor, indices: Sequence[int]) -> torch.Tensor:
            assert len(bases) == len(indices)
            # One memory for all that are left, however often some have ended.
            assert len({basis.vectors.untyped_storage().data_ptr() for basis in bases}) == 1
            return super().products(vectors, indices)

    monkeypatch.setattr(KrylovBasis, "__init__", observed)
    stack = Observing(matrices())
    stack.operators[1] = Overflowing(matrices()[1], 20)
    # The certificate of the first to end fails within its own iteration.
    stack.operators[3] = Overflowing(matrices()[3], products_alone(matrices()[3], starts(5)[3]) - 1)
    outcomes = together(stack)
    assert [isinstance(outcome, Eigenpairs) for outcome in outcomes] == [True, False, True, False, True]


def test_all_may_fail():
    stack = DenseStack(matrices())
    stack.operators = [Overflowing(matrix, 0) for matrix in matrices()]
    assert all(isinstance(outcome, FloatingPointError) for outcome in together(stack))
    assert len(stack.calls) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_stops_the_products_stops_all(error):
    class Stopping(DenseStack):
        def products(self, vectors: torch.Tensor, indices: Sequence[int]) -> torch.Tensor:
            if len(self.calls) == 7:
                raise error
            return super().products(vectors, indices)

    with pytest.raises(error):
        together(Stopping(matrices()))


def test_one_by_itself_and_the_whole_space():
    matrix = with_spectrum(np.r_[5.0, 4.0, 3.0, 1.0, 0.0])
    (pairs,) = found(together(DenseStack([matrix])))
    np.testing.assert_allclose(pairs.eigenvalues, [5, 4, 3], atol=1e-10)
    assert pairs.miss_probability == 0


def test_wrong_requests_are_refused():
    with pytest.raises(ValueError, match="basis_size is 9"):
        leading_eigenpairs_together(DenseStack(matrices()), COUNT, generators=starts(5), basis_size=9)
    with pytest.raises(ValueError, match="4 generators and 5 operators, expected one for each"):
        leading_eigenpairs_together(DenseStack(matrices()), COUNT, generators=starts(4))


def test_when_the_products_run_out_each_says_so():
    outcomes = leading_eigenpairs_together(
        DenseStack(matrices()), COUNT, generators=starts(5), tolerance=1e-8, max_products=25
    )
    pairs = found(outcomes)
    assert all(one.products <= 25 for one in pairs)
    assert [bool(one.converged.all()) for one in pairs] == [True, False, False, True, True]


@pytest.mark.parametrize(("dtype", "angle"), [(torch.float32, 1e-3), (torch.float64, 1e-7)])
def test_networks_together_have_the_pairs_of_each(network, dtype, angle):
    model, inputs, targets = deepcopy(network)
    inputs = inputs.to(dtype)
    trained = nn.utils.parameters_to_vector(model.parameters()).detach()
    noise = torch.randn(6, len(trained), dtype=torch.float64, generator=seeded())
    weights = (trained + 0.1 * noise).to(dtype)
    stack = PerceptronStack(model, weights, inputs, targets)
    outcomes = leading_eigenpairs_together(stack, COUNT, generators=starts(6))
    for flat, start, pairs in zip(weights, starts(6), found(outcomes), strict=True):
        vector_to_parameters(flat.clone(), model.parameters())
        alone = leading_eigenpairs(PerceptronHessian(model, inputs, targets), COUNT, generator=start)
        assert pairs.converged.all()
        assert alone.converged.all()
        torch.testing.assert_close(pairs.eigenvalues, alone.eigenvalues, rtol=0, atol=1e-6 * alone.scale)
        assert largest_angle(pairs.eigenvectors.double().numpy(), alone.eigenvectors.double().numpy()) < angle

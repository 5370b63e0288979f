"""Hutch++ against closed forms, dense traces, and what its standard error promises."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from eigenpairs_helpers import DenseOperator, seeded, with_spectrum
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.eigenpairs.symmetric import PRODUCTS_TO_CHECK, SymmetricOperator
from eigendrift.eigenpairs.trace import Trace, trace


class Blocks(DenseOperator):
    """A matrix that keeps the blocks of rows it is multiplied with; single vectors check the operator."""

    def __init__(self, matrix: np.ndarray, dtype: torch.dtype = torch.float64) -> None:
        super().__init__(matrix, dtype)
        self.blocks: list[np.ndarray] = []

    def __matmul__(self, block: torch.Tensor) -> torch.Tensor:
        if block.dim() == 2:
            self.blocks.append(block.double().numpy().copy())
        return block @ self.matrix


def estimate(operator: SymmetricOperator, seed: int = 0, **options: Any) -> Trace:
    return trace(operator, generator=seeded(seed), **options)


@pytest.mark.parametrize(("size", "products"), [(1, 1), (1, 90), (3, 3), (20, 20), (20, 21), (90, 90)])
def test_exact_where_products_suffice(size, products):
    matrix = with_spectrum(np.random.default_rng(0).normal(size=size))
    operator = Blocks(matrix)
    result = estimate(operator, products=products)
    np.testing.assert_allclose(result.estimate, np.trace(matrix), atol=1e-13)
    assert result.standard_error == 0
    assert result.products == size + PRODUCTS_TO_CHECK
    assert [len(block) for block in operator.blocks] == [size]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), rank=st.integers(0, 8), spare=st.integers(0, 5), seed=st.integers(0, 2**16))
def test_exact_where_the_sketch_captures_the_range(data, rank, spare, seed):
    # On a diagonal the range is a few parameters, on which random signs would often coincide; the last ones, because
    # the QR decomposition fills up a sketch of lower rank with the first.
    levels = st.integers(-20, 20).map(lambda level: level / 10 - 0.05)
    spectrum = np.zeros(60)
    spectrum[60 - rank :] = data.draw(st.lists(levels, min_size=rank, max_size=rank))
    matrix = np.diag(spectrum) if data.draw(st.booleans()) else with_spectrum(spectrum, seed)
    products = max(4, 3 * rank + spare)
    result = estimate(Blocks(matrix), seed, products=products)
    np.testing.assert_allclose(result.estimate, spectrum.sum(), atol=1e-11)
    assert result.standard_error < 1e-11
    assert result.products == products + PRODUCTS_TO_CHECK


def test_an_overlooked_eigenvalue_shows_in_the_standard_error():
    """One rank more than the sketch holds."""
    spectrum = np.concatenate([np.ones(6), np.zeros(54)])
    result = estimate(Blocks(with_spectrum(spectrum)), products=15)
    assert result.standard_error > 1e-3


@pytest.mark.parametrize(
    ("products", "thirds"),
    [(4, [1, 1, 2]), (5, [1, 1, 3]), (6, [2, 2, 2]), (10, [3, 3, 4]), (11, [3, 3, 5]), (None, [30, 30, 30])],
)
def test_thirds(products, thirds):
    operator = Blocks(with_spectrum(np.linspace(-1, 1, 91)))
    result = estimate(operator, **({} if products is None else {"products": products}))
    assert [len(block) for block in operator.blocks] == thirds
    assert result.products == sum(thirds) + PRODUCTS_TO_CHECK
    _, basis, probes = operator.blocks
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-13)
    np.testing.assert_allclose(probes @ basis.T, 0, atol=1e-13)


def test_draws_follow_the_generator():
    operator = Blocks(with_spectrum(np.linspace(-1, 1, 100)))
    assert estimate(operator, seed=1, products=9) == estimate(operator, seed=1, products=9)
    assert estimate(operator, seed=1, products=9) != estimate(operator, seed=2, products=9)


def test_sums_are_in_float64():
    result = estimate(Blocks(np.diag([1e8, 1.0, -1e8]), torch.float32))
    assert result.estimate == 1


@pytest.mark.parametrize(("localized", "products"), [(False, 60), (True, 60), (False, 6)])
def test_standard_error_is_that_of_random_signs_on_the_rest(localized, products):
    """Of signs on B = (1 − Q Qᵀ) H (1 − Q Qᵀ) the variance is 2 (‖B‖² − Σ_j B_jj²) / number of vectors.

    Without the second term, as for Gaussian vectors, the localized case would be over twice as large.
    """
    spectrum = np.linspace(-1, 2, 120)
    matrix = with_spectrum(spectrum)
    if localized:
        matrix = np.diag(spectrum) + 0.3 * (matrix - np.diag(np.diag(matrix)))
    count = products // 3
    squares, expected, deviations = [], [], []
    for seed in range(100):
        operator = Blocks(matrix)
        result = estimate(operator, seed, products=products)
        basis = operator.blocks[1]
        outside = np.eye(120) - basis.T @ basis
        rest = outside @ matrix @ outside
        expected.append(2 * ((rest**2).sum() - (np.diag(rest) ** 2).sum()) / count)
        squares.append(result.standard_error**2)
        deviations.append((result.estimate - np.trace(matrix)) / np.sqrt(expected[-1]))
    # A squared error from n vectors has a relative standard deviation of √(2 / (n − 1)).
    assert abs(np.mean(squares) / np.mean(expected) - 1) < 3 * np.sqrt(2 / (count - 1) / 100)
    # So for any sketch the estimate is right on average, and as far off as it says.
    assert abs(np.mean(deviations)) < 3 / 10
    assert abs(np.mean(np.square(deviations)) - 1) < 3 * np.sqrt(2 / 100)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_trace_of_a_network(network, dense, dtype):
    """The eigenvalues of a trained network decay, which is what the sketch is for."""
    model, inputs, targets = network
    operator = hessian_operator(deepcopy(model).to(dtype), cross_entropy, inputs.to(dtype), targets, chunk_size=70)
    results = [estimate(operator, seed) for seed in range(4)]
    errors = np.array([result.estimate for result in results]) - np.trace(dense)
    standard_errors = np.array([result.standard_error for result in results])
    assert (np.abs(errors) < 3.5 * standard_errors).all()
    without_sketch = np.sqrt(2 * ((dense**2).sum() - (np.diag(dense) ** 2).sum()) / 90)
    assert (standard_errors < without_sketch / 3).all()


def test_dtypes_share_their_draws(network):
    model, inputs, targets = network
    in_float64 = estimate(hessian_operator(model, cross_entropy, inputs, targets), products=30)
    operator = hessian_operator(deepcopy(model).float(), cross_entropy, inputs.float(), targets)
    in_float32 = estimate(operator, products=30)
    np.testing.assert_allclose(in_float32.estimate, in_float64.estimate, rtol=1e-5)
    np.testing.assert_allclose(in_float32.standard_error, in_float64.standard_error, rtol=1e-4)


@pytest.mark.parametrize("products", [-1, 0, 1, 3])
def test_too_few_products(products):
    with pytest.raises(ValueError, match=f"^products is {products}, expected at least 4$"):
        estimate(Blocks(np.eye(5)), products=products)

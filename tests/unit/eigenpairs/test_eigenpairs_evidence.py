"""Evidence for eigenpairs: hidden eigenvectors are found, residuals are true, and the budget is kept."""

from functools import partial

import numpy as np
import pytest
import torch
from eigenpairs_helpers import DenseOperator, largest_angle, leading, seeded, with_spectrum

from eigendrift.eigenpairs import lanczos
from eigendrift.eigenpairs.density import spectral_density
from eigendrift.eigenpairs.lanczos import Eigenpairs, leading_eigenpairs
from eigendrift.eigenpairs.trace import trace

SIZE = 120
SPECTRUM = np.concatenate([[5, 4, 3], np.linspace(-1, 1, SIZE - 3)])
MATRIX = with_spectrum(SPECTRUM)


def solve(operator: DenseOperator, count: int, **options: float) -> Eigenpairs:
    generator = seeded()
    merged = {"tolerance": 1e-9, "max_products": 2000, "basis_size": 60} | options
    return leading_eigenpairs(operator, count, generator=generator, **merged)


def hidden_from_the_start(spectrum: np.ndarray, hidden: int) -> np.ndarray:
    """A matrix whose first eigenvectors are orthogonal to the first random vector that `solve` draws."""
    start = torch.randn(len(spectrum), dtype=torch.float64, generator=seeded()).numpy()
    frame = np.random.default_rng(1).normal(size=(len(spectrum), len(spectrum)))
    frame[:, :hidden] -= np.outer(start, start @ frame[:, :hidden]) / (start @ start)
    basis, _ = np.linalg.qr(frame)
    assert abs(start @ basis[:, :hidden]).max() < 1e-12
    matrix = (basis * spectrum) @ basis.T
    return (matrix + matrix.T) / 2


@pytest.mark.parametrize("basis_size", [10, 60, SIZE])
@pytest.mark.parametrize("hidden", [1, 3])
@pytest.mark.parametrize("top", [3.0, 1.01])
def test_eigenvectors_that_the_start_vector_misses_are_found(top, hidden, basis_size):
    spectrum = np.concatenate([top - 1e-3 * np.arange(hidden), np.linspace(-1, 1, SIZE - hidden)[::-1]])
    matrix = hidden_from_the_start(spectrum, hidden)
    pairs = solve(DenseOperator(matrix), 3, tolerance=1e-4, basis_size=basis_size)
    values, vectors = leading(matrix, 3)
    assert pairs.converged.all()
    np.testing.assert_allclose(pairs.eigenvalues.numpy(), values, atol=1e-3)
    assert largest_angle(vectors[:hidden], pairs.eigenvectors.numpy()) < 0.05


def test_the_smallest_basis_still_searches_far_enough():
    """With k + 4 vectors for the search, the missing eigenvalue shows only after restarts."""
    spectrum = np.concatenate([[1.02], np.linspace(-1, 1, 399)[::-1]])
    spectrum[1] = 1.015
    matrix = hidden_from_the_start(spectrum, 1)
    pairs = solve(DenseOperator(matrix), 1, basis_size=6, tolerance=1e-6)
    assert pairs.converged.all()
    assert pairs.eigenvalues[0].item() == pytest.approx(1.02, abs=1e-6)


@pytest.mark.parametrize("max_products", range(7, 120, 8))
def test_too_few_products_are_reported(max_products):
    operator = DenseOperator(MATRIX)
    pairs = solve(operator, 3, max_products=max_products, basis_size=20)
    assert operator.products == pairs.products <= max_products
    if pairs.converged.any():
        np.testing.assert_allclose(pairs.eigenvalues[pairs.converged].numpy(), [5, 4, 3], atol=1e-8)
    else:
        assert max_products < 90


def test_a_budget_may_end_during_the_search():
    """A random direction is no residual, even if it is small compared with λ1."""
    matrix = with_spectrum(1e6 * SPECTRUM)
    needed = solve(DenseOperator(matrix), 3, tolerance=1e-3).products
    for max_products in range(needed - 8, needed):
        pairs = solve(DenseOperator(matrix), 3, tolerance=1e-3, max_products=max_products)
        assert not pairs.converged.any()
        assert pairs.products <= max_products


class ChangingLate(DenseOperator):
    """Another matrix after a number of products."""

    unchanged = 10**9

    def __matmul__(self, vector: torch.Tensor) -> torch.Tensor:
        product = super().__matmul__(vector)
        return product if self.products <= self.unchanged else product + 0.1 * vector.roll(1)


def test_residuals_are_recomputed_with_fresh_products():
    needed = solve(ChangingLate(MATRIX), 3).products
    changing = ChangingLate(MATRIX)
    changing.unchanged = needed - 3
    pairs = solve(changing, 3, max_products=needed)
    assert (pairs.residuals > 1e-3).all()
    assert not pairs.converged.any()


@pytest.mark.parametrize(
    ("matrix", "options"),
    [
        (MATRIX, {"tolerance": 1e-3}),
        (
            with_spectrum(-np.concatenate([[1.0, 50, 90], np.linspace(100, 200, SIZE - 3)])),
            {"tolerance": 1e-2, "max_products": 60},
        ),
    ],
    ids=["positive", "negative"],
)
def test_residuals_are_the_true_ones_relative_to_the_leading_eigenvalue(matrix, options):
    pairs = solve(DenseOperator(matrix), 3, **options)
    values, vectors = pairs.eigenvalues.numpy(), pairs.eigenvectors.numpy()
    residuals = np.linalg.norm(vectors @ matrix - values[:, None] * vectors, axis=1)
    np.testing.assert_allclose(pairs.residuals.numpy(), residuals / abs(values[0]), rtol=1e-6, atol=1e-13)


@pytest.mark.parametrize("basis_size", [12, 60])
def test_residuals_that_the_search_left_too_large_are_improved(monkeypatch, basis_size):
    monkeypatch.setattr(lanczos, "ESTIMATE_MARGIN", 20)
    pairs = solve(DenseOperator(MATRIX), 3, tolerance=1e-6, max_products=400, basis_size=basis_size)
    assert pairs.converged.all()
    assert pairs.products < 200


def test_a_tolerance_below_rounding_ends_unconverged():
    pairs = solve(DenseOperator(MATRIX, torch.float32), 3, tolerance=1e-9, max_products=300)
    assert not pairs.converged.all()
    assert pairs.products <= 300
    assert pairs.residuals.max() < 1e-5


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    "solver",
    [partial(leading_eigenpairs, count=3), spectral_density, partial(trace, products=4), partial(trace, products=5)],
    ids=["leading", "density", "trace", "exact trace"],
)
def test_products_that_are_not_finite_are_an_error(solver, bad):
    matrix = np.eye(5)
    matrix[3, 3] = bad
    with pytest.raises(FloatingPointError, match=r"^a product with the operator is not finite$"):
        solver(DenseOperator(matrix), generator=seeded())

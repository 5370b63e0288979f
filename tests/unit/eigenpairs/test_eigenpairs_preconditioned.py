"""Eigenpairs of the preconditioned Hessian, against the dense matrix in float64."""

import numpy as np
import pytest
import torch
from eigenpairs_helpers import (
    CPU,
    MODEL,
    SETTINGS,
    STEPS,
    DenseOperator,
    DenseStack,
    columns_of,
    dense_at,
    largest_angle,
    leading,
    matrix_of,
    seeded,
    with_spectrum,
)

from eigendrift.eigenpairs.decompose import decompose
from eigendrift.eigenpairs.lanczos import leading_eigenpairs
from eigendrift.eigenpairs.landscape import Landscape
from eigendrift.eigenpairs.preconditioned import PreconditionedOperator, PreconditionedStack

# Powers of ten, as Adam's diagonal has them.
SPREAD = (-4.0, 0.0)


def diagonals(size: int, count: int = 4) -> np.ndarray:
    return 10 ** np.random.default_rng(5).uniform(*SPREAD, (count, size))


def preconditioned(matrix: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    return matrix / np.sqrt(np.outer(diagonal, diagonal))


def test_the_operator_is_the_scaled_matrix():
    matrix = with_spectrum(np.linspace(-1, 3, 12))
    scale = torch.from_numpy(diagonals(12, 1)[0] ** -0.5)
    operator = PreconditionedOperator(DenseOperator(matrix), scale)
    expected = preconditioned(matrix, diagonals(12, 1)[0])
    np.testing.assert_allclose(matrix_of(operator), expected, rtol=1e-12)
    rows = torch.eye(12, dtype=torch.float64)[:5]
    np.testing.assert_allclose(operator @ rows, expected[:5], rtol=1e-12)
    stack = PreconditionedStack(DenseStack([matrix, 2 * matrix]), torch.stack([scale, scale]))
    np.testing.assert_allclose(matrix_of(stack[1]), 2 * expected, rtol=1e-12)
    np.testing.assert_allclose(stack.products(rows[:2], [1, 0]), [2 * expected[0], expected[1]], rtol=1e-12)
    assert len(stack) == 2


def test_a_diagonal_of_another_size_is_refused():
    matrix = np.eye(4)
    with pytest.raises(ValueError, match=r"has shape \(3,\), expected \(4,\)"):
        PreconditionedOperator(DenseOperator(matrix), torch.ones(3))
    with pytest.raises(ValueError, match=r"expected \(2, 4\)"):
        PreconditionedStack(DenseStack([matrix, matrix]), torch.ones(1, 4))


def test_a_network_has_the_pairs_of_the_dense_matrix(network, dense):
    diagonal = diagonals(len(dense), 1)[0]
    expected = preconditioned(dense, diagonal)
    values, vectors = leading(expected, 3)
    operator = PreconditionedOperator(DenseOperator(dense), torch.from_numpy(diagonal**-0.5))
    start = seeded()
    pairs = leading_eigenpairs(operator, 3, generator=start, tolerance=1e-8)
    assert pairs.converged.all()
    np.testing.assert_allclose(pairs.eigenvalues, values, rtol=1e-10)
    assert largest_angle(pairs.eigenvectors.numpy(), vectors) < 1e-5


@pytest.mark.parametrize("together", [1, 3])
def test_along_a_run_in_float32_they_are_those_of_the_dense_matrix(samples, weights, progress, together):
    settings = SETTINGS | {"chunk_size": 100}
    landscape = Landscape(samples, MODEL, settings, CPU, together)
    diagonal = diagonals(landscape.size)
    result = decompose(landscape, weights, STEPS, progress(str(together)), 0, "test", lambda index: diagonal[index])
    columns = columns_of(result)
    for index in (0, 1, 3):
        matrix = dense_at(landscape, weights[index], samples.train_images, samples.train_labels)
        values, vectors = leading(preconditioned(matrix, diagonal[index]), 3)
        np.testing.assert_allclose(columns["eigenvalue"][index], values, rtol=1e-4)
        assert largest_angle(columns["eigenvector"][index].astype(float), vectors) < 5e-3
        assert columns["converged"][index].all()
    assert np.isnan(columns["eigenvalue"][2]).all()


def test_a_diagonal_that_overflows_is_nan_and_not_converged(landscape, weights):
    record = landscape.eigenpairs_at(weights[0], seeded(), np.full(landscape.size, 1e-90))
    assert np.isnan(record["eigenvalue"]).all()
    assert not record["converged"].any()

"""Stochastic Lanczos quadrature against closed forms, dense eigenvalues and the properties of Gauss rules."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from eigenpairs_helpers import DenseOperator, DiagonalOperator, seeded, with_spectrum
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import trapezoid
from scipy.stats import norm, wasserstein_distance
from torch.nn.functional import cross_entropy

from eigendrift.eigenpairs.density import SpectralDensity, spectral_density
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.eigenpairs.symmetric import PRODUCTS_TO_CHECK, SymmetricOperator


class Recorder:
    """An operator that keeps the vectors of its products after the check."""

    def __init__(self, operator: SymmetricOperator) -> None:
        self.operator = operator
        self.size, self.device, self.dtype = operator.size, operator.device, operator.dtype
        self.vectors: list[np.ndarray] = []
        self.products = 0

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        self.products += 1
        if self.products > PRODUCTS_TO_CHECK:
            self.vectors.append(vectors.double().numpy().copy())
        return self.operator @ vectors


def estimate(operator: SymmetricOperator, seed: int = 0, **options: Any) -> SpectralDensity:
    return spectral_density(operator, generator=seeded(seed), **options)


def measure(matrix: np.ndarray, probe: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, and the weight of each for a unit vector."""
    values, vectors = np.linalg.eigh(matrix)
    return values, (probe @ vectors) ** 2


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
@pytest.mark.parametrize("size", [1, 7])
def test_multiples_of_the_identity(value, size):
    result = estimate(DenseOperator(value * np.eye(size)), probes=3, steps=5)
    absent = min(size, 5) - 1
    np.testing.assert_allclose(result.nodes[:, 0], value, rtol=1e-14)
    np.testing.assert_allclose(result.weights[:, 0], 1, rtol=1e-14)
    assert np.isnan(result.nodes[:, 1:]).all()
    assert (result.weights[:, 1:] == 0).all()
    assert result.nodes.shape == result.weights.shape == (3, 1 + absent)
    assert result.products == 3 + PRODUCTS_TO_CHECK
    grid = np.linspace(-5, 5, 11).reshape(1, 11)
    np.testing.assert_allclose(result.density(grid, 0.7), norm.pdf(grid, value, 0.7), rtol=1e-12)


@pytest.mark.parametrize("steps", [20, 21, 1000])
def test_a_diagonal_is_exact_with_any_signs(steps):
    diagonal = np.random.default_rng(0).normal(size=20)
    result = estimate(DenseOperator(np.diag(diagonal)), probes=4, steps=steps)
    np.testing.assert_allclose(result.nodes, np.tile(np.sort(diagonal), (4, 1)), atol=1e-13)
    np.testing.assert_allclose(result.weights, 1 / 20, atol=1e-11)
    assert result.products == 80 + PRODUCTS_TO_CHECK
    grid = np.linspace(-4, 4, 201)
    expected = norm.pdf(grid[:, None], diagonal, 0.1).mean(1)
    np.testing.assert_allclose(result.density(grid, 0.1), expected, atol=1e-10)


def test_a_million_parameters_in_float32():
    diagonal = torch.linspace(-1, 2, 10**6)
    diagonal[:10] = 10
    result = estimate(DiagonalOperator(diagonal.numpy(), torch.float32), probes=1, steps=3)
    for power in range(6):
        moment = (result.weights * result.nodes**power).sum()
        np.testing.assert_allclose(moment, (diagonal.double() ** power).mean(), rtol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_an_exhausted_space_ends_a_probe(dtype, tolerance):
    matrix = with_spectrum(np.array([3.0, 2.0, 1.0] * 20))
    recorder = Recorder(DenseOperator(matrix, dtype))
    result = estimate(recorder, probes=2, steps=30)
    np.testing.assert_allclose(result.nodes[:, :3], [[1, 2, 3]] * 2, atol=tolerance)
    assert np.isnan(result.nodes[:, 3:]).all()
    assert (result.weights[:, 3:] == 0).all()
    assert result.products == recorder.products == 6 + PRODUCTS_TO_CHECK
    for probe, found in zip(recorder.vectors[::3], result.weights, strict=True):
        _, weights = measure(matrix, probe)
        np.testing.assert_allclose(found[:3], weights.reshape(3, 20).sum(1), atol=tolerance)


SPECTRA = {
    "even": np.linspace(-1, 1, 60),
    "bulk and outliers": np.concatenate([[90, 70, 50, 30], np.random.default_rng(1).normal(0, 0.2, 56)]),
    "geometric": np.geomspace(1e-9, 1, 60),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_all_steps_restore_the_measure(name):
    """Without reorthogonalization, copies of outer eigenvalues would replace inner ones."""
    matrix = with_spectrum(SPECTRA[name])
    recorder = Recorder(DenseOperator(matrix))
    result = estimate(recorder, probes=1, steps=60)
    basis = np.array(recorder.vectors)
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-14)
    values, weights = measure(matrix, basis[0])
    scale = np.abs(values).max()
    assert wasserstein_distance(values, result.nodes[0], weights, result.weights[0]) < 1e-13 * scale
    np.testing.assert_allclose(result.nodes[0], values, atol=1e-13 * scale)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(data=st.data(), size=st.integers(1, 30), steps=st.integers(1, 12), seed=st.integers(0, 2**16))
def test_polynomials_are_integrated_exactly(data, size, steps, seed):
    # A grid of few values plants clusters, which exhaust the space early.
    levels = st.integers(-10, 10).map(lambda level: level / 10)
    matrix = with_spectrum(np.array(data.draw(st.lists(levels, min_size=size, max_size=size))), seed)
    recorder = Recorder(DenseOperator(matrix))
    result = estimate(recorder, seed, probes=1, steps=steps)
    present = ~np.isnan(result.nodes[0])
    nodes, weights = result.nodes[0, present], result.weights[0, present]
    assert (result.weights[0, ~present] == 0).all()
    assert (np.diff(nodes) >= 0).all()
    images = [probe := recorder.vectors[0]]
    for _ in range(2 * steps - 1):
        images.append(matrix @ images[-1])
    found = np.vander(nodes, 2 * steps, increasing=True).T @ weights
    np.testing.assert_allclose(found, np.array(images) @ probe, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_smoothed_density_of_a_network_for_its_probe(network, dense, dtype, tolerance):
    model, inputs, targets = network
    operator = hessian_operator(deepcopy(model).to(dtype), cross_entropy, inputs.to(dtype), targets, chunk_size=70)
    recorder = Recorder(operator)
    result = estimate(recorder, probes=1, steps=60)
    values, weights = measure(dense, recorder.vectors[0])
    width = 0.02 * np.ptp(values)
    grid = np.linspace(values[0] - 6 * width, values[-1] + 6 * width, 400)
    smoothed = result.density(grid, width)
    expected = norm.pdf(grid[:, None], values, width) @ weights
    assert trapezoid(np.abs(smoothed - expected), grid) < tolerance
    np.testing.assert_allclose(trapezoid(smoothed, grid), 1, atol=1e-8)
    np.testing.assert_allclose(result.nodes[0, -3:], values[-3:], atol=tolerance)


def test_the_mean_over_probes_has_the_variance_of_random_signs(network, dense):
    """Var qᵀ f(H) q = 2 (‖f(H)‖² − Σ_j f(H)_jj²) / N², for f a Gaussian at each point of the grid."""
    probes, steps, size = 20, 40, len(dense)
    result = estimate(hessian_operator(network[0], cross_entropy, *network[1:]), probes=probes, steps=steps)
    assert result.products == probes * steps + PRODUCTS_TO_CHECK
    values, vectors = np.linalg.eigh(dense)
    width = 0.02 * np.ptp(values)
    grid = np.linspace(values[0] - width, values[-1] + width, 60)
    bumps = norm.pdf(grid[:, None], values, width)
    diagonals = bumps @ (vectors**2).T
    variance = 2 * ((bumps**2).sum(1) - (diagonals**2).sum(1)) / size**2 / probes
    deviations = (result.density(grid, width) - bumps.mean(1)) / np.sqrt(variance)
    # Neighbouring points are correlated, so that 60 points count as about 15 independent ones.
    assert np.abs(deviations).max() < 4
    assert 0.5 < np.sqrt((deviations**2).mean()) < 1.5


def test_one_vector_at_a_time_from_signs_that_differ():
    recorder = Recorder(DenseOperator(with_spectrum(np.linspace(-1, 1, 50))))
    first = estimate(recorder, seed=1, probes=3, steps=5)
    assert {vectors.shape for vectors in recorder.vectors} == {(50,)}
    starts = np.array(recorder.vectors[::5])
    np.testing.assert_allclose(np.abs(starts), 1 / np.sqrt(50), rtol=1e-14)
    assert np.abs(starts @ starts.T - np.eye(3)).max() < 0.6
    again = estimate(recorder.operator, seed=1, probes=3, steps=5)
    np.testing.assert_array_equal(again.nodes, first.nodes)
    assert (estimate(recorder.operator, seed=2, probes=3, steps=5).nodes != first.nodes).all()


def test_density_is_the_mean_over_probes():
    nodes = np.array([[0.0, 1.0, 2.0], [5.0, np.nan, np.nan]])
    weights = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    found = SpectralDensity(nodes, weights, products=4).density(np.array([[0.3], [4.0]]), 0.5)
    expected = [
        [(0.5 * norm.pdf(x, 0, 0.5) + 0.25 * norm.pdf(x, [1, 2], 0.5).sum() + norm.pdf(x, 5, 0.5)) / 2]
        for x in (0.3, 4.0)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    assert found.dtype == np.float64


@pytest.mark.parametrize("name", ["probes", "steps"])
def test_invalid_arguments_are_refused(name):
    with pytest.raises(ValueError, match=f"^{name} is 0, expected at least 1$"):
        estimate(DenseOperator(np.eye(3)), **{name: 0})


@pytest.mark.parametrize("width", [0.0, -1.0, np.inf, np.nan])
def test_an_invalid_width_is_refused(width):
    result = estimate(DenseOperator(np.eye(3)))
    with pytest.raises(ValueError, match=f"^width is {width}, expected a positive number$"):
        result.density(np.zeros(1), width)

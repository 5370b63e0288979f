"""The Lanczos solver against dense eigensolvers: spectra of all kinds, all ends, and refused arguments."""

from typing import Any

import numpy as np
import pytest
import torch
from eigenpairs_helpers import DenseOperator, largest_angle, leading, seeded, with_spectrum
from hypothesis import given, settings
from hypothesis import strategies as st

from eigendrift.eigenpairs.density import spectral_density
from eigendrift.eigenpairs.lanczos import Eigenpairs, End, leading_eigenpairs
from eigendrift.eigenpairs.perceptron import PerceptronHessian
from eigendrift.eigenpairs.symmetric import SymmetricOperator
from eigendrift.eigenpairs.trace import trace

TOLERANCE = 1e-9
ENDS: tuple[End, ...] = ("largest", "smallest", "largest_magnitude")
SCORES = {"largest": lambda v: v, "smallest": lambda v: -v, "largest_magnitude": np.abs}


def solve(operator: SymmetricOperator, count: int, seed: int = 0, **options: Any) -> Eigenpairs:
    options = {"tolerance": TOLERANCE, "max_products": 2000, "basis_size": 60} | options
    return leading_eigenpairs(operator, count, generator=seeded(seed), **options)


def check(matrix: np.ndarray, pairs: Eigenpairs, tolerance: float = TOLERANCE, end: End = "largest") -> None:
    """Compare values, residuals and spans with a dense solver; spans as far as the gap determines them."""
    score = SCORES[end]
    values, columns = np.linalg.eigh(matrix)
    order = np.argsort(-score(values), kind="stable")
    values, expected = values[order], columns.T[order]
    count, size = len(pairs.eigenvalues), len(matrix)
    scale = np.abs(values).max() if end == "smallest" else abs(values[0])
    found, vectors = pairs.eigenvalues.numpy(), pairs.eigenvectors.double().numpy()
    assert pairs.converged.all()
    np.testing.assert_allclose(score(found), score(values[:count]), rtol=0, atol=2 * tolerance * scale)
    orthogonal = 4 * np.finfo(np.float32).eps if pairs.eigenvectors.dtype == torch.float32 else 1e-12
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(count), atol=orthogonal)
    residuals = np.linalg.norm(vectors @ matrix - found[:, None] * vectors, axis=1)
    assert (residuals <= 2 * tolerance * scale).all()
    assert (np.diff(score(found)) <= 0).all()
    if count < size:
        gap = max(score(values)[count - 1] - score(values)[count], 1e-300)
        bound = 2 * np.sqrt(count) * tolerance * scale / gap
        assert bound > 1 or largest_angle(vectors, expected[:count]) < bound + 1e-12
        assert score(np.array(pairs.next_eigenvalue)) <= score(values[count]) + tolerance * scale
    else:
        assert np.isnan(pairs.next_eigenvalue)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), end=st.sampled_from(ENDS), size=st.integers(1, 40), seed=st.integers(0, 2**16))
def test_random_spectra(data, end, size, seed):
    count = data.draw(st.integers(1, size))
    # A grid of few values plants clusters. λ1 is not zero, because residuals are relative to it.
    levels = st.integers(-20, 20).map(lambda level: level / 10 - 0.05)
    matrix = with_spectrum(np.array(data.draw(st.lists(levels, min_size=size, max_size=size))), seed)
    capacity = data.draw(st.integers(2 * count + 4, 2 * count + 12))
    check(matrix, solve(DenseOperator(matrix), count, seed, basis_size=capacity, end=end), end=end)


def test_one_parameter():
    operator = DenseOperator(np.array([[-3.0]]))
    pairs = solve(operator, 1)
    assert pairs.eigenvalues.tolist() == [-3.0]
    assert pairs.converged.all()
    assert pairs.gaps.tolist() == [np.inf]
    random = seeded()
    assert trace(operator, generator=random).estimate == -3
    assert spectral_density(operator, generator=random).nodes[:, 0].tolist() == [-3] * 10


SPECTRA = {
    "negative": -np.linspace(0.5, 3, 80),
    "dominated by negative": np.concatenate([[1, 0.9, 0.8], -np.linspace(0.1, 50, 77)]),
    "rank 3": np.concatenate([[3, 2, -4], np.zeros(77)]),
    "rank 6": np.concatenate([[3, 2.5, 2, 1.5, 1, 0.5], np.zeros(74)]),
    "negative of low rank": np.concatenate([np.full(78, -1.0), [-5, -6]]),
    "identity": np.ones(80),
    "bulk and outliers": np.concatenate([[9, 7, 5, 3], np.random.default_rng(1).normal(0, 0.2, 76)]),
    "twins on top": np.concatenate([[2, 2], np.linspace(-1, 1, 78)]),
    "five on top": np.concatenate([np.full(5, 2.0), np.linspace(-1, 1, 75)]),
    "five below a leader": np.concatenate([[3], np.full(5, 2.0), np.linspace(-1, 1, 74)]),
    "near twins": np.concatenate([[2, 2 - 1e-6], np.linspace(-1, 1, 78)]),
    "five near": np.concatenate([2 - 1e-6 * np.arange(5), np.linspace(-1, 1, 75)]),
}


@pytest.mark.parametrize("count", [1, 3, 6])
@pytest.mark.parametrize("name", SPECTRA)
def test_spectra_of_all_kinds(name, count):
    matrix = with_spectrum(SPECTRA[name])
    check(matrix, solve(DenseOperator(matrix), count))


@pytest.mark.parametrize(("name", "size"), [("twins on top", 2), ("five on top", 5), ("five near", 5)])
def test_clusters_are_found_in_full(name, size):
    matrix = with_spectrum(SPECTRA[name])
    for basis_size in (2 * size + 4, 60):
        pairs = solve(DenseOperator(matrix), size, basis_size=basis_size)
        _, expected = leading(matrix, size)
        assert largest_angle(pairs.eigenvectors.numpy(), expected) < 1e-7


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_smallest_possible_budget(count):
    operator = DenseOperator(with_spectrum(np.linspace(-1, 1, 30)))
    pairs = solve(operator, count, max_products=2 * count + 1)
    assert pairs.products == operator.products <= 2 * count + 1
    assert not pairs.converged.any()
    assert np.isnan(pairs.next_eigenvalue)


def test_zero_operator():
    pairs = solve(DenseOperator(np.zeros((20, 20))), 3)
    assert pairs.converged.all()
    for array in (pairs.eigenvalues, pairs.residuals, pairs.gaps):
        assert array.tolist() == [0.0] * 3
    vectors = pairs.eigenvectors.numpy()
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(3), atol=1e-13)


def test_float32_meets_a_tolerance_above_rounding():
    spectrum = SPECTRA["bulk and outliers"]
    matrix = with_spectrum(spectrum)
    pairs = solve(DenseOperator(matrix, torch.float32), 4, tolerance=1e-5)
    assert pairs.eigenvectors.dtype == torch.float32
    assert pairs.eigenvalues.dtype == pairs.residuals.dtype == pairs.gaps.dtype == torch.float64
    check(matrix, pairs, 1e-5)


def test_gaps_are_distances_to_the_nearest_eigenvalue_returned_or_next():
    spectrum = np.concatenate([[4, 3.5, 2, 1.9], np.linspace(-1, 1, 40)])
    pairs = solve(DenseOperator(with_spectrum(spectrum)), 3)
    np.testing.assert_allclose(pairs.gaps.numpy(), np.array([0.5, 0.5, 0.1]) / 4, atol=1e-6)
    assert pairs.next_eigenvalue == pytest.approx(1.9, abs=1e-3)
    whole = solve(DenseOperator(np.diag([4.0, 3.0, 1.0])), 3)
    np.testing.assert_allclose(whole.gaps.numpy(), [0.25, 0.25, 0.5], atol=1e-12)


def test_same_seed_same_bits():
    matrix = with_spectrum(SPECTRA["bulk and outliers"])
    one, again, other = (solve(DenseOperator(matrix), 3, seed) for seed in (7, 7, 8))
    assert torch.equal(one.eigenvectors, again.eigenvectors)
    assert torch.equal(one.eigenvalues, again.eigenvalues)
    assert not torch.equal(one.eigenvectors, other.eigenvectors)


@pytest.mark.parametrize(
    ("count", "options", "words"),
    [
        (0, {}, "count is 0, expected 1 to 30"),
        (31, {}, "count is 31, expected 1 to 30"),
        (3, {"basis_size": 9}, "basis_size is 9, expected at least 10"),
        (3, {"max_products": 6}, "max_products is 6, expected at least .* = 7"),
        (3, {"tolerance": 0.0}, "tolerance is 0.0, expected a number between 0 and 1"),
        (3, {"tolerance": float("nan")}, "tolerance is nan, expected a number between 0 and 1"),
        (3, {"tolerance": float("inf")}, "tolerance is inf, expected a number between 0 and 1"),
        (3, {"tolerance": None}, "tolerance is None, expected a number between 0 and 1"),
        ("3", {}, "count is '3', expected a whole number"),
        (2.5, {}, "count is 2.5, expected a whole number"),
        (3, {"max_products": 50.0}, "max_products is 50.0, expected a whole number"),
        (3, {"basis_size": 20.0}, "basis_size is 20.0, expected a whole number"),
        (1, {"end": "middle"}, "end is 'middle', expected one of largest, smallest, largest_magnitude"),
    ],
)
def test_wrong_arguments_are_refused(count, options, words):
    with pytest.raises(ValueError, match=words):
        solve(DenseOperator(np.eye(30)), count, **options)


SPECTRA_WITH_TWO_ENDS = {
    "both signs": np.concatenate([[5, 4, 3], np.linspace(-1, 1, 75), [-4.5, -3.5]]),
    "negative": -np.linspace(0.5, 3, 80),
    "rank 6": np.concatenate([[3, 2.5, 2, 1.5, 1, 0.5], np.zeros(74)]),
    "twins at both ends": np.concatenate([[2, 2], np.linspace(-1, 1, 76), [-2, -2]]),
    "five at the bottom": np.concatenate([np.linspace(-1, 1, 75), np.full(5, -1.5)]),
    "opposite pairs": np.concatenate([[3, 2], np.linspace(-1, 1, 76), [-3, -2]]),
}


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("end", ENDS[1:])
@pytest.mark.parametrize("name", SPECTRA_WITH_TWO_ENDS)
def test_ends_of_spectra(name, end, count):
    matrix = with_spectrum(SPECTRA_WITH_TWO_ENDS[name])
    check(matrix, solve(DenseOperator(matrix), count, end=end), end=end)


@pytest.mark.parametrize("count", [2, 4])
def test_the_smallest_are_the_largest_of_the_negative(count):
    matrix = with_spectrum(SPECTRA_WITH_TWO_ENDS["both signs"])
    down, up = solve(DenseOperator(matrix), count, end="smallest"), solve(DenseOperator(-matrix), count)
    np.testing.assert_allclose(down.eigenvalues, -up.eigenvalues, atol=1e-12)
    assert down.next_eigenvalue == pytest.approx(-up.next_eigenvalue, abs=1e-9)
    assert down.scale == pytest.approx(5)


@pytest.mark.parametrize(("count", "basis_size"), [(50, 104), (50, None), (120, 300)])
def test_many_pairs(count, basis_size):
    spectrum = np.concatenate([np.geomspace(30, 0.5, 130), np.random.default_rng(0).normal(0, 0.05, 270)])
    spectrum[20:25] = spectrum[20]
    matrix = with_spectrum(spectrum)
    check(matrix, solve(DenseOperator(matrix), count, basis_size=basis_size, max_products=3000))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("zeros", [1, 3, 70])
@pytest.mark.parametrize("count", [1, 3])
def test_zero_on_top_of_a_negative_spectrum(count, zeros, dtype):
    """If λ1 is zero, residuals are relative to the other end of the spectrum."""
    spectrum = np.concatenate([np.zeros(zeros), -np.linspace(1, 4, 80 - zeros)])
    operator = DenseOperator(with_spectrum(spectrum), dtype)
    pairs = leading_eigenpairs(operator, count, generator=seeded())
    assert pairs.converged.all()
    assert pairs.products < 200
    assert pairs.scale == pytest.approx(4, rel=0.05)
    np.testing.assert_allclose(pairs.eigenvalues, spectrum[:count], rtol=0, atol=1e-3)


def test_a_small_leading_eigenvalue_is_not_zero():
    spectrum = np.concatenate([[1e-3], -np.linspace(1, 4, 79)])
    pairs = leading_eigenpairs(DenseOperator(with_spectrum(spectrum), torch.float32), 1, generator=seeded())
    assert pairs.scale == pytest.approx(1e-3, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_magnitudes_are_searched_at_both_ends(seed):
    """The positive end is soon resolved; the hidden eigenvalue is at the other end, next to the bulk."""
    start = torch.randn(200, dtype=torch.float64, generator=seeded(seed)).numpy()
    frame = np.random.default_rng(1).normal(size=(200, 200))
    frame[:, 0] -= start * (start @ frame[:, 0]) / (start @ start)
    basis, _ = np.linalg.qr(frame)
    matrix = (basis * np.concatenate([[-1.1], np.linspace(-1, 0.1, 199)])) @ basis.T
    operator = DenseOperator((matrix + matrix.T) / 2)
    pairs = solve(operator, 1, seed, tolerance=1e-4, end="largest_magnitude")
    assert pairs.eigenvalues[0].item() == pytest.approx(-1.1, abs=1e-3)


class CountingOperator(PerceptronHessian):
    """Counts its products, for comparison with the solver's own count."""

    products = 0

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        self.products += vectors.numel() // self.size
        return super().__matmul__(vectors)


@pytest.mark.parametrize(
    ("dtype", "tolerance", "value_error", "angle"),
    [(torch.float64, 1e-7, 1e-6, 1e-4), (torch.float32, 1e-5, 1e-5, 1e-3)],
)
@pytest.mark.parametrize(("basis_size", "chunk_size"), [(14, None), (80, 70)])
def test_leading_eigenpairs_of_a_network(network, dense, dtype, tolerance, value_error, angle, basis_size, chunk_size):
    model, inputs, targets = network
    operator = CountingOperator(model.to(dtype), inputs.to(dtype), targets, chunk_size)
    pairs = leading_eigenpairs(operator, 5, generator=seeded(), tolerance=tolerance, basis_size=basis_size)
    values, vectors = leading(dense, 6)
    assert pairs.converged.all()
    assert pairs.products == operator.products
    np.testing.assert_allclose(pairs.eigenvalues, values[:5], rtol=0, atol=value_error * values[0])
    found = pairs.eigenvectors.double().numpy()
    for rank in range(1, 6):
        if values[rank - 1] - values[rank] > 0.02 * values[0]:
            assert largest_angle(found[:rank], vectors[:rank]) < angle
    gaps = np.abs(np.diff(values)) / values[0]
    expected = np.minimum(gaps, np.concatenate([[np.inf], gaps[:-1]]))
    np.testing.assert_allclose(pairs.gaps, expected, atol=1e-2)

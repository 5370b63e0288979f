"""The other ends of the spectrum against dense eigensolvers, and many pairs at once."""

import numpy as np
import pytest
import torch
from eigenpairs_helpers import DenseOperator, largest_angle, with_spectrum
from hypothesis import given, settings
from hypothesis import strategies as st

from eigendrift.eigenpairs.lanczos import Eigenpairs, End, leading_eigenpairs

TOLERANCE = 1e-9
ENDS: tuple[End, ...] = ("largest", "smallest", "largest_magnitude")
SCORES = {"largest": lambda v: v, "smallest": lambda v: -v, "largest_magnitude": np.abs}


def solve(matrix: np.ndarray, count: int, end: End, seed: int = 0, **options: float) -> Eigenpairs:
    merged = {"tolerance": TOLERANCE, "max_products": 3000, "basis_size": 2 * count + 40} | options
    generator = torch.Generator().manual_seed(seed)
    return leading_eigenpairs(DenseOperator(matrix), count, generator=generator, end=end, **merged)


def check(matrix: np.ndarray, pairs: Eigenpairs, end: End) -> None:
    values, columns = np.linalg.eigh(matrix)
    order = np.argsort(-SCORES[end](values), kind="stable")
    values, rows = values[order], columns.T[order]
    count, scale = len(pairs.eigenvalues), np.abs(values).max()
    found, vectors = pairs.eigenvalues.numpy(), pairs.eigenvectors.numpy()
    assert pairs.converged.all()
    scores = SCORES[end]
    np.testing.assert_allclose(scores(found), scores(values[:count]), rtol=0, atol=2 * TOLERANCE * scale)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(count), atol=1e-12)
    residuals = np.linalg.norm(vectors @ matrix - found[:, None] * vectors, axis=1)
    np.testing.assert_allclose(
        pairs.residuals.numpy() * pairs.scale, residuals, rtol=1e-3, atol=1e-14 * scale
    )
    assert (np.diff(scores(found)) <= 0).all()
    if count < len(matrix):
        gap = scores(values)[count - 1] - scores(values)[count]
        if gap > 1e-3 * scale:
            assert largest_angle(vectors, rows[:count]) < 1e-4
        assert scores(np.array(pairs.next_eigenvalue)) <= scores(values[count]) + TOLERANCE * scale


SPECTRA = {
    "both signs": np.concatenate([[5, 4, 3], np.linspace(-1, 1, 75), [-4.5, -3.5]]),
    "negative": -np.linspace(0.5, 3, 80),
    "rank 6": np.concatenate([[3, 2.5, 2, 1.5, 1, 0.5], np.zeros(74)]),
    "twins at both ends": np.concatenate([[2, 2], np.linspace(-1, 1, 76), [-2, -2]]),
    "five at the bottom": np.concatenate([np.linspace(-1, 1, 75), np.full(5, -1.5)]),
    "opposite pairs": np.concatenate([[3, 2], np.linspace(-1, 1, 76), [-3, -2]]),
}


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("end", ENDS[1:])
@pytest.mark.parametrize("name", SPECTRA)
def test_ends_of_spectra(name: str, end: End, count: int) -> None:
    matrix = with_spectrum(SPECTRA[name])
    check(matrix, solve(matrix, count, end), end)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data(), end=st.sampled_from(ENDS), size=st.integers(1, 40), seed=st.integers(0, 2**16))
def test_ends_of_random_spectra(data: st.DataObject, end: End, size: int, seed: int) -> None:
    count = data.draw(st.integers(1, size))
    # Away from zero, because residuals are relative to the largest eigenvalue.
    levels = st.integers(-20, 20).map(lambda level: level / 10 - 0.05)
    spectrum = np.array(data.draw(st.lists(levels, min_size=size, max_size=size)))
    matrix = with_spectrum(spectrum, seed)
    check(matrix, solve(matrix, count, end, seed), end)


@pytest.mark.parametrize("count", [2, 4])
def test_the_smallest_are_the_largest_of_the_negative(count: int) -> None:
    matrix = with_spectrum(SPECTRA["both signs"])
    down, up = solve(matrix, count, "smallest"), solve(-matrix, count, "largest")
    np.testing.assert_allclose(down.eigenvalues, -up.eigenvalues, atol=1e-12)
    assert down.next_eigenvalue == pytest.approx(-up.next_eigenvalue, abs=1e-9)
    assert down.scale == pytest.approx(5)


@pytest.mark.parametrize(("count", "basis_size"), [(50, 104), (50, None), (120, 300)])
def test_many_pairs(count: int, basis_size: int | None) -> None:
    spectrum = np.concatenate([np.geomspace(30, 0.5, 130), np.random.default_rng(0).normal(0, 0.05, 270)])
    spectrum[20:25] = spectrum[20]
    matrix = with_spectrum(spectrum)
    check(matrix, solve(matrix, count, "largest", basis_size=basis_size), "largest")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("zeros", [1, 3, 70])
@pytest.mark.parametrize("count", [1, 3])
def test_zero_on_top_of_a_negative_spectrum(count: int, zeros: int, dtype: torch.dtype) -> None:
    """If λ1 is zero, residuals are relative to the other end of the spectrum."""
    spectrum = np.concatenate([np.zeros(zeros), -np.linspace(1, 4, 80 - zeros)])
    operator = DenseOperator(with_spectrum(spectrum), dtype)
    pairs = leading_eigenpairs(operator, count, generator=torch.Generator().manual_seed(0))
    assert pairs.converged.all()
    assert pairs.products < 200
    assert pairs.scale == pytest.approx(4, rel=0.05)
    np.testing.assert_allclose(pairs.eigenvalues, spectrum[:count], rtol=0, atol=1e-3)


def test_a_small_leading_eigenvalue_is_not_zero() -> None:
    spectrum = np.concatenate([[1e-3], -np.linspace(1, 4, 79)])
    pairs = leading_eigenpairs(
        DenseOperator(with_spectrum(spectrum), torch.float32), 1, generator=torch.Generator().manual_seed(0)
    )
    assert pairs.scale == pytest.approx(1e-3, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_magnitudes_are_searched_at_both_ends(seed: int) -> None:
    """The positive end is soon resolved; the hidden eigenvalue is at the other end, next to the bulk."""
    start = torch.randn(200, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).numpy()
    frame = np.random.default_rng(1).normal(size=(200, 200))
    frame[:, 0] -= start * (start @ frame[:, 0]) / (start @ start)
    basis, _ = np.linalg.qr(frame)
    matrix = (basis * np.concatenate([[-1.1], np.linspace(-1, 0.1, 199)])) @ basis.T
    pairs = solve((matrix + matrix.T) / 2, 1, "largest_magnitude", seed, tolerance=1e-4)
    assert pairs.eigenvalues[0].item() == pytest.approx(-1.1, abs=1e-3)


def test_an_unknown_end_is_refused() -> None:
    with pytest.raises(
        ValueError, match="end is 'middle', expected one of largest, smallest, largest_magnitude"
    ):
        solve(np.eye(4), 1, "middle")  # type: ignore[arg-type]

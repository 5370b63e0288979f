"""What the certificate requires: a symmetric, reproducible operator, digits, and orthonormal vectors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from eigenpairs_helpers import DenseOperator, DenseStack, DiagonalOperator, seeded, with_spectrum

from eigendrift.eigenpairs.batched import leading_eigenpairs_together
from eigendrift.eigenpairs.density import spectral_density
from eigendrift.eigenpairs.krylov import KrylovBasis
from eigendrift.eigenpairs.lanczos import MISS_PROBABILITY, leading_eigenpairs
from eigendrift.eigenpairs.trace import trace

SIZE = 200
SPECTRUM = np.concatenate([[5, 4, 3], np.linspace(-1, 1, SIZE - 3)])
MATRIX = with_spectrum(SPECTRUM)


class Changed(DenseOperator):
    """An operator with changed products."""

    def __init__(self, change: Callable[[torch.Tensor], torch.Tensor], dtype: torch.dtype = torch.float64) -> None:
        super().__init__(MATRIX, dtype)
        self.change = change

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        return self.change(super().__matmul__(vectors))


def together(operator: DenseOperator, **_: object) -> object:
    stack = DenseStack([MATRIX] * 3, operator.dtype)
    stack.operators[1] = operator
    return leading_eigenpairs_together(stack, 2, generators=[seeded() for _ in range(3)])


SOLVERS: dict[str, Callable[..., Any]] = {
    "leading": partial(leading_eigenpairs, count=2),
    "smallest": partial(leading_eigenpairs, count=2, end="smallest"),
    "together": together,
    "density": partial(spectral_density, probes=2, steps=10),
    "trace": partial(trace, products=12),
    "exact trace": partial(trace, products=SIZE),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("size", [3e-3, 10])
def test_operators_that_are_not_symmetric_are_refused(name, dtype, size):
    other = torch.tensor(np.random.default_rng(1).normal(size=(SIZE, SIZE)) / SIZE**0.5, dtype=dtype)
    operator = Changed(lambda image: image, dtype)
    operator.matrix = operator.matrix + size * (other - other.T)
    with pytest.raises(ValueError, match=r"the operator is not symmetric: .* differ by \S+, relative to"):
        SOLVERS[name](operator, generator=seeded())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("size", [0.02, 1])
def test_operators_that_change_are_refused(name, dtype, size):
    noise = seeded(7)
    operator = Changed(lambda image: image * (1 + size * torch.randn(image.shape, generator=noise, dtype=dtype)), dtype)
    with pytest.raises(ValueError, match=r"returns a different product each time .* model\.eval\(\)\), nondeterm"):
        SOLVERS[name](operator, generator=seeded())


@pytest.mark.parametrize("name", SOLVERS)
def test_reduced_precision_is_refused(name):
    operator = Changed(lambda image: image.bfloat16().float(), torch.float32)
    with pytest.raises(ValueError, match=r"not symmetric: .* reduced precision \(use float64 throughout\)"):
        SOLVERS[name](operator, generator=seeded())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(2))
def test_rounding_is_not_refused(dtype, seed):
    for spectrum in (SPECTRUM, np.geomspace(1e-8, 1, SIZE), np.r_[1e4, np.linspace(-1, 1, SIZE - 1)]):
        operator = DenseOperator(with_spectrum(spectrum, seed), dtype)
        assert leading_eigenpairs(operator, 2, generator=seeded(seed)).converged.all()


def test_a_small_asymmetry_shows_in_the_residuals():
    """Below the tolerance, it does no harm. Between the tolerance and √ε, pairs do not converge."""
    other = torch.tensor(np.random.default_rng(1).normal(size=(SIZE, SIZE)) / SIZE**0.5, dtype=torch.float64)
    operator = Changed(lambda image: image)
    operator.matrix = operator.matrix + 1e-9 * (other - other.T)
    assert leading_eigenpairs(operator, 2, generator=seeded()).converged.all()
    pairs = leading_eigenpairs(operator, 2, generator=seeded(), tolerance=1e-12, max_products=300)
    assert not pairs.converged.any()


SCALES = [2.0**-960, 2.0**-101, 2.0**101, 2.0**1000]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("end", ["largest", "smallest", "largest_magnitude"])
def test_results_scale_with_the_operator_to_the_bit(scale, end):
    options: dict[str, Any] = {"tolerance": 1e-9, "end": end}
    expected = leading_eigenpairs(DenseOperator(MATRIX), 3, generator=seeded(), **options)
    pairs = leading_eigenpairs(DenseOperator(MATRIX * scale), 3, generator=seeded(), **options)
    assert pairs.converged.all()
    for name in ("eigenvectors", "residuals", "gaps"):
        assert torch.equal(getattr(pairs, name), getattr(expected, name))
    assert torch.equal(pairs.eigenvalues, expected.eigenvalues * scale)
    assert pairs.scale == expected.scale * scale
    assert pairs.next_eigenvalue == expected.next_eigenvalue * scale


@pytest.mark.parametrize("scale", SCALES)
def test_trace_and_density_scale_with_the_operator(scale):
    one, other = (trace(DenseOperator(matrix), generator=seeded(), products=30) for matrix in (MATRIX, MATRIX * scale))
    np.testing.assert_allclose(other.estimate / scale, one.estimate, rtol=1e-12)
    np.testing.assert_allclose(other.standard_error / scale, one.standard_error, rtol=1e-12)
    narrow, wide = (
        spectral_density(DenseOperator(matrix), generator=seeded(), probes=2, steps=20)
        for matrix in (MATRIX, MATRIX * scale)
    )
    np.testing.assert_allclose(wide.nodes / scale, narrow.nodes, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(wide.weights, narrow.weights, rtol=1e-8, atol=1e-14)


def test_each_operator_of_a_stack_is_scaled_separately():
    stack = DenseStack([MATRIX, MATRIX * 2.0**-700, MATRIX * 2.0**900])
    outcomes = leading_eigenpairs_together(stack, 3, generators=[seeded() for _ in range(3)])
    for outcome, scale in zip(outcomes, (1, 2.0**-700, 2.0**900), strict=True):
        assert outcome.converged.all()
        np.testing.assert_allclose(outcome.eigenvalues / scale, SPECTRUM[:3], rtol=1e-6)


@pytest.mark.parametrize(("dtype", "scale"), [(torch.float32, 1e-39), (torch.float32, 1e-33), (torch.float64, 1e-300)])
@pytest.mark.parametrize("name", SOLVERS)
def test_operators_that_are_too_small_for_their_dtype_are_refused(name, dtype, scale):
    operator = DenseOperator(MATRIX * scale, dtype)
    words = f"too small for {dtype} to hold their digits; multiply the loss by a large number"
    words += ", or use float64" if dtype == torch.float32 else ""
    if name == "together":
        _, outcome, _ = SOLVERS[name](operator)
        assert isinstance(outcome, FloatingPointError)
        assert words in str(outcome)
        return
    with pytest.raises(FloatingPointError, match=words):
        SOLVERS[name](operator, generator=seeded())


@pytest.mark.parametrize("scale", [1e-25, 1e-10, 1e10, 1e25])
def test_scales_within_the_range_of_float32(scale):
    pairs = leading_eigenpairs(DenseOperator(MATRIX * scale, torch.float32), 3, generator=seeded())
    assert pairs.converged.all()
    np.testing.assert_allclose(pairs.eigenvalues / scale, SPECTRUM[:3], rtol=1e-4)


@pytest.mark.parametrize("kind", ["parallel", "longer"])
def test_vectors_that_are_not_orthonormal_are_not_certified(kind, monkeypatch):
    honest = KrylovBasis.combine

    def lose(basis: KrylovBasis, coefficients: torch.Tensor) -> torch.Tensor:
        vectors = honest(basis, coefficients)
        if len(vectors) == 2 and kind == "parallel":
            vectors[1] = vectors[0]
        return vectors

    matrix = with_spectrum(np.r_[5, 5, SPECTRUM[3:]])
    monkeypatch.setattr(KrylovBasis, "combine", lose)
    pairs = leading_eigenpairs(DenseOperator(matrix), 2, generator=seeded(), max_products=100)
    assert (pairs.residuals < 1e-4).all()
    assert pairs.converged.all() == (kind == "longer")


@pytest.mark.parametrize("max_products", [20, 60, 1000])
def test_an_eigenvalue_next_to_many_equal_ones_is_found_or_nothing_is_certified(max_products):
    """Half of the spectrum is 1, which the first product shows; 1.001 takes a hundred products."""
    operator = DiagonalOperator(np.concatenate([[1.001], np.ones(2500), np.linspace(-0.9, 0.9, 2499)]))
    for seed in range(20 if max_products == 60 else 4):
        pairs = leading_eigenpairs(operator, 1, generator=seeded(seed), max_products=max_products)
        is_right = abs(pairs.eigenvalues.item() - 1.001) < 1e-4
        assert is_right or not pairs.converged.any()
        assert pairs.converged.item() == (pairs.miss_probability <= MISS_PROBABILITY)
        assert is_right or max_products < 1000


def test_the_check_costs_one_product_more_than_the_iteration():
    operator = DenseOperator(MATRIX)
    pairs = leading_eigenpairs(operator, SIZE, generator=seeded(), basis_size=SIZE)
    assert pairs.products == operator.products == 2 * SIZE + 1


def test_the_callers_generator_draws_nothing_but_start_vectors():
    used, expected = seeded(), seeded()
    leading_eigenpairs(DenseOperator(MATRIX), SIZE, generator=used, basis_size=SIZE)
    torch.randn(SIZE, dtype=torch.float64, generator=expected)
    assert torch.equal(used.get_state(), expected.get_state())


def test_generators_of_other_devices_are_refused():
    class OfAnotherDevice(torch.Generator):
        device = torch.device("cuda")

    with pytest.raises(ValueError, match="generator is on cuda, expected one on the CPU"):
        leading_eigenpairs(DenseOperator(MATRIX), 1, generator=OfAnotherDevice())

"""How surely the solver knows that nothing is missing: the bound, and what it is worth in practice."""

import math

import numpy as np
import pytest
import torch
from eigenpairs_helpers import DenseOperator, with_spectrum
from torch.nn.functional import cross_entropy

from eigendrift.data.registry import load
from eigendrift.eigenpairs.completeness import chance_of_a_miss
from eigendrift.eigenpairs.lanczos import MISS_PROBABILITY, leading_eigenpairs
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.numerics import generator
from eigendrift.training.models import build_model

SIZE = 500
REST = np.linspace(-1, 1, SIZE - 1)


class DiagonalOperator(DenseOperator):
    """A spectrum: to random vectors, any operator that has it looks the same."""

    def __init__(self, spectrum: np.ndarray, dtype: torch.dtype = torch.float64) -> None:
        super().__init__(spectrum, dtype)

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        return vectors * self.matrix


def krylov_value(start: np.ndarray, spectrum: np.ndarray, steps: int) -> float:
    """The largest Ritz value after so many steps from a start vector."""
    powers = np.polynomial.chebyshev.chebvander(spectrum, steps - 1) * start[:, None]
    basis, _ = np.linalg.qr(powers)
    return float(np.linalg.eigvalsh(basis.T @ (spectrum[:, None] * basis))[-1])


@pytest.mark.parametrize("target", [1.05, 1.3])
def test_components_above_the_bound_show(target: float) -> None:
    """A component of 3/A along the missing eigenvector lifts the largest Ritz value above the rest."""
    spectrum = np.concatenate([[target], REST])
    random = np.random.default_rng(0)
    for steps in (6, 12, 18):
        chance = chance_of_a_miss(target, [1.0], -1.0, [steps], SIZE, float(np.linalg.norm(REST)))
        if chance > 0.5:
            continue
        # For small chances erf(1 / A√2) ≈ √(2/π) / A.
        component = 3 * chance * math.sqrt(math.pi / 2)
        start = np.concatenate([[component], random.normal(size=SIZE - 1)])
        assert krylov_value(start, spectrum, steps) > 1 + (target - 1) / 2


def test_more_steps_larger_gaps_and_fewer_parameters_leave_less_doubt() -> None:
    def chance(steps: int = 12, edge: float = 0.8, size: int = SIZE) -> float:
        return chance_of_a_miss(1.0, [edge], -0.2, [steps], size, 0.3 * math.sqrt(size))

    assert chance(steps=12) < chance(steps=8) < chance(steps=4) <= 1
    assert chance(edge=0.5) < chance(edge=0.8) < chance(edge=0.95)
    assert chance(size=SIZE) < chance(size=100 * SIZE)
    assert chance_of_a_miss(1.0, [1.0], -1, [50], SIZE, 1.0) == pytest.approx(1)
    assert chance_of_a_miss(1.0, [], -1, [50], SIZE, 1.0) == pytest.approx(1)


def test_restarts_multiply_polynomials_of_their_own_degrees() -> None:
    whole = chance_of_a_miss(1.1, [1.0], -1.0, [30], SIZE, 10.0)
    parts = chance_of_a_miss(1.1, [1.0], -1.0, [10, 10, 10], SIZE, 10.0)
    last = chance_of_a_miss(1.1, [1.0], -1.0, [10], SIZE, 10.0)
    assert whole < parts < last


def test_a_value_beside_the_target_costs_a_zero_not_the_search() -> None:
    alone = chance_of_a_miss(1.001, [1.0], -1.0, [25], SIZE, 10.0)
    known = chance_of_a_miss(1.001, [1.0, 0.5], -1.0, [25], SIZE, 10.0)
    assert alone > 0.3
    assert known < MISS_PROBABILITY


SPECTRA = {
    "geometric": np.geomspace(20, 0.5, 40),
    "twins at the end": np.concatenate([np.geomspace(20, 2, 13), [1, 1, 0.9, 0.85, 0.8, 0.75, 0.7]]),
    "twins across the end": np.concatenate([np.geomspace(20, 2, 14), [1, 1, 0.9, 0.85, 0.8, 0.75, 0.7]]),
    "five": np.concatenate([np.geomspace(20, 3, 10), np.full(5, 2.0), [1, 0.9, 0.8]]),
    "flat edge": np.concatenate([np.geomspace(20, 2, 10), np.linspace(1, 0.5, 60)]),
}


def spectrum_of(name: str) -> np.ndarray:
    random = np.random.default_rng(0)
    bulk = np.concatenate([np.abs(random.normal(0, 0.02, 200)), random.normal(0, 1e-3, 1800)])
    return np.sort(np.concatenate([SPECTRA[name], bulk]))[::-1].copy()


def misses(spectrum: np.ndarray, count: int, seeds: range, dtype: torch.dtype) -> int:
    operator = DiagonalOperator(spectrum, dtype)
    number = 0
    for seed in seeds:
        pairs = leading_eigenpairs(operator, count, generator=torch.Generator().manual_seed(seed))
        assert pairs.converged.all()
        number += bool((spectrum[:count] - pairs.eigenvalues.numpy() > 1.5e-4 * spectrum[0]).any())
    return number


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", SPECTRA)
def test_nothing_is_missing_from_spectra_built_to_provoke_it(name: str, dtype: torch.dtype) -> None:
    assert misses(spectrum_of(name), 15, range(40), dtype) == 0


def test_without_the_search_pairs_would_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eigendrift.eigenpairs.lanczos.MISS_PROBABILITY", 2.0)
    assert misses(spectrum_of("twins at the end"), 15, range(10), torch.float64) == 10


def test_the_evidence_is_told() -> None:
    spectrum = spectrum_of("geometric")
    pairs = leading_eigenpairs(DiagonalOperator(spectrum), 5, generator=torch.Generator().manual_seed(0))
    assert 0 < pairs.miss_probability <= MISS_PROBABILITY
    assert 0 < pairs.search_products < pairs.products - 5
    dense_edge = np.concatenate([[3, 2], np.linspace(1, -1, 1998)])
    crowded = leading_eigenpairs(DiagonalOperator(dense_edge), 3, generator=torch.Generator().manual_seed(0))
    assert MISS_PROBABILITY < crowded.miss_probability <= 1
    assert crowded.converged.all()
    short = leading_eigenpairs(
        DiagonalOperator(spectrum), 5, generator=torch.Generator().manual_seed(0), max_products=30
    )
    assert math.isnan(short.miss_probability)
    assert not short.converged.any()
    whole = leading_eigenpairs(
        DenseOperator(with_spectrum(np.arange(8.0) + 1)), 3, generator=torch.Generator().manual_seed(0)
    )
    assert whole.miss_probability == 0


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_nothing_is_missing_at_trained_checkpoints(optimizer: str) -> None:
    """A hundred checkpoints each, against dense eigenvalues in float64."""
    samples = load("digits")
    inputs, targets = (
        torch.from_numpy(samples.train_images[:300]),
        torch.from_numpy(samples.train_labels[:300]),
    )
    settings = {"hidden_widths": [10], "activation": "relu", "initialization": "glorot_uniform"}
    model = build_model(settings, (8, 8), 10, generator("completeness", optimizer))
    make = {"sgd": lambda p: torch.optim.SGD(p, 0.3), "adam": lambda p: torch.optim.Adam(p, 0.01)}[optimizer]
    stepper = make(model.parameters())
    for checkpoint in range(100):
        narrow = hessian_operator(model, cross_entropy, inputs, targets)
        pairs = leading_eigenpairs(narrow, 15, generator=generator("start", checkpoint))
        wide = hessian_operator(model.double(), cross_entropy, inputs.double(), targets)
        dense = wide @ torch.eye(wide.size, dtype=torch.float64)
        expected = torch.linalg.eigvalsh(dense).flip(0)[:15]
        assert pairs.converged.all(), checkpoint
        assert (expected - pairs.eigenvalues).abs().max() < 1.5e-4 * expected[0], checkpoint
        model.float()
        for _ in range(1 + checkpoint // 10):
            stepper.zero_grad()
            cross_entropy(model(inputs), targets).backward()
            stepper.step()

"""Completeness: the bound on the probability of a miss, and how well it holds in practice."""

import math
from collections.abc import Iterable

import numpy as np
import pytest
import torch
from eigenpairs_helpers import DenseOperator, DiagonalOperator, seeded, with_spectrum
from scipy.stats import binomtest
from torch.nn.functional import cross_entropy

from eigendrift.data.datasets import load
from eigendrift.eigenpairs.completeness import Search
from eigendrift.eigenpairs.krylov import KrylovBasis
from eigendrift.eigenpairs.lanczos import MISS_PROBABILITY, Lanczos, Steps, leading_eigenpairs
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.numerics import generator
from eigendrift.training.torch_networks import build_model

SIZE = 500
REST = np.linspace(-1, 1, SIZE - 1)


def search_in(spectrum: np.ndarray, start: np.ndarray, steps: int, targets: list[float]) -> Search:
    """Take Lanczos steps from a start vector, in a basis without other vectors."""
    basis = KrylovBasis(DiagonalOperator(spectrum), steps, torch.Generator())
    basis.steer(torch.from_numpy(start))
    search = Search(targets, basis.remainder, basis.size)
    for _ in range(steps):
        basis.expand()
        search.advance(basis.newest_image, basis.remainder, 0.0)
    return search


@pytest.mark.parametrize("restarts", [False, True])
def test_components_of_a_hidden_eigenvector_are_predicted(restarts):
    """The projected operator gives them for every basis vector, also after thick restarts."""
    spectrum = np.concatenate([REST, [1.05]])
    start = torch.from_numpy(np.random.default_rng(0).normal(size=SIZE))
    basis = KrylovBasis(DiagonalOperator(spectrum), 12, torch.Generator())
    basis.steer(start)
    search = Search([1.05], basis.remainder, basis.size)
    for _ in range(30 if restarts else 11):
        if basis.full:
            values, vectors = basis.ritz()
            basis.restart(values[-5:], vectors[:, -5:])
            search.restart(vectors[:, -5:])
        basis.expand()
        search.advance(basis.newest_image, basis.remainder, 0.0)
    hidden = torch.stack([basis.vectors[index, -1] for index in range(basis.size)])
    expected = search.components[0, :-1] * start[-1] / start.norm()
    torch.testing.assert_close(hidden, expected, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("length", [1.0, 5.0, 40.0])
def test_chances_are_those_of_a_normal_variable(length):
    draws = np.abs(np.random.default_rng(0).normal(size=200_000))
    search = Search([1.05], length, 0)
    assert search.chance_of_a_miss == pytest.approx((draws < length).mean(), abs=3e-3)
    # One step from the middle of the spectrum: q_0 = 1 and q_1 = 1.05 / 0.5.
    search.advance(torch.zeros(1, dtype=torch.float64), 0.5, 0.0)
    bound = length / math.sqrt(1 + 2.1**2)
    assert search.chance_of_a_miss == pytest.approx((draws < bound).mean(), abs=3e-3)


def test_more_steps_larger_gaps_and_fewer_parameters_leave_less_doubt():
    def chance(steps: int = 14, target: float = 1.1, size: int = SIZE) -> float:
        start = np.random.default_rng(0).normal(size=size)
        return search_in(np.linspace(-1, 1, size), start, steps, [target]).chance_of_a_miss

    assert chance(steps=14) < chance(steps=8) < chance(steps=4) <= 1
    assert chance(target=1.2) < chance(target=1.1) < chance(target=1.05)
    assert chance(size=SIZE) < chance(size=20 * SIZE)


def test_the_less_searched_end_counts():
    start = np.random.default_rng(0).normal(size=SIZE)
    both, near, far = (
        search_in(REST[:SIZE], start[: len(REST)], 14, targets).chance_of_a_miss
        for targets in ([1.05, -1.3], [1.05], [-1.3])
    )
    assert both == near > far


def test_nothing_hides_from_an_invariant_subspace():
    search = Search([1.05], 10.0, 0)
    search.advance(torch.ones(1, dtype=torch.float64), 0.0, 0.0)
    assert search.chance_of_a_miss == 0


def test_chains_are_independent():
    """Each chain has its own random start vector, so an eigenvector must hide from all of them."""
    search = Search([1.05, -1.2], 2.0, 0)
    image = torch.zeros(1, dtype=torch.float64)
    search.advance(image, 0.5, 0.0)
    first = search.chance_of_a_miss
    search.restart_chain(2.0, 1)
    assert search.chance_of_a_miss == pytest.approx(first * math.erf(2 / math.sqrt(2)))
    search.advance(torch.zeros(2, dtype=torch.float64), 0.5, 0.0)
    assert search.chance_of_a_miss == pytest.approx(first**2)


def test_rounding_is_no_evidence():
    """A remainder that may be rounding contains nothing of an eigenvector."""
    search = Search([1e-6], 2.0, 0)
    before = search.chance_of_a_miss
    search.advance(torch.zeros(1, dtype=torch.float64), 1e-7, 2e-6)
    assert search.chance_of_a_miss == before


@pytest.mark.parametrize("seed", [46, 69, 118, 133])
def test_a_chain_that_ends_early_is_no_better_evidence(seed):
    """The remainder is the hidden component itself, so a short remainder must not count as evidence."""
    operator = DiagonalOperator(np.concatenate([[1, 0.7, 7e-6], np.zeros(19_997)]), torch.float32)
    pairs = leading_eigenpairs(operator, 3, generator=seeded(seed), tolerance=2e-6, max_products=3000)
    assert not pairs.converged.any() or pairs.eigenvalues[2].item() > 3e-6


def halves(largest: float, gap: float, rest: np.ndarray) -> np.ndarray:
    """A largest eigenvalue, many equal eigenvalues below it by a relative gap, and the rest."""
    return np.concatenate([[largest * (1 + gap)], np.full(len(rest), largest), rest])


HIDDEN = {
    "one other": halves(1, 3e-4, np.ones(5000)),
    "one other, far": halves(1, 1e-3, np.ones(5000)),
    "two others": halves(1, 3e-4, np.zeros(5000)),
    "few others": halves(1, 3e-4, np.linspace(-1, 0.9, 10).repeat(500)),
    "many others": halves(1, 1e-3, np.linspace(-0.9, 0.9, 5000)),
    "below rounding of the other": halves(3e-3, 3e-4, -np.ones(500)),
    "below many others": halves(1e-2, 3e-3, np.linspace(-1, -0.5, 5000)),
}


@pytest.mark.parametrize("seeds", [range(4), pytest.param(range(4, 60), marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", HIDDEN)
def test_rounding_hides_nothing(name, seeds):
    """In float32, next to an eigenvalue whose Krylov space is soon exhausted up to rounding."""
    spectrum = HIDDEN[name]
    operator = DiagonalOperator(spectrum, torch.float32)
    for seed in seeds:
        pairs = leading_eigenpairs(operator, 1, generator=seeded(seed))
        assert pairs.converged.all()
        assert pairs.eigenvalues.item() == pytest.approx(spectrum[0], rel=1.1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("aim", [0.1, 0.3])
def test_misses_are_no_more_frequent_than_predicted(monkeypatch, aim):
    """The first Krylov space cannot contain the second of two equal eigenvalues."""
    monkeypatch.setattr("eigendrift.eigenpairs.lanczos.MISS_PROBABILITY", aim)
    runs = 300
    missed = misses(spectrum_of("twins at the end"), 15, range(runs), torch.float64)
    assert binomtest(missed, runs, aim, alternative="greater").pvalue > 1e-3


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


def misses(spectrum: np.ndarray, count: int, seeds: Iterable[int], dtype: torch.dtype) -> int:
    operator = DiagonalOperator(spectrum, dtype)
    number = 0
    for seed in seeds:
        pairs = leading_eigenpairs(operator, count, generator=seeded(seed))
        assert pairs.converged.all()
        number += bool((spectrum[:count] - pairs.eigenvalues.numpy() > 1.5e-4 * spectrum[0]).any())
    return number


@pytest.mark.parametrize("seeds", [range(3), pytest.param(range(3, 40), marks=pytest.mark.slow)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", SPECTRA)
def test_nothing_is_missing_from_difficult_spectra(name, dtype, seeds):
    assert misses(spectrum_of(name), 15, seeds, dtype) == 0


def test_without_the_search_pairs_would_be_missing(monkeypatch):
    monkeypatch.setattr("eigendrift.eigenpairs.lanczos.MISS_PROBABILITY", 2.0)
    assert misses(spectrum_of("twins at the end"), 15, range(3), torch.float64) == 3


# Without a search, 189 of the first 4,000 start vectors miss a pair of this spectrum, these ones first.
UNLUCKY = [28, 30, 32, 50, 52, 70, 87]


def test_pairs_that_start_vectors_miss_are_found(monkeypatch):
    random = np.random.default_rng(0)
    # As after training with Adam, where the 15th and the 16th eigenvalue differ by one per cent.
    lead = [*np.geomspace(0.7, 0.04, 14), 0.0309, 0.0306, *np.geomspace(0.028, 0.001, 80)]
    spectrum = np.sort(np.concatenate([lead, random.normal(0, 3e-4, 1500)]))[::-1].copy()
    assert misses(spectrum, 15, UNLUCKY, torch.float64) == 0
    monkeypatch.setattr("eigendrift.eigenpairs.lanczos.MISS_PROBABILITY", 2.0)
    # On another machine, rounding may change the outcome for one of them.
    assert misses(spectrum, 15, UNLUCKY, torch.float64) > len(UNLUCKY) - 3


def test_resolved_vectors_make_the_search_short(monkeypatch):
    operator = DiagonalOperator(spectrum_of("geometric"))

    def searched() -> int:
        generator = seeded()
        return leading_eigenpairs(operator, 5, generator=generator).search_products

    short = searched()
    keep = Lanczos._keep_resolved
    monkeypatch.setattr(Lanczos, "_keep_resolved", lambda self, beyond, _, *ritz: keep(self, beyond, 0, *ritz))
    assert searched() > short


@pytest.mark.parametrize("margin", [0.1, 1.0, 3.0])
def test_nothing_hides_in_what_the_search_leaves_out(margin):
    """Without the vectors that are left out, eigenvalues beyond a score fall by no more than a margin."""
    spectrum = np.sort(np.concatenate([np.geomspace(10, 1, 20), np.linspace(-1, 1, 180)]))[::-1].copy()
    beyond = 5.0
    left_out, largest_fall = 0, 0.0
    for seed in range(20):
        basis = KrylovBasis(DiagonalOperator(spectrum), 60, seeded(seed))
        for _ in range(10):
            basis.expand()
        lanczos = Lanczos(basis, 1, 1e-4, 100, "largest")
        lanczos._keep_resolved(beyond, margin, *lanczos._ritz())
        others = basis.vectors[1 : basis.size].numpy()
        left_out += len(others)
        projector = np.eye(200) - others.T @ others
        rest = np.linalg.eigvalsh(projector * spectrum @ projector)[::-1]
        falls = (spectrum - rest)[spectrum >= beyond]
        largest_fall = max(largest_fall, falls.max())
        assert falls.max() <= margin
    assert left_out > 20
    assert largest_fall > margin / 1000


def test_the_iteration_continues_with_the_pair_that_a_search_finds(monkeypatch):
    """Before each further search, the requested pairs meet the tolerance with fresh products."""
    operator = DiagonalOperator(np.concatenate([[1, 1, 0.97, 0.97, 0.9, 0.5], np.linspace(-0.3, 0.3, 300)]))
    search = Lanczos._search
    residuals: list[float] = []

    def watched(lanczos: Lanczos) -> Steps[bool]:
        values, coefficients = lanczos._ritz()
        vectors = lanczos._basis.combine(coefficients[:, :4])
        images = operator @ vectors - values[:4, None] * vectors
        residuals.append(images.norm(dim=1).max().item())
        return (yield from search(lanczos))

    monkeypatch.setattr(Lanczos, "_search", watched)
    for seed in range(6):
        pairs = leading_eigenpairs(operator, 4, generator=seeded(seed))
        np.testing.assert_allclose(pairs.eigenvalues, [1, 1, 0.97, 0.97], atol=1e-7)
    assert len(residuals) >= 12
    assert max(residuals) < 1e-4


def test_the_evidence_is_reported():
    assert MISS_PROBABILITY == 0.001
    spectrum = spectrum_of("geometric")
    pairs = leading_eigenpairs(DiagonalOperator(spectrum), 5, generator=seeded())
    assert 0 < pairs.miss_probability <= MISS_PROBABILITY
    assert 0 < pairs.search_products < pairs.products - 5
    dense_edge = DiagonalOperator(np.concatenate([[3, 2], np.linspace(1, -1, 1998)]))
    crowded, cut_short = (
        leading_eigenpairs(dense_edge, 3, generator=seeded(), basis_size=12, max_products=max_products)
        for max_products in (1000, 300)
    )
    assert crowded.miss_probability <= MISS_PROBABILITY
    assert crowded.converged.all()
    assert MISS_PROBABILITY < cut_short.miss_probability < 1
    assert (cut_short.residuals < 1e-4).all()
    assert not cut_short.converged.any()
    short = leading_eigenpairs(DiagonalOperator(spectrum), 5, generator=seeded(), max_products=30)
    assert short.miss_probability > MISS_PROBABILITY
    assert not short.converged.any()
    whole = leading_eigenpairs(DenseOperator(with_spectrum(np.arange(8.0) + 1)), 3, generator=seeded())
    assert whole.miss_probability == 0


@pytest.mark.parametrize("checkpoints", [4, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_nothing_is_missing_at_trained_checkpoints(optimizer, checkpoints):
    samples = load("digits")
    inputs, targets = (torch.from_numpy(samples.train_images[:300]), torch.from_numpy(samples.train_labels[:300]))
    settings = {"hidden_widths": [10], "activation": "relu", "initialization": "glorot_uniform"}
    model = build_model(settings, (8, 8), 10, generator("completeness", optimizer))
    make = {"sgd": lambda p: torch.optim.SGD(p, 0.3), "adam": lambda p: torch.optim.Adam(p, 0.01)}[optimizer]
    stepper = make(model.parameters())
    for checkpoint in range(checkpoints):
        narrow = hessian_operator(model, cross_entropy, inputs, targets)
        pairs = leading_eigenpairs(narrow, 15, generator=generator("start", checkpoint))
        # From the same float32 products, because in float64 a unit near zero may change its sign.
        dense = (narrow @ torch.eye(narrow.size)).double()
        expected = torch.linalg.eigvalsh((dense + dense.T) / 2).flip(0)[:15]
        assert pairs.converged.all(), checkpoint
        assert (expected - pairs.eigenvalues).abs().max() < 1.5e-4 * expected[0], checkpoint
        for _ in range(1 + 100 * checkpoint // checkpoints // 10):
            stepper.zero_grad()
            cross_entropy(model(inputs), targets).backward()
            stepper.step()

"""What the weights do: how far they move, and along which eigenvectors."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eigendrift.metrics import blocks
from eigendrift.metrics.alignment import weight_change_alignment
from eigendrift.metrics.displacement import weight_displacement

CHECKPOINTS, RANKS, PARAMETERS = 5, 3, 30


def walk(seed: int = 0) -> np.ndarray:
    """Weights that move by far less than they are large, float32 (checkpoint, parameter)."""
    random = np.random.default_rng(seed)
    start = 1000 * random.normal(size=PARAMETERS)
    return (start + 0.01 * random.normal(size=(CHECKPOINTS, PARAMETERS)).cumsum(0)).astype(np.float32)


def directions(seed: int = 1) -> np.ndarray:
    """Vectors of about unit length, float32 (checkpoint, rank, parameter)."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(CHECKPOINTS, RANKS, PARAMETERS)) / math.sqrt(PARAMETERS)
    return vectors.astype(np.float32)


def changes(weights: np.ndarray, start: int, end: int) -> list[float]:
    return [float(b) - float(a) for a, b in zip(weights[start], weights[end], strict=True)]


def squared(vector: list[float]) -> float:
    return math.fsum(value * value for value in vector)


@pytest.mark.parametrize("block", [1, 7, 30, 1000])
def test_displacement_is_the_mean_squared_change_of_a_weight(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", block)
    weights = walk()
    moved = weight_displacement(weights)
    assert moved.dtype == np.float64
    for start in range(CHECKPOINTS):
        for end in range(CHECKPOINTS):
            expected = squared(changes(weights, start, end)) / PARAMETERS
            assert moved[start, end] == pytest.approx(expected, rel=1e-13)
    assert (np.diag(moved) == 0).all()


@pytest.mark.parametrize("block", [1, 7, 30, 1000])
def test_alignment_is_the_cosine_between_a_change_and_the_vector_it_started_from(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", block)
    weights, vectors = walk(), directions()
    aligned = weight_change_alignment(weights, vectors)
    assert aligned.dtype == np.float64
    for start in range(CHECKPOINTS):
        for end in range(CHECKPOINTS):
            change = changes(weights, start, end)
            for rank in range(RANKS):
                vector = [float(value) for value in vectors[start, rank]]
                product = math.fsum(a * b for a, b in zip(change, vector, strict=True))
                lengths = math.sqrt(squared(change) * squared(vector))
                expected = abs(product) / lengths if start != end else math.nan
                assert aligned[start, end, rank] == pytest.approx(expected, rel=1e-12, nan_ok=True)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**16), factor=st.floats(1e-3, 1e3), rank=st.integers(0, RANKS - 1))
def test_a_change_along_a_vector_is_aligned_with_it_whatever_its_sign_and_length(
    seed: int, factor: float, rank: int
) -> None:
    vectors = directions(seed)
    weights = np.zeros((CHECKPOINTS, PARAMETERS))
    weights[2] = -factor * vectors[1, rank].astype(np.float64)
    aligned = weight_change_alignment(weights, vectors)
    assert aligned[1, 2, rank] == pytest.approx(1, abs=1e-14)
    reached = aligned[np.isfinite(aligned)]
    assert ((reached >= 0) & (reached <= 1)).all()


def test_alignment_starts_from_the_vector_at_the_waiting_time() -> None:
    identity = np.eye(3, dtype=np.float32)
    vectors = np.stack([identity[:1], identity[1:2]])
    weights = np.stack([np.zeros(3), identity[0]]).astype(np.float32)
    aligned = weight_change_alignment(weights, vectors)
    assert aligned[0, 1, 0] == 1
    assert aligned[1, 0, 0] == 0


def test_weights_that_stay_have_moved_by_nothing_and_along_nothing() -> None:
    weights = np.repeat(walk()[:1], CHECKPOINTS, axis=0)
    assert (weight_displacement(weights) == 0).all()
    assert np.isnan(weight_change_alignment(weights, directions())).all()


def test_a_diverged_run_is_measured_as_far_as_it_goes() -> None:
    weights, whole = walk(), walk()
    weights[3:] = np.nan
    moved, aligned = weight_displacement(weights), weight_change_alignment(weights, directions())
    np.testing.assert_array_equal(moved[:3, :3], weight_displacement(whole)[:3, :3])
    np.testing.assert_array_equal(aligned[:3, :3], weight_change_alignment(whole, directions())[:3, :3])
    for values in (moved, aligned):
        assert np.isnan(values[3:]).all()
        assert np.isnan(values[:, 3:]).all()


def test_a_masked_vector_is_nan_and_does_not_spread() -> None:
    vectors = directions()
    vectors[1, 2] = np.nan
    aligned, whole = (weight_change_alignment(walk(), frames) for frames in (vectors, directions()))
    assert np.isnan(aligned[1, :, 2]).all()
    aligned[1, :, 2] = whole[1, :, 2]
    np.testing.assert_array_equal(aligned, whole)

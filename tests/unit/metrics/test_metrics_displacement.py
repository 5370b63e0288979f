"""Displacement: limits, invariances, and random vectors compared with closed forms."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_helpers import orthonormal, walk

from eigendrift.metrics import arrays
from eigendrift.metrics.displacement import (
    displacement,
    isotropic_displacement,
    overlaps,
    subspace_displacement,
    tracked_displacement,
    weight_displacement,
)

property_test = settings(max_examples=40, deadline=None, derandomize=True)
sizes = {
    "checkpoints": st.integers(1, 5),
    "ranks": st.integers(1, 4),
    "parameters": st.integers(4, 30),
    "seed": st.integers(0, 2**16),
}


@property_test
@given(**sizes)
def test_ranges_symmetry_and_zero_on_itself(checkpoints: int, ranks: int, parameters: int, seed: int) -> None:
    vectors = orthonormal(checkpoints, ranks, parameters, seed).astype(np.float32)
    overlap = overlaps(vectors)
    moved, spanned, tracked = (f(overlap) for f in (displacement, subspace_displacement, tracked_displacement))
    for values, largest in ((moved, 2), (spanned, 1), (tracked, 2)):
        assert values.dtype == np.float64
        assert ((values >= 0) & (values <= largest)).all()
    np.testing.assert_allclose(moved, moved.swapaxes(0, 1), atol=1e-15)
    np.testing.assert_allclose(spanned, spanned.swapaxes(0, 1), atol=1e-14)
    same = np.arange(checkpoints)
    np.testing.assert_allclose(moved[same, same], 0, atol=1e-15)
    np.testing.assert_allclose(tracked[same, same], 0, atol=1e-15)
    # Rows rounded to float32 are not quite orthonormal.
    np.testing.assert_allclose(spanned[same, same], 0, atol=1e-12)


@property_test
@given(**sizes)
def test_is_the_squared_distance_over_the_better_sign(checkpoints: int, ranks: int, parameters: int, seed: int) -> None:
    vectors = orthonormal(checkpoints, ranks, parameters, seed)
    distances = [((vectors[:, None] - sign * vectors[None]) ** 2).sum(-1) for sign in (1, -1)]
    np.testing.assert_allclose(displacement(overlaps(vectors)), np.minimum(*distances), atol=1e-14)


@property_test
@given(**sizes)
def test_signs_and_lengths_do_not_matter(checkpoints: int, ranks: int, parameters: int, seed: int) -> None:
    vectors = orthonormal(checkpoints, ranks, parameters, seed)
    random = np.random.default_rng(seed + 1)
    factors = random.choice([-1, 1], (checkpoints, ranks, 1)) * random.uniform(0.5, 2, (checkpoints, ranks, 1))
    plain, changed = overlaps(vectors), overlaps(vectors * factors)
    for f in (displacement, subspace_displacement, tracked_displacement):
        np.testing.assert_allclose(f(changed), f(plain), atol=1e-14)


@property_test
@given(ranks=st.integers(2, 4), parameters=st.integers(4, 30), seed=st.integers(0, 2**16))
def test_rotation_within_the_subspace_leaves_it_where_it_is(ranks: int, parameters: int, seed: int) -> None:
    frame = orthonormal(1, ranks, parameters, seed)[0]
    rotation = orthonormal(1, ranks, ranks, seed + 1)[0]
    overlap = overlaps(np.stack([frame, rotation @ frame]))
    np.testing.assert_allclose(subspace_displacement(overlap)[..., -1], 0, atol=1e-13)
    np.testing.assert_allclose(displacement(overlap)[0, 1], 2 * (1 - np.abs(np.diag(rotation))), atol=1e-13)


def test_swap_of_ranks_moves_ranks_but_neither_identities_nor_subspace() -> None:
    """Subspaces that share one of two directions are half displaced."""
    identity = np.eye(5)
    overlap = overlaps(np.stack([identity[[0, 1]], identity[[1, 2]], identity[[2, 3]]]))
    np.testing.assert_allclose(subspace_displacement(overlap)[0], [[0, 0], [1, 0.5], [1, 1]])
    overlap = overlaps(np.stack([identity[[0, 1, 2]], -identity[[1, 0, 2]]]))
    np.testing.assert_allclose(displacement(overlap)[0, 1], [2, 2, 0])
    np.testing.assert_allclose(tracked_displacement(overlap)[0, 1], 0)
    # The first by itself is another one.
    np.testing.assert_allclose(subspace_displacement(overlap)[0, 1], [1, 0, 0])


def test_identities_are_followed_through_several_swaps_and_slow_motion() -> None:
    """Three vectors turn by a known angle each checkpoint while their ranks are shuffled."""
    random = np.random.default_rng(0)
    angles = np.array([0.01, 0.05, 0.2])
    orders = [np.arange(3)] + [random.permutation(3) for _ in range(7)]
    vectors = np.zeros((8, 3, 6))
    for t, order in enumerate(orders):
        for rank, identity in enumerate(order):
            angle = t * angles[identity]
            vectors[t, rank, 2 * identity : 2 * identity + 2] = np.cos(angle), np.sin(angle)
    moved = tracked_displacement(overlaps(vectors))
    for s, order in enumerate(orders):
        for t in range(8):
            expected = 2 * (1 - np.abs(np.cos((t - s) * angles[order])))
            np.testing.assert_allclose(moved[s, t], expected, atol=1e-14)


def test_matches_are_one_to_one_and_best_in_sum() -> None:
    """Both old vectors prefer the same new one; the better pairing as a whole wins."""
    overlap = np.zeros((2, 2, 2, 2))
    overlap[[0, 1], :, [0, 1], :] = np.eye(2)
    overlap[0, :, 1, :] = [[0.8, 0.55], [0.7, 0.1]]
    overlap[1, :, 0, :] = overlap[0, :, 1, :].T
    np.testing.assert_allclose(tracked_displacement(overlap)[0, 1], [2 * 0.45, 2 * 0.3])


def test_isotropic_value_against_simulation_by_hand_and_at_large_n() -> None:
    vectors = np.random.default_rng(1).normal(size=(400, 1, 10))
    one, other = np.triu_indices(400, k=1)
    assert isotropic_displacement(10) == pytest.approx(displacement(overlaps(vectors))[one, other].mean(), abs=0.01)
    assert isotropic_displacement(1) == pytest.approx(0, abs=1e-14)
    assert isotropic_displacement(2) == pytest.approx(2 * (1 - 2 / np.pi))
    assert isotropic_displacement(3) == pytest.approx(1)
    assert isotropic_displacement(10**8) == pytest.approx(2 * (1 - np.sqrt(2 / np.pi) * 1e-4))


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_block_size_does_not_matter(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    vectors = orthonormal(4, 3, 30, 2)
    monkeypatch.setattr(arrays, "BLOCK", block)
    np.testing.assert_allclose(overlaps(vectors), np.einsum("sip,tjp->sitj", vectors, vectors), rtol=0, atol=1e-14)


def test_undefined_vectors_are_nan_and_do_not_spread() -> None:
    vectors = orthonormal(4, 2, 20, 3).astype(np.float32)
    whole = overlaps(vectors)
    vectors[2, 1] = np.nan
    overlap = overlaps(vectors)
    assert np.isnan(overlap[2, 1]).all()
    assert np.isnan(overlap[:, :, 2, 1]).all()
    moved = displacement(overlap)
    np.testing.assert_array_equal(moved[:, :, 0], displacement(whole)[:, :, 0])
    assert np.isnan(moved[2, :, 1]).all()
    assert np.isfinite(moved[np.ix_([0, 1, 3], [0, 1, 3])]).all()
    spanned = subspace_displacement(overlap)
    assert np.isnan(spanned[2, :, 1]).all()
    assert np.isfinite(spanned[..., 0]).all()
    assert np.isfinite(spanned[np.ix_([0, 1, 3], [0, 1, 3])]).all()


def test_a_checkpoint_that_lacks_an_eigenvector_ends_every_chain() -> None:
    vectors = orthonormal(5, 2, 20, 4)
    vectors[2, 1] = np.nan
    moved = tracked_displacement(overlaps(vectors))
    assert np.isfinite(moved[:2, :2]).all()
    assert np.isfinite(moved[3:, 3:]).all()
    assert np.isnan(moved[:2, 2:]).all()
    assert np.isnan(moved[3:, :3]).all()


@pytest.mark.parametrize("metric", [displacement, subspace_displacement, tracked_displacement])
def test_vectors_in_place_of_their_overlaps_are_refused(metric: Callable[[np.ndarray], np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"an array of shape \(3, 2, 5\) .*, what overlaps returns of eigen"):
        metric(orthonormal(3, 2, 5, 0))
    with pytest.raises(ValueError, match=r"an array of shape \(2, 3, 4, 3\) was given, expected"):
        metric(np.zeros((2, 3, 4, 3)))


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_weight_displacement_is_the_mean_squared_change_of_a_weight(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(arrays, "BLOCK", block)
    weights = walk(5, 30)
    moved = weight_displacement(weights)
    assert moved.dtype == np.float64
    change = weights[None].astype(float) - weights[:, None]
    expected = [[math.fsum(vector**2) / 30 for vector in row] for row in change]
    np.testing.assert_allclose(moved, expected, rtol=1e-13)
    assert (np.diag(moved) == 0).all()
    weights[3:] = np.nan
    diverged = weight_displacement(weights)
    np.testing.assert_array_equal(diverged[:3, :3], moved[:3, :3])
    assert np.isnan(diverged[3:]).all()
    assert np.isnan(diverged[:, 3:]).all()

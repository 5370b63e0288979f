"""The checkpoints that a lag pairs, and the shares of swaps and of movement within the span."""

import numpy as np
import pytest
import xarray as xr

from eigendrift.metrics.displacement import displacement, overlaps, subspace_displacement, tracked_displacement
from eigendrift.metrics.lagged import (
    by_rank_and_tracked,
    closest_gap,
    displacement_over_lag,
    lagged_pairs,
    missed_lag,
    remaining_share,
    swapped_share_below,
    turned,
)
from eigendrift.training.checkpoints import checkpoint_steps

LAG = 0.125
RANKS, PARAMETERS, CHECKPOINTS = 3, 20, 9


@pytest.mark.parametrize(
    ("steps", "lag", "apart"),
    [
        (np.arange(0, 8001, 200), LAG, 5),
        (np.arange(0, 1001, 100), 0.12, 1),
        (np.arange(0, 1001, 100), 0.18, 2),
        (np.arange(0, 1001, 100), 0.22, 2),
        # Checkpoints farther apart than the lag are paired with the next one.
        (np.array([0, 25, 50, 75, 100]), 0.05, 1),
        (np.array([0, 100]), 0.5, 1),
    ],
)
def test_linear_checkpoints_are_paired_at_the_nearest_lag(steps: np.ndarray, lag: float, apart: int) -> None:
    waiting, partner = lagged_pairs(steps, lag)
    np.testing.assert_array_equal(waiting, np.flatnonzero(steps + lag * steps[-1] <= steps[-1]))
    np.testing.assert_array_equal(partner - waiting, apart)


@pytest.mark.parametrize("count", [5, 10, 20, 41, 200])
@pytest.mark.parametrize("lag", [0.01, 0.125, 0.5])
def test_logarithmic_checkpoints_keep_lags_comparable(count: int, lag: float) -> None:
    steps = np.array(checkpoint_steps(8000, count, "logarithmic"))
    waiting, partner = lagged_pairs(steps, lag)
    lags = steps[partner] - steps[waiting]
    assert len(lags) > 0
    assert (lags > 0).all()
    assert lags.max() <= 2 * lags.min()
    assert (steps[waiting] + lag * 8000 <= 8000).all()


def test_dense_logarithmic_checkpoints_lose_no_waiting_time_to_uneven_lags() -> None:
    steps = np.array(checkpoint_steps(8000, 200, "logarithmic"))
    waiting, _ = lagged_pairs(steps, LAG)
    np.testing.assert_array_equal(waiting, np.flatnonzero(steps <= 7000))


@pytest.mark.parametrize(
    ("every", "lag", "missed"),
    [
        (1, 0.05, None),
        (1, 0.0625, 0.05),
        (1, 0.125, None),
        (5, 0.125, None),
        (5, 0.25, None),
        (5, 0.0625, 0.125),
        (5, 0.2, 0.25),
    ],
)
def test_a_lag_that_checkpoints_do_not_have_is_found(every: int, lag: float, missed: float | None) -> None:
    assert missed_lag(np.arange(0, 8001, 200)[::every], lag) == missed


def test_a_lag_that_is_off_by_rounding_is_not_missed() -> None:
    steps = np.array(checkpoint_steps(1003, 41, "linear"))
    assert missed_lag(steps[::5], LAG) is None


def runs_of(frames: np.ndarray, gaps: np.ndarray | float = 0.5) -> xr.Dataset:
    """The metrics of one run with these eigenvectors, float64 (checkpoint, rank, parameter)."""
    overlap = overlaps(frames)
    two_time = ("waiting", "checkpoint", "rank")
    count = len(frames)
    return xr.Dataset(
        {
            "displacement": (two_time, displacement(overlap)),
            "tracked_displacement": (two_time, tracked_displacement(overlap)),
            "subspace_displacement": (two_time, subspace_displacement(overlap)),
            "gap": (("checkpoint", "rank"), np.broadcast_to(gaps, (count, frames.shape[1]))),
        },
        {"step": ("checkpoint", 10 * np.arange(count)), "rank": np.arange(frames.shape[1]) + 1},
    ).expand_dims(seed=[0])


def frame() -> np.ndarray:
    normal = np.random.default_rng(0).normal(size=(PARAMETERS, PARAMETERS))
    return np.linalg.qr(normal)[0].T


def measured(runs: xr.Dataset) -> dict[str, xr.DataArray]:
    """Over the lag: by rank, tracked and of the span, and the shares of swaps and within the span."""
    by_rank, tracked = by_rank_and_tracked(runs, LAG, RANKS)
    span = displacement_over_lag(runs, LAG, "subspace_displacement").sel(rank=[RANKS])
    return {
        "by rank": by_rank.isel(seed=0),
        "tracked": tracked.isel(seed=0),
        "span": span.isel(seed=0),
        "swaps": remaining_share(by_rank, tracked),
        "within": remaining_share(turned(by_rank), span),
    }


def test_a_swap_of_ranks_moves_neither_what_is_tracked_nor_the_span() -> None:
    still = frame()[:RANKS]
    found = measured(runs_of(np.array([still[[1, 0, 2]] if t % 2 else still for t in range(CHECKPOINTS)])))
    np.testing.assert_allclose(found["by rank"], [[2, 2, 0]] * (CHECKPOINTS - 1), atol=1e-12)
    for name in ("tracked", "span"):
        np.testing.assert_allclose(found[name], 0, atol=1e-12)
    for name in ("swaps", "within"):
        np.testing.assert_allclose(found[name], 1)


def test_a_rotation_within_the_span_moves_what_is_tracked_but_not_the_span() -> None:
    still, angle = frame()[:RANKS], 0.3
    frames = []
    for t in range(CHECKPOINTS):
        c, s = np.cos(angle * t), np.sin(angle * t)
        frames.append(np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) @ still)
    found = measured(runs_of(np.array(frames)))
    moved = 2 * (1 - np.cos(angle))
    np.testing.assert_allclose(found["tracked"], [[moved, moved, 0]] * (CHECKPOINTS - 1), atol=1e-12)
    np.testing.assert_allclose(turned(found["tracked"])[:, 0], np.sin(angle) ** 2)
    np.testing.assert_allclose(found["span"], 0, atol=1e-12)
    np.testing.assert_allclose(found["swaps"], 0, atol=1e-12)
    np.testing.assert_allclose(found["within"], 1)


def test_a_turn_out_of_the_span_is_neither_swap_nor_movement_within() -> None:
    base, angle = frame(), 0.2
    frames = np.array(
        [np.cos(angle * t) * base[:RANKS] + np.sin(angle * t) * base[RANKS : 2 * RANKS] for t in range(CHECKPOINTS)]
    )
    found = measured(runs_of(frames))
    np.testing.assert_allclose(found["span"], np.sin(angle) ** 2)
    for name in ("swaps", "within"):
        np.testing.assert_allclose(found[name], 0, atol=1e-12)


def test_where_nothing_moves_there_is_no_share() -> None:
    found = measured(runs_of(np.repeat(frame()[None, :RANKS], CHECKPOINTS, axis=0)))
    assert found["swaps"].isnull().all()
    assert found["within"].isnull().all()


def test_shares_are_of_all_seeds_together_but_those_without_a_rank() -> None:
    whole = xr.DataArray([[[2.0, 1.0]], [[0.5, 0.5]], [[9.0, np.nan]]], dims=("seed", "waiting", "rank"))
    part = xr.DataArray([[[1.0, 1.0]], [[0.5, 0.5]], [[0.0, 0.0]]], dims=("seed", "waiting", "rank"))
    np.testing.assert_allclose(remaining_share(whole, part), [1 - (1 + 0.5) / (1.5 + 0.5)])


def test_a_broken_chain_takes_the_displacement_by_rank_along() -> None:
    """Otherwise the share would compare different waiting times."""
    frames = np.repeat(frame()[None, :RANKS], CHECKPOINTS, axis=0)
    frames[4, 2] = np.nan
    by_rank, tracked = (each.isel(seed=0) for each in by_rank_and_tracked(runs_of(frames), LAG, 2))
    assert by_rank.isnull().equals(tracked.isnull())
    assert by_rank.isnull().values.tolist() == [[at in (3, 4)] * 2 for at in range(CHECKPOINTS - 1)]


def test_swaps_are_counted_by_the_smallest_gap_on_the_way() -> None:
    """Two swaps of the first two of three eigenvectors, one of near-equal eigenvalues, and a slow turn."""
    base = frame()
    frames = np.repeat(base[None, :RANKS], CHECKPOINTS, axis=0)
    frames[3:] = frames[3:, [1, 0, 2]]
    frames[6:] = frames[6:, [1, 0, 2]]
    gaps = np.full((CHECKPOINTS, RANKS), 0.4)
    gaps[3, :2] = 0.01
    gaps[6, :2] = 0.2
    runs = runs_of(frames, gaps)
    closest = closest_gap(runs, LAG, RANKS)
    near = [0.4, 0.4, 0.01, 0.01, 0.4, 0.2, 0.2, 0.4]
    np.testing.assert_array_equal(closest.transpose("seed", ...)[0], [[gap, gap, 0.4] for gap in near])
    by_rank, tracked = by_rank_and_tracked(runs, LAG, RANKS)
    below = swapped_share_below(by_rank, tracked, closest, np.array([0.005, 0.05, 0.3, 1]))
    np.testing.assert_allclose(below, [[0, 0.5, 1, 1]], atol=1e-12)


def test_the_span_of_some_is_that_of_the_leading_ones() -> None:
    random = np.random.default_rng(1)
    frames = np.array([np.linalg.qr(random.normal(size=(PARAMETERS, 5)))[0].T for _ in range(4)])
    spanned = subspace_displacement(overlaps(frames))
    for k in range(1, 6):
        for s in range(4):
            for t in range(4):
                squared = np.linalg.norm(frames[s, :k] @ frames[t, :k].T) ** 2
                assert spanned[s, t, k - 1] == pytest.approx(1 - squared / k, abs=1e-12)
    # Of one eigenvector it is the sine squared of its turn.
    np.testing.assert_allclose(spanned[..., 0], turned(xr.DataArray(displacement(overlaps(frames))))[..., 0])

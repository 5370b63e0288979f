"""The checkpoints that a lag pairs, and the shares of swaps and of movement within the span."""

from collections.abc import Callable

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
    # Dense checkpoints lose no waiting time to uneven lags.
    assert (count, lag) != (200, LAG) or len(waiting) == (steps <= 7000).sum()


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
    # A lag that is off by rounding is not missed.
    assert missed_lag(np.array(checkpoint_steps(1003, 41, "linear"))[::5], LAG) is None


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


ANGLE = 0.2
MOVED, SQUARED = 2 * (1 - np.cos(ANGLE)), np.sin(ANGLE) ** 2


def swap(base: np.ndarray, t: int) -> np.ndarray:
    return base[[1, 0, 2] if t % 2 else [0, 1, 2]]


def rotation(base: np.ndarray, t: int) -> np.ndarray:
    c, s = np.cos(ANGLE * t), np.sin(ANGLE * t)
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) @ base[:RANKS]


def turn_out(base: np.ndarray, t: int) -> np.ndarray:
    return np.cos(ANGLE * t) * base[:RANKS] + np.sin(ANGLE * t) * base[RANKS : 2 * RANKS]


@pytest.mark.parametrize(
    ("at", "by_rank", "tracked", "span", "swaps", "within"),
    [
        (swap, [2, 2, 0], [0, 0, 0], 0, 1, 1),
        (rotation, [MOVED, MOVED, 0], [MOVED, MOVED, 0], 0, 0, 1),
        (turn_out, [MOVED] * RANKS, [MOVED] * RANKS, SQUARED, 0, 0),
    ],
)
def test_swaps_rotations_within_the_span_and_turns_out_of_it_are_separated(
    at: Callable[[np.ndarray, int], np.ndarray],
    by_rank: list[float],
    tracked: list[float],
    span: float,
    swaps: float,
    within: float,
) -> None:
    found = measured(runs_of(np.array([at(frame(), t) for t in range(CHECKPOINTS)])))
    np.testing.assert_allclose(found["by rank"], [by_rank] * (CHECKPOINTS - 1), atol=1e-12)
    np.testing.assert_allclose(found["tracked"], [tracked] * (CHECKPOINTS - 1), atol=1e-12)
    for name, expected in (("span", span), ("swaps", swaps), ("within", within)):
        np.testing.assert_allclose(found[name], expected, atol=1e-12)


def test_shares_are_of_all_seeds_together_but_those_without_a_rank() -> None:
    """Where nothing moves there is no share."""
    found = measured(runs_of(np.repeat(frame()[None, :RANKS], CHECKPOINTS, axis=0)))
    assert found["swaps"].isnull().all()
    assert found["within"].isnull().all()
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


def test_the_span_of_one_eigenvector_moves_by_the_sine_squared_of_its_turn() -> None:
    random = np.random.default_rng(1)
    overlap = overlaps(np.array([np.linalg.qr(random.normal(size=(PARAMETERS, 5)))[0].T for _ in range(4)]))
    np.testing.assert_allclose(
        subspace_displacement(overlap)[..., 0], turned(xr.DataArray(displacement(overlap)))[..., 0], atol=1e-15
    )

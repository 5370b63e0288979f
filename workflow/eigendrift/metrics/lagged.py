"""Displacement over one fixed lag, and how much of it is swaps of ranks or movement within the span."""

from typing import Literal

import numpy as np
import xarray as xr

# Rounding eigenvectors to float32 moves them about this far. Smaller displacements are rounding errors.
RESOLUTION = float(np.finfo(np.float32).eps) ** 2
# Displacements grow with the lag, so compared lags must not differ by more than this factor.
LARGEST_LAG_RATIO = 2

Displacement = Literal["displacement", "tracked_displacement", "subspace_displacement"]


def lagged_pairs(steps: np.ndarray, lag: float) -> tuple[np.ndarray, np.ndarray]:
    """Pair each checkpoint with the one nearest to a fixed lag later.

    Args:
        steps: int64 (checkpoint,), ascending.
        lag: Share of the last step, above 0.

    Returns:
        Indices of waiting times and of their partners, int64 (pair,). A partner is later than its waiting time, so
        checkpoints farther apart than the lag are paired with the next one. Waiting times whose partner would be beyond
        the last checkpoint are left out. So are pairs whose lag is more than twice the shortest, which occur late among
        widely spaced logarithmic checkpoints.
    """
    target = steps + lag * steps[-1]
    waiting = np.flatnonzero(target <= steps[-1])
    partner = np.abs(steps[None, :] - target[waiting, None]).argmin(1)
    partner = np.maximum(partner, waiting + 1)
    lags = steps[partner] - steps[waiting]
    comparable = lags <= LARGEST_LAG_RATIO * lags.min()
    return waiting[comparable], partner[comparable]


def missed_lag(steps: np.ndarray, lag: float) -> float | None:
    """Return the lag that `lagged_pairs` finds if it differs from the requested lag.

    Args:
        steps: int64 (checkpoint,), ascending.
        lag: Share of the last step, above 0.

    Returns:
        The lag of the pair that differs most, as a share of the last step; None if no pair differs by more than a
        tenth.
    """
    waiting, partner = lagged_pairs(steps, lag)
    lags = (steps[partner] - steps[waiting]) / steps[-1]
    farthest = float(lags[np.abs(lags - lag).argmax()])
    return farthest if abs(farthest - lag) > 0.1 * lag else None


def displacement_over_lag(runs: xr.Dataset, lag: float, kind: Displacement) -> xr.DataArray:
    """Return a displacement from each waiting time to the checkpoint a fixed lag later.

    Args:
        runs: Metrics of runs with the same checkpoints.
        lag: Share of the training, see `lagged_pairs`.
        kind: The displacement.

    Returns:
        float64 (…, waiting, rank), … the dimensions of the runs; the coordinate ``step`` is tw.
    """
    steps = runs["step"].values
    waiting, partner = lagged_pairs(steps, lag)
    index = {"waiting": xr.DataArray(waiting, dims="waiting"), "checkpoint": xr.DataArray(partner, dims="waiting")}
    return runs[kind].drop_vars("step").isel(index).assign_coords(step=("waiting", steps[waiting]))


def by_rank_and_tracked(runs: xr.Dataset, lag: float, ranks: int) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the displacement over a lag of the leading ranks, by rank and tracked through swaps of ranks.

    Args:
        runs: Metrics of runs with the same checkpoints.
        lag: Share of the training.
        ranks: Number of leading ranks at the waiting time.

    Returns:
        Two float64 (…, waiting, rank), NaN where either is NaN.
    """
    by_rank, tracked = (
        displacement_over_lag(runs, lag, kind).sel(rank=slice(1, ranks))
        for kind in ("displacement", "tracked_displacement")
    )
    return by_rank.where(tracked.notnull()), tracked.where(by_rank.notnull())


def remaining_share(whole: xr.DataArray, part: xr.DataArray) -> xr.DataArray:
    """Return 1 − Σ part / Σ whole, where both are means over ranks and the sums are over seeds.

    With the displacement by rank and the tracked displacement, this is the share of swaps of ranks. The share is
    negative where the tracked eigenvector is farther away than the eigenvector of the same rank.

    Args:
        whole: float64 (…, seed, waiting, rank).
        part: Part of ``whole`` that remains, with the same dimensions.

    Returns:
        float64 (…, waiting), without the seeds that lack any rank; NaN where nothing moves.
    """
    both = [values.mean("rank", skipna=False) for values in (whole, part)]
    there = both[0].notnull() & both[1].notnull()
    moved, rest = (values.where(there).sum("seed") for values in both)
    return 1 - rest / moved.where(moved > RESOLUTION)


def closest_gap(runs: xr.Dataset, lag: float, ranks: int) -> xr.DataArray:
    """Return how close the eigenvalue of each rank comes to another one, from a waiting time to a lag later.

    Args:
        runs: Metrics of runs with the same checkpoints.
        lag: Share of the training.
        ranks: Number of leading ranks.

    Returns:
        float64 (…, waiting, rank): the smallest gap at any checkpoint of that period, relative to λ1.
    """
    gaps = runs["gap"].sel(rank=slice(1, ranks))
    passed = [
        gaps.isel(checkpoint=slice(start, end + 1)).min("checkpoint")
        for start, end in zip(*lagged_pairs(runs["step"].values, lag), strict=True)
    ]
    return xr.concat(passed, "waiting")


def swapped_share_below(
    by_rank: xr.DataArray, tracked: xr.DataArray, gaps: xr.DataArray, limits: np.ndarray
) -> xr.DataArray:
    """Return the share of displacement from swaps of eigenvalues that are closer than a limit.

    Σ [gap < limit] (Δ_rank − Δ_tracked) / Σ Δ_rank, with sums over waiting times and ranks.

    Args:
        by_rank: Displacement by rank, float64 (…, waiting, rank).
        tracked: Tracked displacement, with the same dimensions.
        gaps: The smallest gap, see `closest_gap`.
        limits: float64 (gap,).

    Returns:
        float64 (…, gap); NaN where nothing moves.
    """
    limit = xr.DataArray(limits, {"gap": limits}, "gap")
    sums = ("waiting", "rank")
    whole = by_rank.sum(sums)
    return (by_rank - tracked).where(gaps < limit).sum(sums) / whole.where(whole > RESOLUTION)


def turned(displacement: xr.DataArray) -> xr.DataArray:
    """Return sin² of the angle by which an eigenvector turned, Δ − Δ²/4.

    The mean over the leading k is at least the displacement of their span, and the difference is movement within the
    span: 1 − Σ_i ⟨v_i, v_i'⟩² / k ≥ 1 − Σ_ij ⟨v_i, v_j'⟩² / k.
    """
    return displacement - displacement**2 / 4

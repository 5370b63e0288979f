"""What of the displacement of leading eigenvectors is swaps of their ranks, or movement within their span."""

import numpy as np
import xarray as xr

from eigendrift.metrics.lagged import RESOLUTION, displacement_over_lag, lagged_pairs


def by_rank_and_tracked(runs: xr.Dataset, lag: float, ranks: int) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the displacement over a lag of the leading ranks, by rank and tracked through swaps of ranks.

    Args:
        runs: Metrics of runs with the same checkpoints.
        lag: Share of the training.
        ranks: How many leading ranks, those at the waiting time.

    Returns:
        Two float64 (…, waiting, rank), NaN where either is.
    """
    by_rank, tracked = (
        displacement_over_lag(runs, lag, kind).sel(rank=slice(1, ranks))
        for kind in ("displacement", "tracked_displacement")
    )
    return by_rank.where(tracked.notnull()), tracked.where(by_rank.notnull())


def remaining_share(whole: xr.DataArray, part: xr.DataArray) -> xr.DataArray:
    """Return 1 − Σ part / Σ whole, both means over ranks, the sums over seeds.

    With the displacement by rank and tracked, it is the share that is swaps of ranks. It is negative where
    the eigenvector that neighbouring checkpoints lead to lies farther off than the one of the same rank.

    Args:
        whole: float64 (…, seed, waiting, rank).
        part: What of it remains, of the same dimensions.

    Returns:
        float64 (…, waiting); without the seeds that lack any rank, NaN where nothing moves.
    """
    both = [values.mean("rank", skipna=False) for values in (whole, part)]
    there = both[0].notnull() & both[1].notnull()
    moved, rest = (values.where(there).sum("seed") for values in both)
    share: xr.DataArray = 1 - rest / moved.where(moved > RESOLUTION)
    return share


def closest_gap(runs: xr.Dataset, lag: float, ranks: int) -> xr.DataArray:
    """Return how near the eigenvalue of each rank comes to another one, from a waiting time to a lag later.

    Args:
        runs: Metrics of runs with the same checkpoints.
        lag: Share of the training.
        ranks: How many leading ranks.

    Returns:
        float64 (…, waiting, rank): the smallest gap at any checkpoint of that time, relative to λ1.
    """
    gaps = runs["gap"].sel(rank=slice(1, ranks))
    passed = [
        gaps.isel(checkpoint=slice(start, end + 1)).min("checkpoint")
        for start, end in zip(*lagged_pairs(runs["step"].values, lag), strict=True)
    ]
    smallest: xr.DataArray = xr.concat(passed, "waiting")
    return smallest


def swapped_share_below(
    by_rank: xr.DataArray, tracked: xr.DataArray, gaps: xr.DataArray, limits: np.ndarray
) -> xr.DataArray:
    """Return the share of all displacement that is swaps of eigenvalues nearer to each other than a limit.

    Σ [gap < limit] (Δ_rank − Δ_tracked) / Σ Δ_rank, the sums over waiting times and ranks.

    Args:
        by_rank: Displacement by rank, float64 (…, waiting, rank).
        tracked: The same, tracked.
        gaps: The smallest gap, see `closest_gap`.
        limits: float64 (gap,).

    Returns:
        float64 (…, gap); NaN where nothing moves.
    """
    limit = xr.DataArray(limits, {"gap": limits}, "gap")
    sums = ("waiting", "rank")
    whole = by_rank.sum(sums)
    swapped: xr.DataArray = (by_rank - tracked).where(gaps < limit).sum(sums)
    return swapped / whole.where(whole > RESOLUTION)


def turned(displacement: xr.DataArray) -> xr.DataArray:
    """Return sin² of the angle that an eigenvector turned by, Δ − Δ²/4, as the displacement of spans is.

    Of the leading k its mean is at least the displacement of their span, and the difference is movement
    within the span: 1 − Σ_i ⟨v_i, v_i'⟩² / k ≥ 1 − Σ_ij ⟨v_i, v_j'⟩² / k.
    """
    return displacement - displacement**2 / 4

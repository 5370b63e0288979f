"""Displacement over one fixed lag."""

from typing import Literal

import numpy as np
import xarray as xr

# Rounding float32 eigenvectors moves them about this far; a logarithm or share of less would be of rounding.
RESOLUTION = float(np.finfo(np.float32).eps) ** 2
# Displacements grow with the lag, so lags that are compared must not differ by more than this factor.
LARGEST_LAG_RATIO = 2
# By which share of itself a lag may be missed and still pass for the one that was asked for.
LARGEST_MISS = 0.1

Displacement = Literal["displacement", "tracked_displacement", "subspace_displacement"]


def lagged_pairs(steps: np.ndarray, lag: float) -> tuple[np.ndarray, np.ndarray]:
    """Pair each checkpoint with the one nearest to a fixed lag later.

    Args:
        steps: int64 (checkpoint,), ascending.
        lag: Share of the last step, above 0.

    Returns:
        Indices of waiting times and of their partners, int64 (pair,). A partner is later than its waiting
        time, so that checkpoints that lie wider apart than the lag are paired with the next one. Waiting
        times whose partner would lie beyond the last checkpoint are left out, and pairs whose lag is more
        than twice the shortest, as the late ones of widely spaced logarithmic checkpoints are.
    """
    target = steps + lag * steps[-1]
    waiting = np.flatnonzero(target <= steps[-1])
    partner = np.abs(steps[None, :] - target[waiting, None]).argmin(1)
    partner = np.maximum(partner, waiting + 1)
    lags = steps[partner] - steps[waiting]
    comparable = lags <= LARGEST_LAG_RATIO * lags.min()
    return waiting[comparable], partner[comparable]


def missed_lag(steps: np.ndarray, lag: float) -> float | None:
    """Return the lag that the pairs of `lagged_pairs` have where that is not the one asked for.

    Args:
        steps: int64 (checkpoint,), ascending.
        lag: Share of the last step, above 0.

    Returns:
        Of the pairs the lag that misses by most, as a share of the last step; None if none misses by more
        than a tenth.
    """
    waiting, partner = lagged_pairs(steps, lag)
    lags = (steps[partner] - steps[waiting]) / steps[-1]
    farthest = float(lags[np.abs(lags - lag).argmax()])
    return farthest if abs(farthest - lag) > LARGEST_MISS * lag else None


def displacement_over_lag(runs: xr.Dataset, lag: float, kind: Displacement) -> xr.DataArray:
    """Return a displacement from each waiting time to the checkpoint a fixed lag later.

    Args:
        runs: Metrics of runs with the same checkpoints.
        lag: Share of the training, see `lagged_pairs`.
        kind: Which displacement.

    Returns:
        float64 (…, waiting, rank), … the dimensions of the runs; the coordinate ``step`` is tw.
    """
    steps = runs["step"].values
    waiting, partner = lagged_pairs(steps, lag)
    index = {
        "waiting": xr.DataArray(waiting, dims="waiting"),
        "checkpoint": xr.DataArray(partner, dims="waiting"),
    }
    return runs[kind].drop_vars("step").isel(index).assign_coords(step=("waiting", steps[waiting]))

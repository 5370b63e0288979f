"""Effects in how far leading eigenvectors move over a fixed lag."""

from typing import Literal

import numpy as np
import xarray as xr

from eigendrift.claims.evidence import Estimate, Evidence, Variant, leading, log10

# Rounding float32 eigenvectors moves them about this far; a logarithm of less would be one of rounding.
RESOLUTION = float(np.finfo(np.float32).eps) ** 2
# Displacements grow with the lag, so lags that are compared must not differ by more than this factor.
LARGEST_LAG_RATIO = 2


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


def lagged_displacement(
    runs: xr.Dataset, variant: Variant, kind: Literal["displacement", "tracked_displacement"] = "displacement"
) -> xr.DataArray:
    """Return Δ(tw, tw + lag), the mean over the leading ranks, at least `RESOLUTION`.

    Args:
        runs: Metrics of runs with the same checkpoints.
        variant: How many ranks, and the lag, see `lagged_pairs`.
        kind: Whether Δ is of a rank, or of a direction that is tracked through swaps of ranks.

    Returns:
        float64 (…, waiting), … the dimensions of the runs; the coordinate ``step`` is tw.
    """
    steps = runs["step"].values
    waiting, partner = lagged_pairs(steps, variant.lag)
    index = {
        "waiting": xr.DataArray(waiting, dims="waiting"),
        "checkpoint": xr.DataArray(partner, dims="waiting"),
    }
    moved = leading(runs[kind].drop_vars("step").isel(index), variant)
    return moved.clip(min=RESOLUTION).assign_coords(step=("waiting", steps[waiting]))


def log_displacement(runs: xr.Dataset, variant: Variant) -> xr.DataArray:
    """Return log10 Δ, the mean over waiting times; see `lagged_displacement`."""
    return log10(lagged_displacement(runs, variant)).mean("waiting")


def stabilization(evidence: Evidence, variant: Variant) -> Estimate:
    """Estimate C1: log10 of SGD's mean Δ over the first half of waiting times over that of the second."""
    moved = lagged_displacement(evidence.runs.sel(optimizer="sgd"), variant)
    is_early = moved["step"] < (moved["step"].max() + moved["step"].min()) / 2
    early, late = moved.where(is_early).mean("waiting"), moved.where(~is_early).mean("waiting")
    return Estimate(log10(early / late), {"early displacement": early, "late displacement": late})


def reorganization(evidence: Evidence, variant: Variant) -> Estimate:
    """Estimate C2: log10 of Adam's Δ over SGD's of the same seed, mean over all waiting times."""
    ratio = _of_adam_over_sgd(lagged_displacement(evidence.runs, variant))
    tracked = _of_adam_over_sgd(lagged_displacement(evidence.runs, variant, "tracked_displacement"))
    details = {
        "share of waiting times at which Adam moves more": (ratio > 0).where(ratio.notnull()).mean("waiting"),
        "the same effect of tracked displacement": tracked.mean("waiting"),
    }
    return Estimate(ratio.mean("waiting"), details)


def _of_adam_over_sgd(moved: xr.DataArray) -> xr.DataArray:
    return log10(moved.sel(optimizer="adam") / moved.sel(optimizer="sgd"))

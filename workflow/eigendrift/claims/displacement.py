"""Effects in how far leading eigenvectors move over a fixed lag."""

from collections.abc import Iterable
from typing import Literal

import xarray as xr

from eigendrift.claims.evidence import Estimate, Evidence, NotMeasuredError, Variant, leading
from eigendrift.metrics.lagged import RESOLUTION, displacement_over_lag, missed_lag
from eigendrift.metrics.logarithms import log10


def lagged_displacement(
    runs: xr.Dataset, variant: Variant, kind: Literal["displacement", "tracked_displacement"] = "displacement"
) -> xr.DataArray:
    """Return Δ(tw, tw + lag), the mean over the leading ranks, at least `RESOLUTION`.

    Args:
        runs: Metrics of runs with the same checkpoints.
        variant: How many ranks, and the lag, see `eigendrift.metrics.lagged.lagged_pairs`.
        kind: Whether Δ is of a rank, or of a direction that is tracked through swaps of ranks.

    Returns:
        float64 (…, waiting), … the dimensions of the runs; the coordinate ``step`` is tw.

    Raises:
        NotMeasuredError: The checkpoints with many eigenpairs, which are few, have no such lag.
    """
    steps = runs["step"].values
    if variant.wide and (found := missed_lag(steps, variant.lag)) is not None:
        raise NotMeasuredError(
            f"the {len(steps)} checkpoints with so many eigenpairs have no lag of {variant.lag:g} of the "
            f"training, the nearest is {found:g}"
        )
    moved = leading(displacement_over_lag(runs, variant.lag, kind), variant)
    return moved.clip(min=RESOLUTION)


def notes_on_lags(runs: xr.Dataset, dataset: str, lags: Iterable[float]) -> list[str]:
    """Say which lags the checkpoints of a data set's runs do not have, and what is measured instead."""
    steps = runs["step"].values
    return [
        f"{dataset}: checkpoints have no lag of {lag:g} of the training, {found:g} is measured instead"
        for lag in dict.fromkeys(lags)
        if (found := missed_lag(steps, lag)) is not None
    ]


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

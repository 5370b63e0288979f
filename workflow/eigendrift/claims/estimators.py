"""How large each claimed effect is, seed by seed.

Δ is the displacement of the leading eigenvector over a lag, as near to one fixed lag as the checkpoints
allow; IPR is its inverse participation ratio.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from eigendrift.metrics.baseline import draws_for

LEADING = 1
# Rounding float32 eigenvectors moves them about this far; a logarithm of less would be one of rounding.
RESOLUTION = float(np.finfo(np.float32).eps) ** 2
# Displacements grow with the lag, so lags that are compared must not differ by more than this factor.
LARGEST_LAG_RATIO = 2
Effects = dict[int, float]


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and how its effect is estimated.

    Attributes:
        name: C1 to C4, as in the paper's reproduction plan.
        statement: What the paper says.
        estimator: The effect of one seed, as a formula.
        unit: Unit of the effect.
        effects: Computes it for every seed, from the runs of a data set, its baseline, and the lag as a share
            of the training; NaN where a seed cannot tell.
        needs: Optimizers that it compares.
    """

    name: str
    statement: str
    estimator: str
    unit: str
    effects: Callable[[xr.Dataset, xr.Dataset, float], Effects]
    needs: tuple[str, ...]


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


def lagged_displacement(runs: xr.Dataset, lag: float) -> xr.DataArray:
    """Return Δ(1)(tw, tw + lag), at least `RESOLUTION`.

    Args:
        runs: The runs of a data set, see `Collection`.
        lag: Share of the last step, see `lagged_pairs`.

    Returns:
        float64 (optimizer, seed, waiting); the coordinate ``step`` is tw.
    """
    steps = runs["step"].values
    waiting, partner = lagged_pairs(steps, lag)
    index = {
        "waiting": xr.DataArray(waiting, dims="waiting"),
        "checkpoint": xr.DataArray(partner, dims="waiting"),
    }
    moved = runs["displacement"].sel(rank=LEADING).drop_vars("step").isel(index)
    return moved.clip(min=RESOLUTION).assign_coords(step=("waiting", steps[waiting]))


def leading_localization(runs: xr.Dataset) -> xr.DataArray:
    """Return log10 of the leading eigenvector's IPR, mean over the second half of the training."""
    late = runs["step"] >= runs["step"].max() / 2
    return _log10(runs["inverse_participation_ratio"].sel(rank=LEADING)).where(late).mean("checkpoint")


def _log10(values: xr.DataArray) -> xr.DataArray:
    logarithms: xr.DataArray = xr.apply_ufunc(np.log10, values)
    return logarithms


def _by_seed(values: xr.DataArray) -> Effects:
    return {int(seed): float(value) for seed, value in zip(values["seed"].values, values.values, strict=True)}


def _halves(moved: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    early = moved["step"] < (moved["step"].max() + moved["step"].min()) / 2
    return moved.where(early).mean("waiting"), moved.where(~early).mean("waiting")


def stabilization(runs: xr.Dataset, baseline: xr.Dataset, lag: float) -> Effects:
    """Estimate C1: log10 of SGD's mean Δ over the first half of waiting times over that of the second."""
    early, late = _halves(lagged_displacement(runs, lag).sel(optimizer="sgd"))
    return _by_seed(_log10(early / late))


def reorganization(runs: xr.Dataset, baseline: xr.Dataset, lag: float) -> Effects:
    """Estimate C2: log10 of Adam's Δ over SGD's of the same seed, mean over all waiting times."""
    moved = _log10(lagged_displacement(runs, lag))
    return _by_seed((moved.sel(optimizer="adam") - moved.sel(optimizer="sgd")).mean("waiting"))


def localization(runs: xr.Dataset, baseline: xr.Dataset, lag: float) -> Effects:
    """Estimate C3: log10 of Adam's IPR over the null model's median, mean over the second half."""
    draws = draws_for(baseline, "adam")["inverse_participation_ratio"]
    null = _log10(draws.sel(rank=LEADING).median())
    return _by_seed(leading_localization(runs).sel(optimizer="adam") - null)


def attribution(runs: xr.Dataset, baseline: xr.Dataset, lag: float) -> Effects:
    """Estimate C4: log10 IPR of Adam minus that of SGD, in units of what two null draws differ by.

    Means over the second half. The unit is the standard deviation of the difference of two independent draws,
    √2 that of one: what the architecture alone makes of two networks. Displacement has no such unit, for a
    null model without training has no lag.
    """
    spread = _log10(baseline["inverse_participation_ratio"].sel(rank=LEADING)).std(ddof=1)
    local = leading_localization(runs)
    return _by_seed((local.sel(optimizer="adam") - local.sel(optimizer="sgd")) / (np.sqrt(2) * spread))


CLAIMS = (
    Claim(
        "C1",
        "SGD leads to progressively more stable leading curvature directions.",
        "log10( mean Δ over early tw / mean Δ over late tw ), SGD",
        "log10 ratio",
        stabilization,
        ("sgd",),
    ),
    Claim(
        "C2",
        "Adam reorganizes its leading eigenvectors substantially more, throughout training.",
        "mean over tw of log10( Δ of Adam / Δ of SGD ), same seed",
        "log10 ratio",
        reorganization,
        ("adam", "sgd"),
    ),
    Claim(
        "C3",
        "Under Adam the leading eigenvectors localize.",
        "mean over late t of log10( IPR of Adam / median IPR of the null model )",
        "log10 ratio",
        localization,
        ("adam",),
    ),
    Claim(
        "C4",
        "The differences are the optimizer's, not the architecture's.",
        "mean over late t of ( log10 IPR of Adam − of SGD ) / ( √2 standard deviation of null draws )",
        "standard deviations of a null difference",
        attribution,
        ("adam", "sgd"),
    ),
)

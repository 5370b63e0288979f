"""Effects behind the claims, seed by seed: displacement, localization, alignment, and sweeps."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import xarray as xr

from eigendrift.claims.evidence import Estimate, Evidence, NotMeasuredError, RunsByName, Variant
from eigendrift.metrics.arrays import log10
from eigendrift.metrics.draws import draws_for
from eigendrift.metrics.lagged import RESOLUTION, displacement_over_lag, missed_lag
from eigendrift.metrics.sweep import SweptRuns

FULL = "full"
COMPARED = ("adam", "sgd")


def mean_over_ranks(values: xr.DataArray, variant: Variant) -> xr.DataArray:
    """Return the mean over the leading ranks of a variant; NaN where one of them is NaN.

    Raises:
        NotMeasuredError: If fewer eigenpairs were computed.
    """
    if (computed := values.sizes["rank"]) < variant.ranks:
        raise NotMeasuredError(f"the effect is of {variant.ranks} eigenpairs, the study computed {computed}")
    return values.sel(rank=slice(1, variant.ranks)).mean("rank", skipna=False)


def lagged_displacement(
    runs: xr.Dataset, variant: Variant, kind: Literal["displacement", "tracked_displacement"] = "displacement"
) -> xr.DataArray:
    """Return Δ(tw, tw + lag), the mean over the leading ranks, at least `RESOLUTION`.

    Returns:
        float64 (…, waiting), … the dimensions of the runs; the coordinate ``step`` is tw.

    Raises:
        NotMeasuredError: If the few checkpoints with many eigenpairs have no such lag.
    """
    steps = runs["step"].values
    if variant.wide and (nearest := missed_lag(steps, variant.lag)) is not None:
        raise NotMeasuredError(
            f"the {len(steps)} checkpoints with so many eigenpairs have no lag of {variant.lag:g} of the "
            f"training, the nearest is {nearest:g}"
        )
    return mean_over_ranks(displacement_over_lag(runs, variant.lag, kind), variant).clip(min=RESOLUTION)


def log_displacement(runs: xr.Dataset, variant: Variant) -> xr.DataArray:
    """Return log10 Δ, the mean over waiting times; see `lagged_displacement`."""
    return log10(lagged_displacement(runs, variant)).mean("waiting")


def stabilization(evidence: Evidence, variant: Variant) -> Estimate:
    """Estimate C1: log10 of SGD's mean Δ in the first half of waiting times over its mean in the second."""
    moved = lagged_displacement(evidence.runs.sel(optimizer="sgd"), variant)
    is_early = moved["step"] < (moved["step"].max() + moved["step"].min()) / 2
    early, late = moved.where(is_early).mean("waiting"), moved.where(~is_early).mean("waiting")
    return Estimate(log10(early / late), {"early displacement": early, "late displacement": late})


def reorganization(evidence: Evidence, variant: Variant) -> Estimate:
    """Estimate C2: log10 of Adam's Δ over SGD's for the same seed, mean over all waiting times."""
    moved = lagged_displacement(evidence.runs, variant)
    tracked = lagged_displacement(evidence.runs, variant, "tracked_displacement")
    ratio, of_tracked = (log10(each.sel(optimizer="adam") / each.sel(optimizer="sgd")) for each in (moved, tracked))
    details = {
        "share of waiting times at which Adam moves more": (ratio > 0).where(ratio.notnull()).mean("waiting"),
        "the same effect of tracked displacement": of_tracked.mean("waiting"),
    }
    return Estimate(ratio.mean("waiting"), details)


def late_localization(runs: xr.Dataset, variant: Variant) -> xr.DataArray:
    """Return log10 of the leading ranks' mean IPR, averaged over the second half of the training."""
    late = runs["step"] >= runs["step"].max() / 2
    ratio = mean_over_ranks(runs["inverse_participation_ratio"], variant)
    return log10(ratio).where(late).mean("checkpoint")


def null_localization(evidence: Evidence, variant: Variant) -> xr.DataArray:
    """Return log10 of the leading ranks' mean IPR for each draw of Adam's null model, float64 (draw,)."""
    draws = draws_for(evidence.baseline, "adam")
    return log10(mean_over_ranks(draws["inverse_participation_ratio"], variant))


def deal_draws(draws: xr.DataArray, seeds: xr.DataArray) -> xr.DataArray:
    """Deal the draws of a null model to the seeds like cards, and return the mean of each hand.

    With draws of its own for each seed, seeds stay independent. The error of a single number from all draws would be
    the same for all seeds, so neither an interval over seeds nor a test would see it.

    Args:
        draws: float64 (draw,); NaN where a draw did not converge.
        seeds: (seed,), with its coordinate.

    Returns:
        float64 (seed,); NaN where a hand is empty.
    """
    player = np.arange(draws.sizes["draw"]) % seeds.sizes["seed"]
    hands = [draws.isel(draw=player == number).mean("draw") for number in range(seeds.sizes["seed"])]
    return xr.concat(hands, "seed").assign_coords(seed=seeds["seed"])


def localization(evidence: Evidence, variant: Variant) -> Estimate:
    """Estimate C3: log10 of Adam's IPR in the second half over the IPR of the seed's own null draws."""
    local = late_localization(evidence.runs.sel(optimizer="adam"), variant)
    null = deal_draws(null_localization(evidence, variant), local)
    return Estimate(local - null, {"log10 IPR of Adam": local, "log10 IPR of the null model": null})


def attribution(evidence: Evidence, variant: Variant) -> Estimate:
    """Estimate C4: Adam's log10 IPR minus SGD's, in units of the difference between two null draws.

    The unit is √2 times the standard deviation of one draw: the difference that the architecture alone makes between
    two networks. All seeds share it, so its relative error from few draws, about 1/√(2 (draws − 1)), appears in no
    interval over seeds. Displacement has no such unit, because a null model without training has no lag.
    """
    unit = float(np.sqrt(2) * null_localization(evidence, variant).std(ddof=1))
    local = late_localization(evidence.runs, variant)
    contrast = local.sel(optimizer="adam") - local.sel(optimizer="sgd")
    details = {"log10 IPR of Adam over SGD": contrast, "unit, in log10 IPR": xr.full_like(contrast, unit)}
    return Estimate(contrast / unit, details)


def coincidence(evidence: Evidence, variant: Variant) -> Estimate:
    """Estimate C5: the mismatch between update and gradient alignment for Adam minus the same for SGD."""
    apart = abs(abs(evidence.runs["update_alignment"]) - abs(evidence.runs["gradient_alignment"]))
    mismatch = mean_over_ranks(apart, variant).mean("checkpoint")
    adam, sgd = mismatch.sel(optimizer="adam"), mismatch.sel(optimizer="sgd")
    return Estimate(adam - sgd, {"mismatch of Adam": adam, "mismatch of SGD": sgd})


def full_batch_departure(evidence: Evidence, variant: Variant) -> Estimate:
    """Estimate C5b: how much farther gradient alignment departs with full batches than with others."""
    usual = evidence.runs.attrs["batch_size"]
    effects: list[xr.DataArray] = []
    details: dict[str, xr.DataArray] = {}
    for optimizer, by_size in full_batch_runs(evidence).items():
        aligned = {
            size: mean_over_ranks(abs(runs["gradient_alignment"]), variant).mean("checkpoint")
            for size, runs in by_size.items()
        }
        departures = {size: abs(aligned[size] - aligned[usual]) for size in by_size if size != usual}
        full = departures.pop(FULL)
        effects.append(full - xr.concat(departures.values(), "size").max("size", skipna=False))
        details |= {f"alignment, {optimizer}, batch size {size}": mean for size, mean in aligned.items()}
    return Estimate(xr.concat(effects, "optimizer").mean("optimizer", skipna=False), details)


def smallest_contrast(evidence: Evidence, variant: Variant) -> Estimate:
    """Estimate C6: the smallest contrast between Adam and SGD over batch sizes other than the full batch.

    The smallest of several noisy numbers is biased downwards, against the claim.
    """
    swept = mini_batch_runs(evidence)
    contrasts = {
        f"{name}, batch size {size}": measure(swept["adam"][size], variant) - measure(swept["sgd"][size], variant)
        for name, measure in (("displacement", log_displacement), ("IPR", late_localization))
        for size in swept["adam"]
        if size in swept["sgd"]
    }
    stacked = xr.concat(contrasts.values(), "contrast", join="outer")
    return Estimate(stacked.min("contrast", skipna=False), contrasts)


def largest_change(evidence: Evidence, variant: Variant) -> Estimate:
    """Estimate C7: the largest minus the smallest log10 of Adam's Δ over SGD's, over learning-rate pairs.

    The range of several noisy numbers is biased upwards, against the claim that there is no change.
    """
    moved = {
        name: {rate: log_displacement(runs, variant) for rate, runs in by_rate.items()}
        for name, by_rate in learning_rate_runs(evidence).items()
    }
    contrasts = {
        f"Adam at {own}, SGD at {other}": adam - sgd
        for own, adam in moved["adam"].items()
        for other, sgd in moved["sgd"].items()
    }
    stacked = xr.concat(contrasts.values(), "contrast", join="outer")
    change = stacked.max("contrast", skipna=False) - stacked.min("contrast", skipna=False)
    return Estimate(change, contrasts)


def main_runs(*optimizers: str) -> Callable[[Evidence], RunsByName]:
    """Return a function that selects the main experiment's runs of some optimizers."""

    def selected(evidence: Evidence) -> RunsByName:
        present = evidence.runs["optimizer"].values
        if absent := [name for name in optimizers if name not in present]:
            raise NotMeasuredError(f"the study has no runs of {' and '.join(absent)}")
        return {name: evidence.runs.sel(optimizer=name) for name in optimizers}

    return selected


def sweep_runs(select: Callable[[Evidence], SweptRuns]) -> Callable[[Evidence], RunsByName]:
    """Return a function that names the runs of a sweep that ``select`` returns."""

    def selected(evidence: Evidence) -> RunsByName:
        return {
            f"{optimizer} at {value}": runs
            for optimizer, by_value in select(evidence).items()
            for value, runs in by_value.items()
        }

    return selected


def full_batch_runs(evidence: Evidence) -> SweptRuns:
    """Return Adam's and SGD's runs over batch sizes.

    Raises:
        NotMeasuredError: If the study has no sweep with the full batch, the usual batch size and another one.
    """
    swept = _compared(evidence.batch_sizes, "batch sizes")
    usual = evidence.runs.attrs["batch_size"]
    others = {size for by_size in swept.values() for size in by_size} - {FULL, usual}
    if not others or any(not {FULL, usual} <= set(by_size) for by_size in swept.values()):
        raise NotMeasuredError("the sweep over batch sizes lacks the full batch, the usual one, or another one")
    return swept


def mini_batch_runs(evidence: Evidence) -> SweptRuns:
    """Return Adam's and SGD's runs over batch sizes, without the full batch.

    Raises:
        NotMeasuredError: If there are fewer than two batch sizes, so that nothing varies.
    """
    swept = _compared(evidence.batch_sizes, "batch sizes")
    mini = {name: {size: by_size[size] for size in by_size if size != FULL} for name, by_size in swept.items()}
    return _varied(mini, "batch sizes")


def learning_rate_runs(evidence: Evidence) -> SweptRuns:
    """Return Adam's and SGD's runs over learning rates.

    Raises:
        NotMeasuredError: If neither has two learning rates, so that nothing varies.
    """
    return _varied(_compared(evidence.learning_rates, "learning rates"), "learning rates")


def _compared(swept: SweptRuns | None, name: str) -> SweptRuns:
    """Return Adam's and SGD's runs of a sweep; None means that it lacks the eigenpairs of the variant."""
    if swept is None:
        raise NotMeasuredError(f"so many eigenpairs are computed of the main experiment, not over {name}")
    if not swept:
        raise NotMeasuredError(f"the study has no sweep over {name} on this data set")
    if absent := [optimizer for optimizer in COMPARED if optimizer not in swept]:
        raise NotMeasuredError(f"the sweep over {name} has no runs of {' and '.join(absent)}")
    return {optimizer: swept[optimizer] for optimizer in COMPARED}


def _varied(swept: SweptRuns, name: str) -> SweptRuns:
    if max(map(len, swept.values())) < 2:  # noqa: PLR2004
        raise NotMeasuredError(f"the sweep has fewer than two {name} to compare")
    return swept

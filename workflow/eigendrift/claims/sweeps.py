"""Whether the contrasts between Adam and SGD outlast other batch sizes and learning rates."""

from collections.abc import Callable, Mapping

import xarray as xr

from eigendrift.claims.displacement import log_displacement
from eigendrift.claims.evidence import Consulted, Estimate, Evidence, NotMeasuredError, Variant
from eigendrift.claims.localization import late_localization
from eigendrift.metrics.sweep import SweptRuns

FULL = "full"
COMPARED = ("adam", "sgd")


def of_two(swept: SweptRuns | None, name: str) -> SweptRuns:
    """Return Adam's and SGD's runs of a sweep.

    Args:
        swept: The sweep on a data set; None if it lacks the eigenpairs that are asked for.
        name: What varies, as readers write it.

    Raises:
        NotMeasuredError: The study has no such sweep on this data set, or it lacks one of the two.
    """
    if swept is None:
        raise NotMeasuredError(f"so many eigenpairs are computed of the main experiment, not over {name}")
    if not swept:
        raise NotMeasuredError(f"the study has no sweep over {name} on this data set")
    if absent := [optimizer for optimizer in COMPARED if optimizer not in swept]:
        raise NotMeasuredError(f"the sweep over {name} has no runs of {' and '.join(absent)}")
    return {optimizer: swept[optimizer] for optimizer in COMPARED}


def mini_batch_runs(evidence: Evidence) -> SweptRuns:
    """Return Adam's and SGD's runs over batch sizes, without the full batch.

    Raises:
        NotMeasuredError: There are fewer than two batch sizes, so that nothing varies.
    """
    swept = of_two(evidence.batch_sizes, "batch sizes")
    mini = {
        name: {size: by_size[size] for size in by_size if size != FULL} for name, by_size in swept.items()
    }
    return _varied(mini, "batch sizes")


def learning_rate_runs(evidence: Evidence) -> SweptRuns:
    """Return Adam's and SGD's runs over learning rates.

    Raises:
        NotMeasuredError: Neither has two learning rates, so that nothing varies.
    """
    return _varied(of_two(evidence.learning_rates, "learning rates"), "learning rates")


def _varied(swept: SweptRuns, name: str) -> SweptRuns:
    if max(map(len, swept.values())) < len(COMPARED):
        raise NotMeasuredError(f"the sweep has fewer than two {name} to compare")
    return swept


def consulted(choose: Callable[[Evidence], SweptRuns]) -> Callable[[Evidence], Consulted]:
    """Say that an estimate rests on the runs of a sweep that ``choose`` returns."""

    def by_name(evidence: Evidence) -> Mapping[str, xr.Dataset]:
        return {
            f"{optimizer} at {value}": runs
            for optimizer, by_value in choose(evidence).items()
            for value, runs in by_value.items()
        }

    return by_name


def smallest_contrast(evidence: Evidence, variant: Variant) -> Estimate:
    """Estimate C6: the smallest of Adam's contrasts to SGD over batch sizes, the full batch excepted.

    Contrasts are that of C2, in displacement, and that of log10 IPR in the second half. The smallest of
    several noisy numbers leans down, against the claim.
    """
    swept = mini_batch_runs(evidence)
    contrasts = {
        f"{name}, batch size {size}": measure(swept["adam"][size], variant)
        - measure(swept["sgd"][size], variant)
        for name, measure in (("displacement", log_displacement), ("IPR", late_localization))
        for size in swept["adam"]
        if size in swept["sgd"]
    }
    return Estimate(_stacked(contrasts).min("contrast", skipna=False), contrasts)


def largest_change(evidence: Evidence, variant: Variant) -> Estimate:
    """Estimate C7: the largest minus the smallest log10 of Adam's Δ over SGD's, over pairs of learning rates.

    The range of several noisy numbers leans up, against the claim that there is no change.
    """
    swept = learning_rate_runs(evidence)
    moved = {
        name: {rate: log_displacement(runs, variant) for rate, runs in by_rate.items()}
        for name, by_rate in swept.items()
    }
    contrasts = {
        f"Adam at {own}, SGD at {other}": adam - sgd
        for own, adam in moved["adam"].items()
        for other, sgd in moved["sgd"].items()
    }
    stacked = _stacked(contrasts)
    change = stacked.max("contrast", skipna=False) - stacked.min("contrast", skipna=False)
    return Estimate(change, contrasts)


def _stacked(contrasts: Mapping[str, xr.DataArray]) -> xr.DataArray:
    stacked: xr.DataArray = xr.concat(contrasts.values(), "contrast", join="outer")
    return stacked

"""Effects in how few parameters carry the leading eigenvectors."""

import numpy as np
import xarray as xr

from eigendrift.claims.evidence import Estimate, Evidence, Variant, leading
from eigendrift.metrics.draws import draws_for
from eigendrift.metrics.logarithms import log10


def late_localization(runs: xr.Dataset, variant: Variant) -> xr.DataArray:
    """Return log10 of the IPR, the mean over the leading ranks, mean over the second half of the training."""
    late = runs["step"] >= runs["step"].max() / 2
    ratio = leading(runs["inverse_participation_ratio"], variant)
    return log10(ratio).where(late).mean("checkpoint")


def null_localization(evidence: Evidence, variant: Variant) -> xr.DataArray:
    """Return log10 of the IPR, the mean over the leading ranks, of each draw of Adam's null model.

    Returns:
        float64 (draw,).
    """
    return log10(leading(draws_for(evidence.baseline, "adam")["inverse_participation_ratio"], variant))


def dealt(draws: xr.DataArray, seeds: xr.DataArray) -> xr.DataArray:
    """Deal the draws of a null model out to seeds like cards, and return the mean of each hand.

    Compared with draws of their own, seeds stay independent of each other, and what chance there is in the
    draws shows in the spread over seeds. One number made of all draws would err for all seeds alike, which
    neither an interval over seeds nor a test would see.

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
    """Estimate C3: log10 of Adam's IPR in the second half over that of null draws, each seed's own."""
    local = late_localization(evidence.runs.sel(optimizer="adam"), variant)
    null = dealt(null_localization(evidence, variant), local)
    return Estimate(local - null, {"log10 IPR of Adam": local, "log10 IPR of the null model": null})


def attribution(evidence: Evidence, variant: Variant) -> Estimate:
    """Estimate C4: log10 IPR of Adam minus that of SGD, in units of what two null draws differ by.

    Means over the second half. The unit is the standard deviation of the difference of two independent draws,
    √2 that of one: what the architecture alone makes of two networks. Displacement has no such unit, for a
    null model without training has no lag. The unit is the same for all seeds, so the error that few draws
    leave in it, about 1/√(2 (draws − 1)) of it, is in no interval over seeds.
    """
    unit = float(np.sqrt(2) * null_localization(evidence, variant).std(ddof=1))
    local = late_localization(evidence.runs, variant)
    contrast = local.sel(optimizer="adam") - local.sel(optimizer="sgd")
    details = {"log10 IPR of Adam over SGD": contrast, "unit, in log10 IPR": xr.full_like(contrast, unit)}
    return Estimate(contrast / unit, details)

"""Effects in how gradient and update lie to the leading eigenvectors."""

import xarray as xr

from eigendrift.claims.evidence import Estimate, Evidence, NotMeasuredError, Variant, leading
from eigendrift.claims.sweeps import FULL, of_two
from eigendrift.metrics.sweep import SweptRuns


def mismatch(runs: xr.Dataset, variant: Variant) -> xr.DataArray:
    """Return how far the alignments of update and gradient lie apart, mean over checkpoints and ranks.

    | |⟨u/|u|, v_i⟩| − |⟨g/|g|, v_i⟩| |, from 0, where update and gradient are parallel, to 1.
    """
    apart = abs(abs(runs["update_alignment"]) - abs(runs["gradient_alignment"]))
    return leading(apart, variant).mean("checkpoint")


def coincidence(evidence: Evidence, variant: Variant) -> Estimate:
    """Estimate C5: how much farther the alignments of update and gradient lie apart for Adam than for SGD."""
    apart = mismatch(evidence.runs, variant)
    adam, sgd = apart.sel(optimizer="adam"), apart.sel(optimizer="sgd")
    return Estimate(adam - sgd, {"mismatch of Adam": adam, "mismatch of SGD": sgd})


def full_batch_runs(evidence: Evidence) -> SweptRuns:
    """Return Adam's and SGD's runs over batch sizes.

    Raises:
        NotMeasuredError: The study has no sweep with the full batch, the usual batch size and another one.
    """
    swept = of_two(evidence.batch_sizes, "batch sizes")
    usual = evidence.runs.attrs["batch_size"]
    others = {size for by_size in swept.values() for size in by_size} - {FULL, usual}
    if not others or any(not {FULL, usual} <= set(by_size) for by_size in swept.values()):
        raise NotMeasuredError(
            "the sweep over batch sizes lacks the full batch, the usual one, or another one"
        )
    return swept


def full_batch_departure(evidence: Evidence, variant: Variant) -> Estimate:
    """Estimate C5b: how much farther gradient alignment departs with full batches than with others.

    The departure of a batch size B is |a(B) − a(b)|, for a the mean over checkpoints and ranks of
    |⟨g/|g|, v_i⟩| and b the main experiment's batch size; the effect is that of the full batch minus the
    largest of the others, mean over Adam and SGD.
    """
    usual = evidence.runs.attrs["batch_size"]
    effects: list[xr.DataArray] = []
    details: dict[str, xr.DataArray] = {}
    for optimizer, by_size in full_batch_runs(evidence).items():
        aligned = {
            size: leading(abs(runs["gradient_alignment"]), variant).mean("checkpoint")
            for size, runs in by_size.items()
        }
        departures = {size: abs(aligned[size] - aligned[usual]) for size in by_size if size != usual}
        full = departures.pop(FULL)
        effects.append(full - xr.concat(departures.values(), "size").max("size", skipna=False))
        details |= {f"alignment, {optimizer}, batch size {size}": mean for size, mean in aligned.items()}
    return Estimate(xr.concat(effects, "optimizer").mean("optimizer", skipna=False), details)

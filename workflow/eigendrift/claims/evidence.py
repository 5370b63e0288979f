"""What the claims about one data set are decided on, and what estimators make of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import xarray as xr

from eigendrift.claims.null_validity import NullValidity
from eigendrift.metrics.collection import Collection
from eigendrift.metrics.sweep import SweptRuns

# The runs that an estimate rests on, each with the dimension seed, by what to call them.
Consulted = Mapping[str, xr.Dataset]


class NotMeasuredError(Exception):
    """The study lacks what an estimate needs; the message says what."""


@dataclass(frozen=True)
class Variant:
    """How an effect is measured.

    Attributes:
        ranks: Statistics are means over so many leading eigenvectors.
        lag: Lag of displacements, as a share of the training.
        wide: Whether it is measured at the checkpoints that have many eigenpairs, which are few.
    """

    ranks: int
    lag: float
    wide: bool = False


@dataclass(frozen=True)
class Evidence:
    """The measured runs on one data set.

    Attributes:
        runs: Those of the main experiment, see `eigendrift.metrics.collection.Collection`.
        baseline: The baseline of the null model.
        batch_sizes: Those of the sweep over batch sizes; empty if the study has none on this data set, None
            if it has none with so many eigenpairs.
        learning_rates: Those of the sweep over learning rates; likewise.
        wide: The same runs with more eigenpairs at fewer checkpoints, and a baseline with as many; None if
            no estimate asks for them.
        validity: What the validation says of the null model; None where it was not validated.
    """

    runs: xr.Dataset
    baseline: xr.Dataset
    batch_sizes: SweptRuns | None = field(default_factory=dict)
    learning_rates: SweptRuns | None = field(default_factory=dict)
    wide: "Evidence | None" = None
    validity: NullValidity | None = None

    def at(self, variant: Variant) -> "Evidence":
        """Return the evidence that a variant is measured on."""
        return self.wide if variant.wide and self.wide else self


@dataclass(frozen=True)
class Estimate:
    """Effects, and numbers that help to read them.

    Attributes:
        effects: float64 (seed,), in the claim's unit; NaN where a seed cannot tell.
        details: By name, float64 (seed,).
    """

    effects: xr.DataArray
    details: Mapping[str, xr.DataArray]


Estimator = Callable[[Evidence, Variant], Estimate]


def gather(
    collection: Collection,
    batch_sizes: Mapping[str, SweptRuns],
    learning_rates: Mapping[str, SweptRuns],
    wide: Collection | None = None,
    validities: Mapping[str, NullValidity] | None = None,
) -> dict[str, Evidence]:
    """Put together what was measured on each data set of the main experiment.

    Args:
        collection: The main experiment's runs and the baselines of the null model.
        batch_sizes: Those of the sweep over batch sizes, by data set.
        learning_rates: Those of the sweep over learning rates, by data set.
        wide: The main experiment's runs and the null model with more eigenpairs, if they are there.
        validities: What the validation says of the null model, by data set.
    """
    validities = validities or {}
    return {
        dataset: Evidence(
            runs,
            collection.baselines[dataset],
            batch_sizes.get(dataset, {}),
            learning_rates.get(dataset, {}),
            Evidence(
                wide.runs[dataset], wide.baselines[dataset], None, None, validity=validities.get(dataset)
            )
            if wide
            else None,
            validities.get(dataset),
        )
        for dataset, runs in collection.runs.items()
    }


def leading(values: xr.DataArray, variant: Variant) -> xr.DataArray:
    """Return the mean over the leading ranks; NaN where one of them is.

    Args:
        values: With the dimension rank.
        variant: How many ranks.

    Raises:
        NotMeasuredError: Fewer eigenpairs were computed.
    """
    if (computed := values.sizes["rank"]) < variant.ranks:
        raise NotMeasuredError(f"the effect is of {variant.ranks} eigenpairs, the study computed {computed}")
    return values.sel(rank=slice(1, variant.ranks)).mean("rank", skipna=False)


def main_runs(*optimizers: str) -> Callable[[Evidence], Consulted]:
    """Say that an estimate rests on the main experiment's runs of some optimizers."""

    def consulted(evidence: Evidence) -> Consulted:
        there = evidence.runs["optimizer"].values
        if absent := [name for name in optimizers if name not in there]:
            raise NotMeasuredError(f"the study has no runs of {' and '.join(absent)}")
        return {name: evidence.runs.sel(optimizer=name) for name in optimizers}

    return consulted

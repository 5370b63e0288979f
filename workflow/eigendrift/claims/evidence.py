"""What the claims about one data set are decided from."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import xarray as xr

from eigendrift.claims.null_validity import NullValidity, read_null_validity
from eigendrift.metrics.collection import Collection, collect
from eigendrift.metrics.lagged import missed_lag
from eigendrift.metrics.sweep import SweptRuns, read_swept_runs

# Runs by the name that reasons call them, each with the dimension seed.
RunsByName = Mapping[str, xr.Dataset]


class NotMeasuredError(Exception):
    """The study lacks what an estimate needs; the message says what."""


@dataclass(frozen=True)
class Variant:
    """How an effect is measured.

    Attributes:
        ranks: Number of leading eigenvectors that statistics are averaged over.
        lag: Lag of displacements, as a share of the training.
        wide: Whether to measure at the few checkpoints that have many eigenpairs.
    """

    ranks: int
    lag: float
    wide: bool = False


@dataclass(frozen=True)
class Evidence:
    """The measured runs on one data set.

    Attributes:
        runs: Runs of the main experiment, see `eigendrift.metrics.collection.Collection`.
        baseline: The baseline of the null model.
        batch_sizes: Runs of the sweep over batch sizes; empty if the study has no such sweep on this data set, None if
            the sweep lacks the many eigenpairs of ``wide``.
        learning_rates: The same for the sweep over learning rates.
        wide: The same runs with more eigenpairs at fewer checkpoints, and a baseline with as many; None if
            no estimate needs them.
        null_validity: What the validation says about the null model; None where it was not validated.
    """

    runs: xr.Dataset
    baseline: xr.Dataset
    batch_sizes: SweptRuns | None = field(default_factory=dict)
    learning_rates: SweptRuns | None = field(default_factory=dict)
    wide: "Evidence | None" = None
    null_validity: NullValidity | None = None


@dataclass(frozen=True)
class Estimate:
    """Effects, and numbers that help to read them.

    Attributes:
        effects: float64 (seed,), in the claim's unit; NaN where a seed has no estimate.
        details: By name, float64 (seed,).
    """

    effects: xr.DataArray
    details: Mapping[str, xr.DataArray]


Estimator = Callable[[Evidence, Variant], Estimate]
Paths = Iterable[str | Path]


def read_evidence(
    metrics: Paths,
    baselines: Paths,
    validation: str | Path,
    departure: str | Path,
    batch_sizes: Paths = (),
    learning_rates: Paths = (),
    wide_metrics: Paths = (),
    wide_baselines: Paths = (),
) -> tuple[Collection, dict[str, Evidence]]:
    """Read what was measured on each data set of the main experiment.

    Args:
        metrics: Metrics stores of the main experiment.
        baselines: Baseline stores of the null model that claims use.
        validation: null_validation.csv.
        departure: null_departure.csv.
        batch_sizes: Metrics stores of the sweep over batch sizes.
        learning_rates: Metrics stores of the sweep over learning rates.
        wide_metrics: Metrics stores of the main experiment with more eigenpairs.
        wide_baselines: Baseline stores with as many eigenpairs.

    Returns:
        The main experiment, and the evidence by data set.

    Raises:
        UserError: If a store or table is missing or damaged.
    """
    collection, wide = collect(metrics, baselines), collect(wide_metrics, wide_baselines)
    sizes = read_swept_runs(batch_sizes, "batch_size")
    rates = read_swept_runs(learning_rates, "learning_rate")
    validities = read_null_validity(Path(validation), Path(departure), collection.null_model, collection.runs)
    evidence = {}
    for name, runs in collection.runs.items():
        validity, more = validities[name], None
        if wide.runs:
            more = Evidence(wide.runs[name], wide.baselines[name], None, None, null_validity=validity)
        swept = sizes.get(name, {}), rates.get(name, {})
        evidence[name] = Evidence(runs, collection.baselines[name], *swept, more, validity)
    return collection, evidence


def notes_on_lags(runs: xr.Dataset, dataset: str, lags: Iterable[float]) -> list[str]:
    """Return a note for each lag that the checkpoints of a data set's runs do not have."""
    steps = runs["step"].values
    return [
        f"{dataset}: checkpoints have no lag of {lag:g} of the training, {nearest:g} is measured instead"
        for lag in dict.fromkeys(lags)
        if (nearest := missed_lag(steps, lag)) is not None
    ]

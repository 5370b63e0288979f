"""Where the claims hold: their effects over training-set sizes, learning rates and lengths of training.

A regime is a size, a learning rate of each optimizer, and a length. The learning rate is constant, so the
first steps of a training are a shorter training: lengths cost nothing.

C1 to C5 are decided in each regime. C7, which is about learning rates, is decided for each size and length,
over all of them. C5b and C6 are about batch sizes, of which there is one here. Tests are corrected over the
claims of one regime, not over regimes: the map describes, where `eigendrift.claims.decide` concludes.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from eigendrift.claims.decide import Outcome, outcomes_of
from eigendrift.claims.estimators import CLAIMS, Claim
from eigendrift.claims.evidence import Evidence, Variant
from eigendrift.metrics.collection import stack_optimizers
from eigendrift.metrics.copies import copies
from eigendrift.metrics.sweep import SweptRuns
from eigendrift.training.checkpoints import diverged_from

COMPARED = ("sgd", "adam")
OVER_RATES = ("C7",)
OF_PAIRS = ("C1", "C2", "C3", "C4", "C5")
REGIME = ("dataset", "training_samples", "sgd_learning_rate", "adam_learning_rate", "steps")
FITTED = ("sgd_train_accuracy", "adam_train_accuracy", "sgd_train_loss", "adam_train_loss", "interpolating")
EFFECT = ("verdict", "effect", "low", "high", "lowest_seed", "highest_seed", "n")
COLUMNS = (
    "claim",
    *REGIME,
    *EFFECT,
    "smallest_effect",
    "equivalence",
    "unit",
    *FITTED,
    "reason",
    "statement",
)


@dataclass(frozen=True)
class TrainingSet:
    """The runs on one training set, at several learning rates.

    Attributes:
        dataset: Name of the whole data set.
        samples: Number of training samples.
        runs: Adam's and SGD's, by learning rate.
        baseline: The baseline of the null model on these samples.
    """

    dataset: str
    samples: int
    runs: SweptRuns
    baseline: xr.Dataset


def shortened(runs: xr.Dataset, share: float) -> xr.Dataset:
    """Return the metrics of the shorter training that a training begins with.

    Args:
        runs: Metrics of runs with the same checkpoints.
        share: Length, as a share of the whole; it ends at the last checkpoint before or there.

    Returns:
        The same without ``final_overlap``, whose end is another one. A divergence later on has not happened;
        what came back to the initial loss only later had diverged.
    """
    steps = runs["step"].values
    kept = np.flatnonzero(steps <= round(share * int(steps[-1])))
    index = {dim: kept for dim in ("waiting", "checkpoint") if dim in runs.dims}

    def not_come_back(losses: np.ndarray) -> float:
        from_where = diverged_from(losses)
        return math.nan if from_where is None else float(steps[from_where])

    losses = runs["train_loss"].isel(checkpoint=kept)
    at = xr.apply_ufunc(not_come_back, losses, input_core_dims=[["checkpoint"]], vectorize=True)
    diverged = runs["diverged_at"].where(runs["diverged_at"] <= steps[kept[-1]], at)
    return runs.drop_vars("final_overlap", errors="ignore").isel(index).assign(diverged_at=diverged)


def decide_regimes(
    training_sets: Iterable[TrainingSet],
    pairs: Sequence[tuple[float, float]],
    lengths: Sequence[float],
    settings: Mapping[str, Any],
) -> pd.DataFrame:
    """Decide the claims in every regime.

    Args:
        training_sets: The measured runs.
        pairs: Learning rates of SGD and Adam that are compared.
        lengths: Shares of the training.
        settings: ``claims`` of the configuration.

    Returns:
        A row for each claim and regime. ``interpolating`` says which optimizers end with every training
        sample classified right, in all runs that the row rests on; accuracies and losses are their means.
    """
    rows = [
        row
        for training_set in training_sets
        for length in lengths
        for row in _rows(training_set, pairs, length, settings)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(
    training_set: TrainingSet,
    pairs: Sequence[tuple[float, float]],
    length: float,
    settings: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    """Decide the claims on one training set and at one length."""
    cut: SweptRuns = {
        name: {rate: shortened(runs, length) for rate, runs in training_set.runs[name].items()}
        for name in COMPARED
    }
    of_pairs: list[tuple[SweptRuns, Sequence[str]]] = [
        ({name: {rate: cut[name][rate]} for name, rate in zip(COMPARED, pair, strict=True)}, OF_PAIRS)
        for pair in pairs
    ]
    for swept, names in [*of_pairs, (cut, OVER_RATES)]:
        first = {name: next(iter(by_rate.values())) for name, by_rate in swept.items()}
        evidence = Evidence(stack_optimizers(first), training_set.baseline, learning_rates=swept)
        claims = [claim for claim in CLAIMS if claim.name in names]
        found = outcomes_of(evidence, Variant(1, settings["lag"]), settings, claims)
        rates = {
            f"{name}_learning_rate": next(iter(by_rate)) if names == OF_PAIRS else None
            for name, by_rate in swept.items()
        }
        regime = {
            "dataset": training_set.dataset,
            "training_samples": training_set.samples,
            **rates,
            "steps": int(first["sgd"]["step"].values[-1]),
            **_fit(swept),
        }
        for claim in claims:
            yield {**regime, **_entry(claim, found[claim.name], settings)}


def _entry(claim: Claim, outcome: Outcome, settings: Mapping[str, Any]) -> dict[str, Any]:
    low, high = outcome.interval or (None, None)
    each = outcome.seeds.values()
    return {
        "claim": claim.name,
        "verdict": outcome.verdict,
        "effect": outcome.effect,
        "low": low,
        "high": high,
        "lowest_seed": min(each, default=None),
        "highest_seed": max(each, default=None),
        "n": outcome.n,
        "smallest_effect": settings["smallest_effect"][claim.name],
        "equivalence": claim.equivalence,
        "unit": claim.unit,
        "reason": outcome.reason,
        "statement": claim.statement,
    }


def _without_copies(runs: xr.Dataset) -> xr.Dataset:
    return runs.drop_sel(seed=list(copies(runs)))


def _fit(swept: SweptRuns) -> dict[str, Any]:
    """Say how well the training samples are fitted at the end."""
    ends = {
        name: [
            runs[["train_accuracy", "train_loss"]].isel(checkpoint=-1).where(runs["diverged_at"].isnull())
            for runs in map(_without_copies, by_rate.values())
        ]
        for name, by_rate in swept.items()
    }
    fit: dict[str, Any] = {
        f"{name}_{measure}": pd.concat([end[measure].to_series() for end in listed]).mean()
        for name, listed in ends.items()
        for measure in ("train_accuracy", "train_loss")
    }
    # A run that has diverged has no accuracy, and fits nothing.
    perfect = [
        name for name, listed in ends.items() if all((end["train_accuracy"] == 1).all() for end in listed)
    ]
    return fit | {"interpolating": " and ".join(perfect) or "neither"}

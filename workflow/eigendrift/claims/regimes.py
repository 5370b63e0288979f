"""Where the claims hold: their effects over training-set sizes, learning rates and lengths of training.

A regime is a size, a learning rate of each optimizer, and a length. The learning rate is constant, so the first steps
of a training are a shorter training, and lengths cost nothing. C7, which is about learning rates, is decided over all
learning rates. C5b and C6 are about batch sizes, and there is only one here. Tests are corrected over the claims of one
regime, not over regimes, because this map is descriptive.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from eigendrift.claims.catalog import CLAIMS, Claim
from eigendrift.claims.decide import Outcome, decide_variant
from eigendrift.claims.evidence import Evidence, Variant
from eigendrift.metrics.collection import stack_optimizers
from eigendrift.metrics.copies import copies
from eigendrift.metrics.sweep import SweptRuns
from eigendrift.training.checkpoints import diverged_from

COMPARED = ("sgd", "adam")
MEASURED = ["train_accuracy", "train_loss"]
AT_RATES = ("C1", "C2", "C3", "C4", "C5")
REGIME = ("dataset", "training_samples", "sgd_learning_rate", "adam_learning_rate", "steps")
FITTED = ("sgd_train_accuracy", "adam_train_accuracy", "sgd_train_loss", "adam_train_loss", "interpolating")
EFFECT = ("verdict", "effect", "low", "high", "lowest_seed", "highest_seed", "n")
COLUMNS = ("claim", *REGIME, *EFFECT, "smallest_effect", "equivalence", "unit", *FITTED, "reason", "statement")


@dataclass(frozen=True)
class TrainingSet:
    """The runs on one training set, at several learning rates.

    Attributes:
        dataset: Name of the whole data set.
        samples: Number of training samples.
        runs: Adam's and SGD's runs, by learning rate.
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
        share: Length, as a share of the whole. The shorter training ends at the last checkpoint up to there.

    Returns:
        The shortened runs without ``final_overlap``, which refers to the end of the whole training. A run that diverges
        only later has not diverged. A run whose loss is above the initial loss at the end, and falls below it only
        later, has diverged.
    """
    steps = runs["step"].values
    kept = np.flatnonzero(steps <= round(share * int(steps[-1])))
    index = {dim: kept for dim in ("waiting", "checkpoint") if dim in runs.dims}

    def diverged_step(losses: np.ndarray) -> float:
        place = diverged_from(losses)
        return math.nan if place is None else float(steps[place])

    losses = runs["train_loss"].isel(checkpoint=kept)
    at = xr.apply_ufunc(diverged_step, losses, input_core_dims=[["checkpoint"]], vectorize=True)
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
        settings: ``claims`` of the configuration, and ``lag``, which is its ``metrics.lag``.

    Returns:
        A row for each claim and regime. ``interpolating`` names the optimizers that end with every training sample
        classified correctly in all runs of the row; accuracies and losses are means over these runs.
    """
    rows = [row for one in training_sets for length in lengths for row in _rows(one, pairs, length, settings)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(
    training_set: TrainingSet, pairs: Sequence[tuple[float, float]], length: float, settings: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the decisions on one training set and at one length."""
    cut: SweptRuns = {
        name: {rate: shortened(runs, length) for rate, runs in training_set.runs[name].items()} for name in COMPARED
    }
    regimes: list[tuple[SweptRuns, Sequence[str]]] = [
        ({name: {rate: cut[name][rate]} for name, rate in zip(COMPARED, pair, strict=True)}, AT_RATES) for pair in pairs
    ]
    for swept, names in [*regimes, (cut, ("C7",))]:
        first = {name: next(iter(by_rate.values())) for name, by_rate in swept.items()}
        evidence = Evidence(stack_optimizers(first), training_set.baseline, learning_rates=swept)
        claims = [claim for claim in CLAIMS if claim.name in names]
        outcomes = decide_variant(evidence, Variant(1, settings["lag"]), settings, claims)
        regime = {
            "dataset": training_set.dataset,
            "training_samples": training_set.samples,
            **{f"{name}_learning_rate": next(iter(swept[name])) for name in swept if names == AT_RATES},
            "steps": int(first["sgd"]["step"].values[-1]),
            **_fit(swept),
        }
        for claim in claims:
            yield {**regime, **_entry(claim, outcomes[claim.name], settings)}


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


def _fit(swept: SweptRuns) -> dict[str, Any]:
    """Return how well the training samples are fitted at the end, without copies."""
    fit: dict[str, Any] = {}
    perfect = []
    for name, by_rate in swept.items():
        ends = [
            runs[MEASURED].isel(checkpoint=-1).where(runs["diverged_at"].isnull()).drop_sel(seed=list(copies(runs)))
            for runs in by_rate.values()
        ]
        for measure in MEASURED:
            fit[f"{name}_{measure}"] = pd.concat([end[measure].to_series() for end in ends]).mean()
        # A diverged run has no accuracy, so its optimizer does not count as fitting every sample.
        if all((end["train_accuracy"] == 1).all() for end in ends):
            perfect.append(name)
    return fit | {"interpolating": " and ".join(perfect) or "neither"}

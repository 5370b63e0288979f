"""Verdicts: a bootstrap interval over seeds against the smallest effect that counts."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import bootstrap

from eigendrift.claims.estimators import CLAIMS, Claim, Effects
from eigendrift.metrics.collection import Collection

FEWEST_SEEDS = 2
RESAMPLING_SEED = 0
NOT_ENOUGH = "too few checkpoints or converged eigenpairs, of the runs or of the null model"


@dataclass(frozen=True)
class Verdict:
    """What the runs of one data set say of one claim.

    Attributes:
        claim: Name of the claim.
        dataset: Data set.
        statement: What the paper says.
        estimator: The effect of one seed, as a formula.
        unit: Unit of the effect.
        effect: Mean over seeds; None if no seed can tell.
        interval: Percentile bootstrap interval of the mean over seeds; None with fewer than two seeds.
        smallest_effect: Smallest effect that counts as the claim, fixed in the configuration.
        verdict: supported (the interval lies above the smallest effect), contradicted (below) or undecided.
        n: Number of seeds in the estimate.
        seeds: Effect of each seed.
        excluded: Seeds left out, with the reason.
        reason: Why the verdict is what it is, in a sentence.
    """

    claim: str
    dataset: str
    statement: str
    estimator: str
    unit: str
    effect: float | None
    interval: tuple[float, float] | None
    smallest_effect: float
    verdict: str
    n: int
    seeds: dict[int, float]
    excluded: dict[int, str]
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def decide_claims(collection: Collection, settings: Mapping[str, Any]) -> list[Verdict]:
    """Decide every claim on every data set.

    Args:
        collection: The measured runs and their baselines.
        settings: ``lag``, ``confidence``, ``resamples`` and ``smallest_effect``, as in the configuration.
    """
    return [_decide(claim, dataset, collection, settings) for dataset in collection.runs for claim in CLAIMS]


def bootstrap_interval(effects: np.ndarray, confidence: float, resamples: int) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval of the mean; None with fewer than two values.

    Args:
        effects: (seed,) finite.
        confidence: Level, such as 0.95.
        resamples: Number of resamples; they are the same at every call.
    """
    if len(effects) < FEWEST_SEEDS:
        return None
    result = bootstrap(
        (effects,),
        np.mean,
        confidence_level=confidence,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(RESAMPLING_SEED),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _decide(claim: Claim, dataset: str, collection: Collection, settings: Mapping[str, Any]) -> Verdict:
    runs = collection.runs[dataset]
    absent = [name for name in claim.needs if name not in runs["optimizer"].values]
    effects: Effects = {}
    if not absent:
        effects = claim.effects(runs, collection.baselines[dataset], settings["lag"])
    reasons = {seed: _why_excluded(runs, claim, seed, effect) for seed, effect in effects.items()}
    usable = {seed: effect for seed, effect in effects.items() if reasons[seed] is None}
    values = np.array(list(usable.values()))
    interval = bootstrap_interval(values, settings["confidence"], settings["resamples"])
    smallest = settings["smallest_effect"][claim.name]
    verdict, reason = _verdict(interval, smallest, absent)
    return Verdict(
        claim=claim.name,
        dataset=dataset,
        statement=claim.statement,
        estimator=claim.estimator,
        unit=claim.unit,
        effect=float(values.mean()) if len(values) else None,
        interval=interval,
        smallest_effect=smallest,
        verdict=verdict,
        n=len(values),
        seeds=usable,
        excluded={seed: why for seed, why in reasons.items() if why is not None},
        reason=reason,
    )


def _verdict(interval: tuple[float, float] | None, smallest: float, absent: list[str]) -> tuple[str, str]:
    if absent:
        return "undecided", f"the study has no runs of {' and '.join(absent)}"
    if interval is None:
        return "undecided", f"fewer than {FEWEST_SEEDS} seeds can tell"
    low, high = interval
    if low > smallest:
        return "supported", f"the whole interval lies above the smallest effect that counts, {smallest:g}"
    if high < smallest:
        return "contradicted", f"the whole interval lies below the smallest effect that counts, {smallest:g}"
    return "undecided", f"the interval holds the smallest effect that counts, {smallest:g}"


def _why_excluded(runs: xr.Dataset, claim: Claim, seed: int, effect: float) -> str | None:
    for optimizer in claim.needs:
        run = runs.sel(seed=seed, optimizer=optimizer)
        if math.isnan(float(run["unconverged"])):
            return f"the study has no run of {optimizer} with this seed"
        # What a run did before it diverged is no measure of training.
        if math.isfinite(at := float(run["diverged_at"])):
            return f"{optimizer} diverged at step {at:.0f}"
    return None if math.isfinite(effect) else NOT_ENOUGH

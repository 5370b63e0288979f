"""Verdicts: an interval over seeds against the smallest effect that counts, and a test.

The rule, for a claim that an effect is large:

- *contradicted* if the whole interval lies below the smallest effect that counts;
- *supported* if the whole interval lies above it, and the sign-flip test, corrected for all claims that are
  tested on the data set, rejects that there is no effect, at the level that goes with the interval's;
- *undecided* otherwise.

For a claim of equivalence, that an effect is small, above and below change places and the test is of the
effect's distance to the bound.

The interval speaks of one claim and leans on the bootstrap; the test leans on symmetry alone and pays for
all claims at once. Without an effect, what may change places is Adam and SGD of a seed (C2, C4, C5), early
and late (C1), a run and its null draws (C3). The extremes in C5b and C6 lean against their claims, which
keeps the test on the safe side; that the effect of C7 is symmetric about its bound is an assumption.

With n seeds its p cannot fall below 2⁻ⁿ, so that few seeds can support nothing, however large the effect:
corrected for five claims it takes seven seeds, for eight claims eight. The test is not waved through where
it cannot speak, because that would drop the correction just where the evidence is thinnest: the verdict is
undecided, and the reason says where the interval lies and how many seeds could decide. A contradiction
needs no test: it is no discovery that several claims could yield by chance, but the finding that one was
not made.

Claims that hold runs against a null model fall with it, see `eigendrift.claims.null_validity`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from eigendrift.claims.estimators import CLAIMS, Claim
from eigendrift.claims.evidence import Consulted, Estimate, Evidence, NotMeasuredError, Variant
from eigendrift.claims.statistics import (
    FEWEST_SEEDS,
    bootstrap_interval,
    detectable_distance,
    holm,
    seeds_for,
    sign_flip_p,
    smallest_p,
)
from eigendrift.metrics.copies import copies

NOT_ENOUGH = "too few checkpoints or converged eigenpairs, of the runs or of the null model"
Interval = tuple[float, float]


@dataclass(frozen=True)
class Outcome:
    """What the seeds say of one claim, its effect measured in one way.

    Attributes:
        verdict: supported, contradicted, undecided, or not measured.
        reason: Why, in a sentence.
        seeds: Effect of each seed in the estimate.
        excluded: Seeds left out, with the reason.
        checkpoints: How many checkpoints of a run the effect is measured at.
        effect: Mean over seeds; None if no seed can tell.
        interval: Studentized bootstrap interval of the mean over seeds; None with too few of them.
        p: Of the sign-flip test; None with too few seeds for an interval.
        corrected_p: The same, Holm-corrected over the claims that are tested on the data set.
        smallest_p: The smallest p that so many seeds could reach.
        smallest_corrected_p: The same for the corrected p.
        detectable_effect: True effect for which the interval of so many seeds, of this spread, would lie on
            the claim's side with 80 % chance; None with too few seeds for an interval.
        details: Numbers that help to read the effect, means over seeds.
    """

    verdict: str
    reason: str
    seeds: dict[int, float] = field(default_factory=dict)
    excluded: dict[int, str] = field(default_factory=dict)
    checkpoints: int = 0
    effect: float | None = None
    interval: Interval | None = None
    p: float | None = None
    corrected_p: float | None = None
    smallest_p: float | None = None
    smallest_corrected_p: float | None = None
    detectable_effect: float | None = None
    details: dict[str, float] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of seeds in the estimate."""
        return len(self.seeds)


@dataclass(frozen=True)
class Verdict:
    """A claim on a data set: the outcome, and how it depends on how the effect is measured.

    Attributes:
        claim: The claim.
        dataset: Data set.
        smallest_effect: Smallest effect that counts, or for a claim of equivalence the bound.
        outcome: With the leading eigenvector and the lag of the configuration.
        sensitivity: The same for other numbers of ranks, other lags and fewer checkpoints.
    """

    claim: Claim
    dataset: str
    smallest_effect: float
    outcome: Outcome
    sensitivity: dict[Variant, Outcome]


def decide_claims(evidence: Mapping[str, Evidence], settings: Mapping[str, Any]) -> list[Verdict]:
    """Decide every claim on every data set.

    Args:
        evidence: The measured runs of each data set.
        settings: ``claims`` of the configuration.
    """
    return [verdict for dataset in evidence for verdict in _decide(dataset, evidence[dataset], settings)]


def _decide(dataset: str, evidence: Evidence, settings: Mapping[str, Any]) -> list[Verdict]:
    usual, lags = Variant(1, settings["lag"]), settings["sensitivity"]["lags"]
    variants = _variants(evidence, settings)
    outcomes = {
        variant: outcomes_of(evidence.at(variant), variant, settings)
        for variant in dict.fromkeys([usual, *variants])
    }
    return [
        Verdict(
            claim,
            dataset,
            settings["smallest_effect"][claim.name],
            outcomes[usual][claim.name],
            {
                variant: outcomes[variant][claim.name]
                for variant in variants
                if (variant.lag in lags if claim.uses_lag else variant.lag == usual.lag)
                and not _is_idle(evidence, variant, outcomes[variant][claim.name])
            },
        )
        for claim in CLAIMS
    ]


def _variants(evidence: Evidence, settings: Mapping[str, Any]) -> list[Variant]:
    """Return the ways to measure: numbers of ranks and lags, and where that takes the wide pairs with these.

    What takes more pairs than all checkpoints have is measured at those that have more. So that k alone
    differs somewhere, fewer ranks are measured there as well.
    """
    ranks, lags = (settings["sensitivity"][name] for name in ("ranks", "lags"))
    choices = [*product(ranks, dict.fromkeys([*lags, settings["lag"]]))]
    computed = evidence.runs.sizes["rank"]
    if evidence.wide is None or max(ranks) <= computed:
        return [Variant(k, lag) for k, lag in choices]
    everywhere = [Variant(k, lag) for k, lag in choices if k <= computed]
    return everywhere + [Variant(k, lag, wide=True) for k, lag in choices]


def _is_idle(evidence: Evidence, variant: Variant, outcome: Outcome) -> bool:
    """Whether a variant that is there for comparison has nothing to compare."""
    for_comparison = variant.wide and variant.ranks <= evidence.runs.sizes["rank"]
    return for_comparison and outcome.verdict == "not measured"


def outcomes_of(
    evidence: Evidence, variant: Variant, settings: Mapping[str, Any], claims: Sequence[Claim] = CLAIMS
) -> dict[str, Outcome]:
    """Decide claims on one data set, measured in one way; they are corrected together.

    Args:
        evidence: The measured runs.
        variant: How effects are measured.
        settings: ``claims`` of the configuration.
        claims: Which claims.

    Returns:
        The outcomes, by name of the claim.
    """
    checkpoints = evidence.runs.sizes["checkpoint"]
    found = {
        claim.name: replace(_measure(claim, evidence, variant, settings), checkpoints=checkpoints)
        for claim in claims
    }
    corrected = holm({name: outcome.p for name, outcome in found.items() if outcome.p is not None})
    for claim in claims:
        if claim.name in corrected:
            outcome = found[claim.name]
            tested = replace(
                outcome,
                corrected_p=corrected[claim.name],
                smallest_corrected_p=min(1.0, len(corrected) * smallest_p(outcome.n)),
            )
            threshold = settings["smallest_effect"][claim.name]
            verdict, reason = _verdict(tested, claim, threshold, 1 - settings["confidence"], len(corrected))
            if claim.uses_null and evidence.validity is not None:
                verdict, reason = evidence.validity.verdict(verdict, reason, variant.ranks)
            found[claim.name] = replace(tested, verdict=verdict, reason=reason)
    return found


def _measure(claim: Claim, evidence: Evidence, variant: Variant, settings: Mapping[str, Any]) -> Outcome:
    """Estimate a claim's effect, its interval and p; the verdict is for later, where it can be one."""
    try:
        runs, estimate = claim.consults(evidence), claim.estimate(evidence, variant)
    except NotMeasuredError as error:
        return Outcome("not measured", str(error))
    copied = {name: copies(of_setting) for name, of_setting in runs.items()}
    seeds_of_estimate = map(int, estimate.effects["seed"])
    reasons = {seed: _why_excluded(runs, copied, estimate, seed) for seed in seeds_of_estimate}
    excluded = {seed: why for seed, why in reasons.items() if why is not None}
    used = estimate.effects.drop_sel(seed=list(excluded))
    seeds = {int(seed): float(effect) for seed, effect in zip(used["seed"], used, strict=True)}
    why = "too few seeds" if len(seeds) < FEWEST_SEEDS else "too many seeds of the same effect"
    return Outcome(
        "undecided",
        f"{why} for an interval of {settings['confidence']:.0%}: {len(seeds)}",
        seeds,
        excluded,
        **_statistics(used.values, claim, settings),
        details=_details(estimate, used),
    )


def _statistics(values: np.ndarray, claim: Claim, settings: Mapping[str, Any]) -> dict[str, Any]:
    if not len(values):
        return {}
    threshold = settings["smallest_effect"][claim.name]
    interval = bootstrap_interval(values, settings["confidence"], settings["resamples"])
    found = {"effect": float(values.mean()), "interval": interval}
    distance = detectable_distance(values, settings["confidence"])
    if distance is None:
        return found
    return found | {
        "p": sign_flip_p(threshold - values if claim.equivalence else values),
        "smallest_p": smallest_p(len(values)),
        "detectable_effect": threshold - distance if claim.equivalence else threshold + distance,
    }


def _details(estimate: Estimate, used: xr.DataArray) -> dict[str, float]:
    means = {name: float(values.sel(seed=used["seed"]).mean()) for name, values in estimate.details.items()}
    return {name: mean for name, mean in means.items() if math.isfinite(mean)}


def _verdict(found: Outcome, claim: Claim, threshold: float, level: float, tests: int) -> tuple[str, str]:
    if found.interval is None:
        return "undecided", found.reason
    low, high = found.interval
    what = "bound" if claim.equivalence else "smallest effect that counts"
    above, below = low > threshold, high < threshold
    if not above and not below:
        return "undecided", f"the interval holds the {what}, {threshold:g}"
    place = f"the whole interval lies {'above' if above else 'below'} the {what}, {threshold:g}"
    if above == claim.equivalence:
        return "contradicted", place
    corrected, least = found.corrected_p or 1.0, found.smallest_corrected_p or 1.0
    if corrected < level:
        return "supported", f"{place}, and the corrected p is {corrected:.2g}"
    if least < level:
        return "undecided", f"{place}, but the corrected p is {corrected:.2g}, not below {level:.2g}"
    return "undecided", (
        f"{place}, but the corrected p of {found.n} seeds cannot be below {least:.2g}; "
        f"{seeds_for(level, tests)} seeds could decide"
    )


def _why_excluded(
    runs: Consulted, copied: Mapping[str, Mapping[int, int]], estimate: Estimate, seed: int
) -> str | None:
    for name, of_setting in runs.items():
        if seed in copied[name]:
            original = copied[name][seed]
            return f"{name} repeats the training of seed {original} to the bit, so it is no replicate"
        if seed not in of_setting["seed"] or math.isnan(float(of_setting["unconverged"].sel(seed=seed))):
            return f"the study has no run of {name} with this seed"
        # What a run did before it diverged is no measure of training.
        if math.isfinite(at := float(of_setting["diverged_at"].sel(seed=seed))):
            return f"{name} diverged at step {at:.0f}"
    return None if math.isfinite(float(estimate.effects.sel(seed=seed))) else NOT_ENOUGH

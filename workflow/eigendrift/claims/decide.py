"""Verdicts: the interval of an effect compared with the smallest effect that counts, and a test.

The rule for a claim that an effect is large:

- *contradicted* if the whole interval lies below the smallest effect that counts;
- *supported* if the whole interval lies above it and the sign-flip test, corrected for all claims that are
  tested on the data set, rejects "no effect" at the level that matches the interval's confidence;
- *undecided* otherwise.

For a claim of equivalence, which says that an effect is small, above and below swap places and the test is about the
distance between the effect and the bound.

The test relies on symmetry alone. Without an effect, these can be exchanged: Adam and SGD of a seed (C2, C4, C5), early
and late (C1), a run and its null draws (C3). The extremes in C5b and C6 are biased against their claims, so the test
stays on the safe side. That the effect of C7 is symmetric about its bound is an assumption.

With n seeds p cannot fall below 2⁻ⁿ, so few seeds can support nothing, however large the effect. We keep the test even
where it has no power, because dropping it would drop the correction where the evidence is thinnest. A contradiction
needs no test, because it is not a discovery that one of several claims could yield by chance.

Claims that compare runs with a null model also need a valid one, see `eigendrift.claims.null_validity`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from eigendrift.claims.catalog import CLAIMS, Claim
from eigendrift.claims.evidence import Estimate, Evidence, NotMeasuredError, RunsByName, Variant
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


@dataclass(frozen=True)
class Outcome:
    """What the seeds say about one claim, whose effect is measured in one way.

    Attributes:
        verdict: supported, contradicted, undecided, or not measured.
        reason: Why, in a sentence.
        seeds: Effect of each seed in the estimate.
        excluded: Seeds that are left out, with the reason.
        checkpoints: Number of checkpoints of a run at which the effect is measured.
        effect: Mean over seeds; None if no seed has an effect.
        interval: Studentized bootstrap interval of the mean over seeds; None with too few seeds.
        p: p of the sign-flip test; None with too few seeds for an interval.
        corrected_p: p, Holm-corrected over the claims that are tested on the data set.
        smallest_p: The smallest p that this number of seeds could reach.
        smallest_corrected_p: The smallest corrected p that this number of seeds could reach.
        detectable_effect: True effect for which the interval would lie on the claim's side with 80 % chance, with this
            number and spread of seeds; None with too few seeds for an interval.
        details: Numbers that help to read the effect, means over seeds.
    """

    verdict: str
    reason: str
    seeds: dict[int, float] = field(default_factory=dict)
    excluded: dict[int, str] = field(default_factory=dict)
    checkpoints: int = 0
    effect: float | None = None
    interval: tuple[float, float] | None = None
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
        smallest_effect: Smallest effect that counts, or the bound for a claim of equivalence.
        outcome: Outcome with the leading eigenvector and the lag of the configuration.
        sensitivity: Outcomes with other numbers of ranks, other lags and fewer checkpoints.
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
        settings: ``claims`` of the configuration, and ``lag``, which is its ``metrics.lag``.
    """
    return [verdict for dataset in evidence for verdict in _decide(dataset, evidence[dataset], settings)]


def _decide(dataset: str, evidence: Evidence, settings: Mapping[str, Any]) -> list[Verdict]:
    usual, lags = Variant(1, settings["lag"]), settings["sensitivity"]["lags"]
    variants = _variants(evidence, settings)
    outcomes = {
        variant: decide_variant(evidence.wide if variant.wide and evidence.wide else evidence, variant, settings)
        for variant in dict.fromkeys([usual, *variants])
    }

    def is_shown(claim: Claim, variant: Variant) -> bool:
        # Fewer ranks at the checkpoints that have more ranks serve only for comparison.
        for_comparison = variant.wide and variant.ranks <= evidence.runs.sizes["rank"]
        if for_comparison and outcomes[variant][claim.name].verdict == "not measured":
            return False
        return variant.lag in lags if claim.uses_lag else variant.lag == usual.lag

    return [
        Verdict(
            claim,
            dataset,
            settings["smallest_effect"][claim.name],
            outcomes[usual][claim.name],
            {variant: outcomes[variant][claim.name] for variant in variants if is_shown(claim, variant)},
        )
        for claim in CLAIMS
    ]


def _variants(evidence: Evidence, settings: Mapping[str, Any]) -> list[Variant]:
    """Return the variants of the sensitivity: numbers of ranks and lags.

    More ranks than all checkpoints have are measured at the checkpoints that have more. There, fewer ranks are measured
    as well, so that some variants differ in the number of ranks alone.
    """
    ranks, lags = (settings["sensitivity"][name] for name in ("ranks", "lags"))
    choices = [*product(ranks, dict.fromkeys([*lags, settings["lag"]]))]
    computed = evidence.runs.sizes["rank"]
    if evidence.wide is None or max(ranks) <= computed:
        return [Variant(k, lag) for k, lag in choices]
    everywhere = [Variant(k, lag) for k, lag in choices if k <= computed]
    return everywhere + [Variant(k, lag, wide=True) for k, lag in choices]


def decide_variant(
    evidence: Evidence, variant: Variant, settings: Mapping[str, Any], claims: Sequence[Claim] = CLAIMS
) -> dict[str, Outcome]:
    """Return the outcomes of claims on one data set and one variant, by name; their tests are corrected together."""
    checkpoints = evidence.runs.sizes["checkpoint"]
    outcomes = {
        claim.name: replace(_measure(claim, evidence, variant, settings), checkpoints=checkpoints) for claim in claims
    }
    corrected = holm({name: outcome.p for name, outcome in outcomes.items() if outcome.p is not None})
    for claim in (claim for claim in claims if claim.name in corrected):
        least = min(1.0, len(corrected) * smallest_p(outcomes[claim.name].n))
        tested = replace(outcomes[claim.name], corrected_p=corrected[claim.name], smallest_corrected_p=least)
        verdict, reason = _verdict(tested, claim, settings, len(corrected))
        if claim.uses_null and evidence.null_validity is not None:
            verdict, reason = evidence.null_validity.restrict(verdict, reason, variant.ranks)
        outcomes[claim.name] = replace(tested, verdict=verdict, reason=reason)
    return outcomes


def _measure(claim: Claim, evidence: Evidence, variant: Variant, settings: Mapping[str, Any]) -> Outcome:
    """Estimate a claim's effect, its interval and p, without a verdict."""
    try:
        runs, estimate = claim.runs(evidence), claim.estimate(evidence, variant)
    except NotMeasuredError as error:
        return Outcome("not measured", str(error))
    copied = {name: copies(seeds) for name, seeds in runs.items()}
    reasons = {seed: _why_excluded(runs, copied, estimate, seed) for seed in map(int, estimate.effects["seed"])}
    excluded = {seed: why for seed, why in reasons.items() if why is not None}
    used = estimate.effects.drop_sel(seed=list(excluded))
    seeds = {int(seed): float(effect) for seed, effect in zip(used["seed"], used, strict=True)}
    means = {name: float(values.sel(seed=used["seed"]).mean()) for name, values in estimate.details.items()}
    why = "too few seeds" if len(seeds) < FEWEST_SEEDS else "too many seeds of the same effect"
    return Outcome(
        "undecided",
        f"{why} for an interval of {settings['confidence']:.0%}: {len(seeds)}",
        seeds,
        excluded,
        **_statistics(used.values, claim, settings),
        details={name: mean for name, mean in means.items() if math.isfinite(mean)},
    )


def _statistics(values: np.ndarray, claim: Claim, settings: Mapping[str, Any]) -> dict[str, Any]:
    if not len(values):
        return {}
    threshold, confidence = settings["smallest_effect"][claim.name], settings["confidence"]
    interval = bootstrap_interval(values, confidence, settings["resamples"])
    found = {"effect": float(values.mean()), "interval": interval}
    if (distance := detectable_distance(values, confidence)) is None:
        return found
    return found | {
        "p": sign_flip_p(threshold - values if claim.equivalence else values),
        "smallest_p": smallest_p(len(values)),
        "detectable_effect": threshold - distance if claim.equivalence else threshold + distance,
    }


def _verdict(outcome: Outcome, claim: Claim, settings: Mapping[str, Any], tests: int) -> tuple[str, str]:
    if outcome.interval is None:
        return "undecided", outcome.reason
    threshold, level = settings["smallest_effect"][claim.name], 1 - settings["confidence"]
    low, high = outcome.interval
    what = "bound" if claim.equivalence else "smallest effect that counts"
    above, below = low > threshold, high < threshold
    if not above and not below:
        return "undecided", f"the interval holds the {what}, {threshold:g}"
    place = f"the whole interval lies {'above' if above else 'below'} the {what}, {threshold:g}"
    if above == claim.equivalence:
        return "contradicted", place
    corrected, least = outcome.corrected_p or 1.0, outcome.smallest_corrected_p or 1.0
    if corrected < level:
        return "supported", f"{place}, and the corrected p is {corrected:.2g}"
    if least < level:
        return "undecided", f"{place}, but the corrected p is {corrected:.2g}, not below {level:.2g}"
    return "undecided", (
        f"{place}, but the corrected p of {outcome.n} seeds cannot be below {least:.2g}; "
        f"{seeds_for(level, tests)} seeds could decide"
    )


def _why_excluded(
    runs: RunsByName, copied: Mapping[str, Mapping[int, int]], estimate: Estimate, seed: int
) -> str | None:
    for name, seeds in runs.items():
        if seed in copied[name]:
            original = copied[name][seed]
            return f"{name} repeats the training of seed {original} to the bit, so it is no replicate"
        if seed not in seeds["seed"] or math.isnan(float(seeds["unconverged"].sel(seed=seed))):
            return f"the study has no run of {name} with this seed"
        # The steps before a divergence do not measure the training.
        if math.isfinite(at := float(seeds["diverged_at"].sel(seed=seed))):
            return f"{name} diverged at step {at:.0f}"
    if math.isfinite(float(estimate.effects.sel(seed=seed))):
        return None
    return "too few checkpoints or converged eigenpairs, of the runs or of the null model"

"""The page of the verdicts."""

import re

import pytest

from eigendrift.report.pages import claims_page

VARIANT = {
    "ranks": 3,
    "lag": 0.25,
    "checkpoints": 41,
    "effect": None,
    "interval": None,
    "verdict": "not measured",
    "n": 0,
    "p": None,
    "corrected_p": None,
    "reason": "one eigenpair",
}
CLAIM = {
    "claim": "C1",
    "dataset": "digits",
    "statement": "SGD <becomes> stable.",
    "estimator": "early over late",
    "formula": "log10( early / late )",
    "unit": "log10 ratio",
    "equivalence": False,
    "effect": -0.25,
    "interval": [-0.5, 0.75],
    "smallest_effect": 0.1,
    "verdict": "undecided",
    "n": 5,
    "p": 0.03125,
    "corrected_p": 0.15625,
    "detectable_effect": 0.875,
    "seeds": {"0": -0.25},
    "excluded": {"4": "adam diverged at step 7"},
    "details": {"late displacement": 0.012345},
    "reason": "the interval holds 0.1",
    "sensitivity": [VARIANT, {**VARIANT, "lag": None, "effect": 0.5, "n": 4, "verdict": "supported"}],
}
CONTENT = {
    "null_model": "reinitialized",
    "settings": {"confidence": 0.95, "lag": 0.125, "resamples": 10_000},
    "notes": ["digits: 3 pairs masked"],
    "claims": [CLAIM, {**CLAIM, "dataset": "mnist5k", "verdict": "supported"}],
}


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("<body>")[1]))


def test_the_page_shows_everything_that_a_verdict_depends_on():
    text = text_of(claims_page(CONTENT))
    for part in (
        "C1 · SGD &lt;becomes&gt; stable.",
        "Effect of one seed: early over late. log10( early / late ) Smallest that counts: 0.1 (log10",
        "digits −0.25 [−0.50, 0.75] 5 0.031, 0.16 0.88 undecided the interval holds 0.1; seed 4 left",
        "out: adam diverged at step 7 late displacement: 0.0123",
        "mnist5k −0.25 [−0.50, 0.75] 5 0.031, 0.16 0.88 supported",
        "95% studentized bootstrap intervals of the mean over seeds, from 10,000 resamples",
        "the corrected p is below 0.05,",
        "C1 digits 3 0.25 41 none 0 not measured one eigenpair digits 3 41 0.50 4 supported",
        "null model: reinitialized",
        "digits: 3 pairs masked",
    ):
        assert part in text
    assert text.count("C1 ·") == 1


def test_effects_are_drawn_to_scale():
    page = claims_page(CONTENT)
    dot = float(re.search(r'<circle cx="([\d.]+)"', page)[1])
    left, right = map(float, re.search(r'<line x1="([\d.]+)" x2="([\d.]+)" y1="9.0"', page).groups())
    assert (dot - left) / (right - left) == pytest.approx(0.2, abs=0.01)


def test_a_claim_that_was_not_measured_has_no_effect_and_no_interval():
    nothing = dict.fromkeys(("effect", "interval", "p", "corrected_p", "detectable_effect"))
    page = claims_page(CONTENT | {"claims": [{**CLAIM, **nothing, "n": 0, "excluded": {}}]})
    assert "digits none 0 undecided" in text_of(page)
    assert "<circle" not in page


def test_a_claim_of_equivalence_has_a_bound_from_above():
    content = {**CONTENT, "claims": [{**CLAIM, "equivalence": True}]}
    assert "It must lie below: 0.1 (log10 ratio)" in text_of(claims_page(content))

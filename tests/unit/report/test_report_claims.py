"""The page of the verdicts."""

import copy
import re

import pytest

from eigendrift.report.claims import claims_page

CLAIM = {
    "claim": "C1",
    "dataset": "digits",
    "statement": "SGD <becomes> stable.",
    "estimator": "log10( early / late )",
    "unit": "log10 ratio",
    "effect": -0.25,
    "interval": [-0.5, 0.75],
    "smallest_effect": 0.1,
    "verdict": "undecided",
    "n": 3,
    "seeds": {"0": -0.25},
    "excluded": {"4": "adam diverged at step 7"},
    "reason": "the interval holds 0.1",
}
CONTENT = {
    "null_model": "reinitialized",
    "settings": {"confidence": 0.95, "lag": 0.125, "resamples": 10_000},
    "notes": ["digits: 3 pairs masked"],
    "claims": [CLAIM, {**CLAIM, "dataset": "mnist5k", "verdict": "supported"}],
}


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("<body>")[1]))


def test_the_page_says_everything_that_a_verdict_rests_on():
    text = text_of(claims_page(CONTENT))
    for part in (
        "C1 · SGD &lt;becomes&gt; stable.",
        "Effect of one seed: log10( early / late ); smallest that counts: 0.1 (log10 ratio)",
        "digits −0.25 [−0.50, 0.75] 3 undecided the interval holds 0.1; seed 4 left out: adam diverged",
        "mnist5k −0.25 [−0.50, 0.75] 3 supported",
        "95% percentile bootstrap intervals of the mean over seeds, from 10,000 resamples",
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


def test_a_claim_that_no_seed_can_tell_has_no_effect_and_no_interval():
    content = copy.deepcopy(CONTENT)
    content["claims"] = [{**CLAIM, "effect": None, "interval": None, "n": 0, "excluded": {}}]
    page = claims_page(content)
    assert "digits none 0 undecided" in text_of(page)
    assert "<circle" not in page

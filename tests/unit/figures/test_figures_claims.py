"""Extension 7, the forest plot of claims."""

import numpy as np
import pytest
from figure_checks import check_labels, check_legend
from matplotlib.colors import to_hex

from eigendrift.figures.claims import PALE, draw_claims
from eigendrift.figures.style import house_style

NOTHING = {"effect": None, "interval": None, "corrected_p": None, "n": 0, "seeds": {}}


def entry(claim, dataset, verdict, effect=None, interval=None, equivalence=False):
    seeds = {} if effect is None else {str(seed): effect + 0.01 * seed for seed in range(4)}
    return {
        "claim": claim,
        "dataset": dataset,
        "statement": "Something that a paper says and that takes more than one line.",
        "unit": "cosine" if equivalence else "log10 ratio",
        "smallest_effect": 0.1,
        "equivalence": equivalence,
        "verdict": verdict,
        "effect": effect,
        "interval": interval,
        "n": len(seeds),
        "corrected_p": 0.04 if interval else None,
        "seeds": seeds,
        "sensitivity": [] if effect is None else [*variants(effect, 41), *variants(effect, 9)],
    }


def variants(effect, checkpoints):
    """As the claim, but k times its effect with k ranks; with many ranks at few checkpoints only."""
    return [
        {
            "ranks": k,
            "lag": lag,
            "checkpoints": checkpoints,
            "verdict": "undecided",
            "effect": k * effect if k < 10 or checkpoints < 41 else None,
            "interval": [k, 2 * k],
            "n": 4,
        }
        for k in (1, 3, 10)
        for lag in (0.125, 0.25)
    ]


CONTENT = {
    "null_model": "reinitialized",
    "settings": {"confidence": 0.95, "lag": 0.125},
    "notes": ["digits, adam: seed 3 diverged at step 7"],
    "claims": [
        entry("C1", "digits", "supported", 0.5, [0.25, 0.75]),
        entry("C7", "digits", "contradicted", 1.5, [1.25, 1.75], equivalence=True),
        entry("C1", "mnist5k", "undecided", 0.125, None),
        entry("C7", "mnist5k", "not measured", equivalence=True),
    ],
}


@pytest.fixture
def plotted():
    with house_style({}):
        return draw_claims(CONTENT)


def panels(figure):
    return {(row, column): figure.axes[2 * row + column] for row in range(2) for column in range(2)}


def test_every_verdict_has_a_shape_and_a_name(plotted):
    check_labels(plotted.figure)
    check_legend(plotted.figure)
    headings = {place: panel.get_title(loc="right") for place, panel in panels(plotted.figure).items()}
    assert headings == {
        (0, 0): "supported, n = 4, p = 0.04",
        (1, 0): "contradicted, n = 4, p = 0.04",
        (0, 1): "undecided, n = 4",
        (1, 1): "not measured",
    }
    legend = [text.get_text() for text in plotted.figure.legends[0].get_texts()]
    assert {f"mean: {verdict}" for verdict in ("supported", "contradicted", "undecided")} <= set(legend)
    assert "mean: not measured" not in legend
    assert "seed 3 diverged" in plotted.figure.get_supxlabel()


def lines(panel, label):
    return [np.asarray(line.get_xdata(), float).tolist() for line in panel.lines if line.get_label() == label]


def test_effects_intervals_and_seeds_stand_where_they_belong(plotted):
    first, last = panels(plotted.figure)[0, 0], panels(plotted.figure)[1, 1]
    assert lines(first, "mean: supported") == [[0.5]]
    assert lines(first, "interval") == [[0.25, 0.75]]
    assert lines(first, "a seed") == [pytest.approx([0.5, 0.51, 0.52, 0.53])]
    assert lines(first, "smallest effect\nthat counts") == [[0.1, 0.1]]
    assert lines(last, "interval") == lines(last, "a seed") == []
    assert first.get_xlim()[0] < 0
    assert first.get_xlim()[1] > 0.75
    assert first.get_xlim() == panels(plotted.figure)[0, 1].get_xlim()


def test_other_numbers_of_ranks_are_those_at_the_checkpoints_that_have_most(plotted):
    panel = panels(plotted.figure)[0, 0]
    for k in (1, 3, 10):
        assert lines(panel, f"mean over k = {k}") == [[0.5 * k]]
    table = plotted.table[plotted.table["ranks"].notna()]
    first = table[(table["claim"] == "C1") & (table["dataset"] == "digits")]
    assert first[["ranks", "checkpoints", "effect", "low"]].to_numpy().tolist() == [
        [k, 9, 0.5 * k, k] for k in (1, 3, 10)
    ]


def test_what_counts_lies_above_but_for_an_equivalence(plotted):
    for (row, _), panel in panels(plotted.figure).items():
        (area,) = panel.collections
        assert to_hex(area.get_facecolor()[0]) == to_hex(PALE)
        extent = area.get_paths()[0].get_extents()
        assert (extent.x0, extent.x1) == pytest.approx(
            (panel.get_xlim()[0], 0.1) if row else (0.1, panel.get_xlim()[1])
        )


def test_the_table_holds_what_is_drawn(plotted):
    table = plotted.table
    verdicts = table[table["verdict"].notna() & table["ranks"].isna()]
    assert verdicts["verdict"].tolist() == ["supported", "contradicted", "undecided", "not measured"]
    assert verdicts["low"].tolist()[:2] == [0.25, 1.25]
    assert verdicts["low"].isna().tolist() == [False, False, True, True]
    seeds = table[table["seed"].notna()]
    assert len(seeds) == 12
    assert seeds["seed_effect"].iloc[:4].tolist() == pytest.approx([0.5, 0.51, 0.52, 0.53])


def test_nothing_measured_is_an_empty_figure():
    nothing = [{**each, **NOTHING, "verdict": "not measured", "sensitivity": []} for each in CONTENT["claims"]]
    with house_style({}):
        figure = draw_claims({**CONTENT, "claims": nothing}).figure
        figure.draw_without_rendering()
    check_labels(figure)

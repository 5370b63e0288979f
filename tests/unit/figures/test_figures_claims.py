"""Extension 7, the forest plot of claims, and extension 3, the map of claims over regimes."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import check_labels, check_legend
from figures_helpers import labels_of
from matplotlib.colors import to_hex, to_rgb

from eigendrift.figures.claims import PALE, draw_claims, draw_regimes
from eigendrift.figures.style import house_style

STATEMENT = "Something that a paper says and that takes more than one line."


def entry(claim, dataset, verdict, effect=None, interval=None, equivalence=False):
    seeds = {} if effect is None else {str(seed): effect + 0.01 * seed for seed in range(4)}
    return {
        "claim": claim,
        "dataset": dataset,
        "statement": STATEMENT,
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
    """Return variants with k times the effect for k ranks; ten ranks exist at few checkpoints only."""
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


@pytest.fixture(scope="module")
def plotted():
    with house_style({}):
        return draw_claims(CONTENT)


@pytest.fixture(scope="module")
def forest(plotted):
    """The panels by row and column."""
    return {(row, column): plotted.figure.axes[2 * row + column] for row in range(2) for column in range(2)}


def lines(panel, label):
    return [np.asarray(line.get_xdata(), float).tolist() for line in panel.lines if line.get_label() == label]


def test_every_verdict_has_a_shape_and_a_name(plotted, forest):
    check_labels(plotted.figure)
    check_legend(plotted.figure)
    assert {place: panel.get_title(loc="right") for place, panel in forest.items()} == {
        (0, 0): "supported, n = 4, p = 0.04",
        (1, 0): "contradicted, n = 4, p = 0.04",
        (0, 1): "undecided, n = 4",
        (1, 1): "not measured",
    }
    means = [label for label in labels_of(plotted.figure) if label.startswith("mean: ")]
    assert sorted(means) == ["mean: contradicted", "mean: supported", "mean: undecided"]
    assert "seed 3 diverged" in plotted.figure.get_supxlabel()


def test_effects_intervals_and_seeds_are_drawn_at_their_values(forest):
    first, last = forest[0, 0], forest[1, 1]
    assert lines(first, "mean: supported") == [[0.5]]
    assert lines(first, "interval") == [[0.25, 0.75]]
    assert lines(first, "a seed") == [pytest.approx([0.5, 0.51, 0.52, 0.53])]
    assert lines(first, "smallest effect\nthat counts") == [[0.1, 0.1]]
    assert lines(last, "interval") == lines(last, "a seed") == []
    assert first.get_xlim()[0] < 0
    assert first.get_xlim()[1] > 0.75
    assert first.get_xlim() == forest[0, 1].get_xlim()


def test_other_numbers_of_ranks_use_the_checkpoints_that_have_most_ranks(plotted, forest):
    for k in (1, 3, 10):
        assert lines(forest[0, 0], f"mean over k = {k}") == [[0.5 * k]]
    first = plotted.table.query("ranks.notna() and claim == 'C1' and dataset == 'digits'")
    found = first[["ranks", "checkpoints", "effect", "low"]].to_numpy().tolist()
    assert found == [[k, 9, 0.5 * k, k] for k in (1, 3, 10)]


def test_the_shaded_side_is_above_the_smallest_effect_or_below_it_for_an_equivalence(forest):
    for (row, _), panel in forest.items():
        (area,) = panel.collections
        assert to_hex(area.get_facecolor()[0]) == to_hex(PALE)
        extent = area.get_paths()[0].get_extents()
        expected = (panel.get_xlim()[0], 0.1) if row else (0.1, panel.get_xlim()[1])
        assert (extent.x0, extent.x1) == pytest.approx(expected)


def test_the_table_of_claims_contains_what_is_drawn(plotted):
    table = plotted.table
    verdicts = table[table["verdict"].notna() & table["ranks"].isna()]
    assert verdicts["verdict"].tolist() == ["supported", "contradicted", "undecided", "not measured"]
    assert verdicts["low"].tolist()[:2] == [0.25, 1.25]
    assert verdicts["low"].isna().tolist() == [False, False, True, True]
    seeds = table[table["seed"].notna()]
    assert len(seeds) == 12
    assert seeds["seed_effect"].iloc[:4].tolist() == pytest.approx([0.5, 0.51, 0.52, 0.53])


def test_claims_that_are_not_measured_are_an_empty_figure():
    nothing = [entry(claim["claim"], claim["dataset"], "not measured") for claim in CONTENT["claims"]]
    figure = draw_claims({**CONTENT, "claims": nothing}).figure
    figure.draw_without_rendering()
    check_labels(figure)


SIZES, PAIRS, LENGTHS = (500, 4000), ((0.01, 0.001), (0.1, 0.002), (0.5, 0.004)), (100, 200)
ORANGE, PURPLE = to_rgb("#B35806"), to_rgb("#542788")


def cell(claim, samples, pair, steps, effect, **changes):
    """Return a cell with two seeds that agree, with changes."""
    sgd, adam = pair
    return {
        "claim": claim,
        "dataset": "digits",
        "training_samples": samples,
        "sgd_learning_rate": sgd,
        "adam_learning_rate": adam,
        "steps": steps,
        "effect": effect,
        "low": np.nan,
        "high": np.nan,
        "lowest_seed": effect - 0.01,
        "highest_seed": effect + 0.01,
        "n": 2,
        "smallest_effect": 0.1,
        "equivalence": claim == "C7",
        "unit": "log10 ratio",
        "statement": STATEMENT,
        "sgd_train_accuracy": 1.0,
        "adam_train_accuracy": 0.9999 if samples > 500 else 1.0,
        "interpolating": "sgd" if samples > 500 else "sgd and adam",
    } | changes


def regimes():
    """Return effects of C1 that differ in every cell, and effects of C7 without learning rates."""
    cells = [
        cell("C1", samples, pair, steps, -0.4 + 0.1 * place + 0.05 * (steps > 100) + 0.3 * (samples > 500))
        for samples in SIZES
        for place, pair in enumerate(PAIRS)
        for steps in LENGTHS
    ]
    cells += [cell("C7", samples, (np.nan, np.nan), steps, 0.9) for samples in SIZES for steps in LENGTHS]
    return pd.DataFrame(cells)


def maps(figure):
    """Return the panels of the map by row and column, without color bars."""
    shown = [axes for axes in figure.axes if axes.get_subplotspec() is not None and axes.get_xlim() == (-0.5, 2.5)]
    return np.array(shown).reshape(3, 2)


def texts(panel):
    return {(round(text.get_position()[0] + 0.08, 6), text.get_position()[1]): text.get_text() for text in panel.texts}


def colours_of(panel):
    """Return the face and edge colors of the cells."""
    mesh = panel.collections[0]
    mesh.update_scalarmappable()
    return mesh.get_facecolors()[:, :3], mesh.get_edgecolors()[:, :3]


def test_effects_and_accuracies_are_written_in_their_cells():
    panels = maps(draw_regimes(regimes(), "digits").figure)
    effects = ["−0.35", "−0.25", "−0.15", "−0.05", "0.05", "0.15"]
    places = [(column, row) for row in (0, 1) for column in (0, 1, 2)]
    assert texts(panels[1, 1]) == dict(zip(places, effects, strict=True))
    # Only an accuracy of one is 100 %.
    fits = {text.get_text() for text in panels[0, 0].texts}
    assert fits == {"SGD 100 %\nAdam 100 %", "SGD 100 %\nAdam 99.9 %"}


def test_a_claim_that_holds_is_purple_and_one_that_does_not_is_orange():
    table = regimes().assign(effect=lambda table: np.where(table["training_samples"] > 500, 0.9, -0.7))
    figure = draw_regimes(table, "digits").figure
    for row, expected in ((1, (ORANGE, PURPLE)), (2, (PURPLE, ORANGE))):
        colours = colours_of(maps(figure)[row, 0])[0].reshape(2, -1, 3)
        assert colours.shape[1] == (3 if row == 1 else 1)
        for found, colour in zip(colours, expected, strict=True):
            np.testing.assert_allclose(found, np.broadcast_to(colour, found.shape), atol=0.05)


@pytest.mark.parametrize(
    ("changes", "side", "agreement"),
    [
        ({"lowest_seed": 0.11, "highest_seed": 0.3}, "holds", "seeds"),
        ({"lowest_seed": -0.3, "highest_seed": 0.09}, "does not", "seeds"),
        ({"lowest_seed": 0.09, "highest_seed": 0.3}, None, None),
        ({"lowest_seed": 0.11, "highest_seed": 0.3, "n": 1}, None, None),
        ({"lowest_seed": 0.05, "highest_seed": 0.3, "low": 0.11, "high": 0.2, "n": 5}, "holds", "interval"),
        ({"lowest_seed": 0.11, "highest_seed": 0.3, "low": 0.05, "high": 0.4, "n": 5}, "holds", "seeds"),
        ({"lowest_seed": 0.11, "highest_seed": 0.3, "equivalence": True}, "does not", "seeds"),
    ],
)
def test_marks_show_whether_seeds_or_the_interval_agree(changes, side, agreement):
    table = pd.DataFrame([cell("C1", 500, PAIRS[0], 100, 0.2, **changes)])
    plotted = draw_regimes(table, "digits")
    (effect,) = plotted.table[plotted.table["quantity"] == "effect"].to_dict("records")
    found = [effect[name] if isinstance(effect[name], str) else None for name in ("side", "agreement")]
    assert found == [side, agreement]
    marks = [line for axes in plotted.figure.axes for line in axes.lines if line.get_marker() in ("^", "v")]
    expected = [] if side is None else ["^" if side == "holds" else "v"]
    assert [line.get_marker() for line in marks] == expected
    assert all((line.get_markerfacecolor() == "none") == (agreement == "seeds") for line in marks)


def test_cells_where_no_network_interpolates_are_white_with_dark_edges():
    faces, edges = colours_of(maps(draw_regimes(regimes().assign(interpolating="neither"), "digits").figure)[0, 0])
    assert (faces == 1).all()
    assert (edges < 0.8).all()


def test_the_table_of_regimes_contains_what_is_drawn():
    table = draw_regimes(regimes(), "digits").table
    expected = regimes().sort_values(["claim", "steps"], kind="stable")["effect"].tolist()
    assert table.loc[table["quantity"] == "effect", "effect"].tolist() == expected
    assert (table["quantity"] == "fit").sum() == len(SIZES) * len(PAIRS) * len(LENGTHS)


def test_panels_are_labelled_and_other_data_sets_left_out():
    other = regimes().assign(dataset="mnist5k", steps=7)
    plotted = draw_regimes(pd.concat([regimes(), other]), "digits")
    bars = [axes for axes in plotted.figure.axes if axes.get_label() == "<colorbar>"]
    assert {bar.get_ylabel() for bar in bars} == {"log10 ratio"}
    for bar in bars:
        bar.remove()
    check_labels(plotted.figure)
    assert 7 not in set(plotted.table["steps"])
    assert [axes.get_title() for axes in maps(plotted.figure)[0]] == ["100 steps", "200 steps"]


def test_regimes_that_are_not_measured_are_an_empty_map():
    nothing = regimes().assign(effect=np.nan, lowest_seed=np.nan, highest_seed=np.nan, n=0)
    figure = draw_regimes(nothing, "digits").figure
    figure.draw_without_rendering()
    assert set(texts(maps(figure)[1, 0]).values()) == {"–"}

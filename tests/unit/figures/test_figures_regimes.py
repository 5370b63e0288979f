"""Extension 3, the map of the claims over regimes."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import check_labels
from matplotlib.colors import to_rgb

from eigendrift.figures.claims import draw_regimes

SIZES, PAIRS, LENGTHS = (500, 4000), ((0.01, 0.001), (0.1, 0.002), (0.5, 0.004)), (100, 200)
EQUIVALENCE = {"C1": False, "C7": True}
ORANGE, PURPLE = to_rgb("#B35806"), to_rgb("#542788")


def cell(claim, samples, pair, steps, effect, **changes):
    """A cell of two seeds that agree with each other; what is asked for differs."""
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
        "equivalence": EQUIVALENCE[claim],
        "unit": "log10 ratio",
        "statement": "Something that a paper says and that takes more than one line.",
        "sgd_train_accuracy": 1.0,
        "adam_train_accuracy": 0.9999 if samples > 500 else 1.0,
        "interpolating": "sgd" if samples > 500 else "sgd and adam",
    } | changes


def regimes():
    """Effects that are different in every cell; C7 has none of its own for each pair."""
    cells = [
        cell("C1", samples, pair, steps, -0.4 + 0.1 * place + 0.05 * (steps > 100) + 0.3 * (samples > 500))
        for samples in SIZES
        for place, pair in enumerate(PAIRS)
        for steps in LENGTHS
    ]
    cells += [cell("C7", samples, (np.nan, np.nan), steps, 0.9) for samples in SIZES for steps in LENGTHS]
    return pd.DataFrame(cells)


def panels(figure):
    """The panels of the map, (row, column), without the bars of colours."""
    shown = [axes for axes in figure.axes if axes.get_subplotspec() is not None and axes.get_xlim() == (-0.5, 2.5)]
    return np.array(shown).reshape(3, 2)


def written(panel):
    return {(round(text.get_position()[0] + 0.08, 6), text.get_position()[1]): text.get_text() for text in panel.texts}


def test_effects_stand_in_their_cells():
    panel = panels(draw_regimes(regimes(), "digits").figure)[1, 1]
    assert written(panel) == {
        (0, 0): "−0.35",
        (1, 0): "−0.25",
        (2, 0): "−0.15",
        (0, 1): "−0.05",
        (1, 1): "0.05",
        (2, 1): "0.15",
    }


def test_what_holds_is_purple_and_what_does_not_is_orange():
    figure = draw_regimes(
        regimes().assign(effect=lambda table: np.where(table["training_samples"] > 500, 0.9, -0.7)), "digits"
    ).figure
    for row, (below, above) in ((1, (ORANGE, PURPLE)), (2, (PURPLE, ORANGE))):
        mesh = panels(figure)[row, 0].collections[0]
        mesh.update_scalarmappable()
        colours = mesh.get_facecolors()[:, :3].reshape(2, -1, 3)
        assert colours.shape[1] == (3 if row == 1 else 1)
        np.testing.assert_allclose(colours[0], np.broadcast_to(below, colours[0].shape), atol=0.05)
        np.testing.assert_allclose(colours[1], np.broadcast_to(above, colours[1].shape), atol=0.05)


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
def test_marks_say_who_agrees(changes, side, agreement):
    table = pd.DataFrame([cell("C1", 500, PAIRS[0], 100, 0.2, **changes)])
    plotted = draw_regimes(table, "digits")
    (effect,) = plotted.table[plotted.table["quantity"] == "effect"].to_dict("records")
    found = [effect[name] if isinstance(effect[name], str) else None for name in ("side", "agreement")]
    assert found == [side, agreement]
    marks = [line for axes in plotted.figure.axes for line in axes.lines if line.get_marker() in ("^", "v")]
    assert [line.get_marker() for line in marks] == ([] if side is None else ["^" if side == "holds" else "v"])
    assert all((line.get_markerfacecolor() == "none") == (agreement == "seeds") for line in marks)


def test_a_cell_where_nothing_interpolates_is_told_from_the_paper():
    mesh = panels(draw_regimes(regimes().assign(interpolating="neither"), "digits").figure)[0, 0].collections[0]
    mesh.update_scalarmappable()
    assert (mesh.get_facecolors()[:, :3] == 1).all()
    assert (mesh.get_edgecolors()[:, :3] < 0.8).all()


def test_only_all_samples_are_100_percent():
    panel = panels(draw_regimes(regimes(), "digits").figure)[0, 0]
    texts = {text.get_text() for text in panel.texts}
    assert texts == {"SGD 100 %\nAdam 100 %", "SGD 100 %\nAdam 99.9 %"}


def test_the_table_holds_what_is_drawn():
    table = draw_regimes(regimes(), "digits").table
    effects = table[table["quantity"] == "effect"]
    assert effects["effect"].tolist() == regimes().sort_values(["claim", "steps"], kind="stable")["effect"].tolist()
    assert len(table[table["quantity"] == "fit"]) == len(SIZES) * len(PAIRS) * len(LENGTHS)


def test_panels_are_labelled_and_other_data_sets_left_out():
    other = regimes().assign(dataset="mnist5k", steps=7)
    plotted = draw_regimes(pd.concat([regimes(), other]), "digits")
    bars = [axes for axes in plotted.figure.axes if axes.get_label() == "<colorbar>"]
    assert {bar.get_ylabel() for bar in bars} == {"log10 ratio"}
    for bar in bars:
        bar.remove()
    check_labels(plotted.figure)
    assert 7 not in set(plotted.table["steps"])
    assert [axes.get_title() for axes in panels(plotted.figure)[0]] == ["100 steps", "200 steps"]


def test_nothing_measured_is_an_empty_map():
    nothing = regimes().assign(effect=np.nan, lowest_seed=np.nan, highest_seed=np.nan, n=0)
    figure = draw_regimes(nothing, "digits").figure
    figure.draw_without_rendering()
    assert set(written(panels(figure)[1, 0]).values()) == {"–"}

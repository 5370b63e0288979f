"""Figures 10 and 11: what is drawn at which lag, of which runs, against what."""

import numpy as np
import pytest
from figures_helpers import PARAMETERS, collection
from scipy.special import gamma

from eigendrift.figures.alignment import draw_weight_change_alignment
from eigendrift.figures.displacement import draw_weight_displacement

DRAW = {
    "weight_displacement": draw_weight_displacement,
    "weight_change_alignment": draw_weight_change_alignment,
}


def drawn(name, source, waiting_times=3):
    return DRAW[name](source, dataset="digits", waiting_times=waiting_times)


def leading(source, quantity):
    values = source.runs["digits"][quantity]
    return values.sel(rank=1) if "rank" in values.dims else values


@pytest.mark.parametrize("name", ["weight_displacement", "weight_change_alignment"])
@pytest.mark.parametrize("diverged", [None, ("adam", 1)])
def test_curves_are_means_over_the_runs_that_are_there(name, diverged):
    source = collection(diverged=diverged)
    values, runs = leading(source, name), source.runs["digits"]
    rows = drawn(name, source).table.query("quantity == @name")
    for row in rows.itertuples():
        start, end = int(row.waiting_time) // 10, int(row.waiting_time + row.lag) // 10
        cells = values.sel(optimizer=row.optimizer).values[:, start, end]
        assert end > start
        assert row.mean == pytest.approx(np.nanmean(cells))
        there = 1 if diverged and row.optimizer == "adam" and end > 1 else 2
        assert row.seeds == np.isfinite(cells).sum() == there
    # Waiting times 0, 20 and 30 of 40 steps.
    assert list(rows.groupby(["optimizer", "waiting_time"], sort=False).size()) == 2 * [4, 2, 1]
    assert set(rows["optimizer"]) == set(runs["optimizer"].values)


def test_a_panel_and_all_waiting_times_also_for_one_run():
    for name in ("weight_displacement", "weight_change_alignment"):
        plotted = drawn(name, collection(("adam",), seeds=1))
        (panel,) = plotted.figure.axes
        assert panel.get_title() == "Adam, digits"
        assert panel.get_xlabel() == "lag $t$ (steps)"
        assert panel.get_xscale() == panel.get_yscale() == "log"
        labels = [text.get_text() for text in plotted.figure.legends[0].get_texts()]
        assert labels[:3] == ["0", "20", "30"]


def test_the_lines_are_the_numbers_of_the_table():
    plotted = drawn("weight_displacement", collection())
    for panel, optimizer in zip(plotted.figure.axes, ["sgd", "adam"], strict=True):
        shown = plotted.table[plotted.table["optimizer"] == optimizer]
        for line in panel.lines:
            rows = shown[shown["waiting_time"] == int(line.get_label())]
            np.testing.assert_array_equal(line.get_xdata(), rows["lag"])
            np.testing.assert_array_equal(line.get_ydata(), rows["mean"])


def test_only_alignment_has_an_isotropic_value_and_none_a_null_model():
    expected = gamma(PARAMETERS / 2) / (np.sqrt(np.pi) * gamma((PARAMETERS + 1) / 2))
    alignment = drawn("weight_change_alignment", collection()).table
    assert alignment.query("quantity == 'isotropic'")["mean"].tolist() == pytest.approx(2 * [expected])
    assert set(alignment["quantity"]) == {"weight_change_alignment", "isotropic"}
    assert set(drawn("weight_displacement", collection()).table["quantity"]) == {"weight_displacement"}


def test_a_divergence_is_written_below():
    text = drawn("weight_displacement", collection(diverged=("adam", 1))).figure.get_supxlabel()
    assert "digits, adam: seed 1 diverged at step 15" in text
    assert "N = 100 parameters, 2 seeds" in text

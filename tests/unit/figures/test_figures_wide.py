"""Figure 15: a line for each rank, and which is which."""

import numpy as np
import pytest
from figures_helpers import PARAMETERS, collection

from eigendrift.figures.localization import draw_wide_localization
from eigendrift.figures.style import SEQUENTIAL

RATIO = "inverse_participation_ratio"


def test_lines_are_the_ratios_of_the_first_run():
    source = collection(ranks=15)
    plotted = draw_wide_localization(source, dataset="digits")
    ratios = source.runs["digits"][RATIO].isel(seed=0)
    rows = plotted.table[plotted.table["quantity"] == RATIO]
    assert len(rows) == 2 * 15 * 5
    for row in rows.itertuples():
        assert row.value == ratios.sel(optimizer=row.optimizer, rank=row.rank)[int(row.step) // 10]
    colours = SEQUENTIAL.resampled(15)
    for panel, optimizer in zip(plotted.figure.axes, ["sgd", "adam"], strict=False):
        lines = panel.lines[:15]
        for rank, line in zip(range(15, 0, -1), lines, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), ratios.sel(optimizer=optimizer, rank=rank))
            assert line.get_color() == colours(rank - 1)
    assert len({line.get_color() for line in lines}) == 15


def test_the_scale_names_every_rank_and_the_right_axis_counts_parameters():
    figure = draw_wide_localization(collection(ranks=5), dataset="digits").figure
    scale = next(axes for axes in figure.axes if axes.get_xlabel() == "rank $i$")
    assert [text.get_text() for text in scale.get_xticklabels()] == ["1", "2", "3", "4", "5"]
    figure.draw_without_rendering()
    panel = figure.axes[1]
    (right,) = panel.child_axes
    assert right.get_ylabel() == "N × IPR"
    np.testing.assert_allclose(right.get_ylim(), np.multiply(panel.get_ylim(), PARAMETERS))


def test_the_null_model_is_that_of_the_leading_eigenvector():
    source = collection(ranks=3)
    table = draw_wide_localization(source, dataset="digits").table
    draws = source.baselines["digits"][RATIO].sel(rank=1)
    null = table[table["quantity"] == "baseline"]
    assert null["median"].tolist() == pytest.approx(2 * [np.median(draws)])
    assert null["low"].tolist() == pytest.approx(2 * [np.quantile(draws, 0.05)])
    assert table[table["quantity"] == "isotropic"]["mean"].tolist() == 2 * [3 / (PARAMETERS + 2)]


def test_a_diverged_run_ends_and_one_optimizer_is_enough():
    plotted = draw_wide_localization(collection(("adam",), seeds=1, diverged=("adam", 0)), dataset="digits")
    rows = plotted.table[plotted.table["quantity"] == RATIO]
    assert rows["step"].tolist() == 3 * [0, 10]
    assert "diverged at step 15" in plotted.figure.get_supxlabel()
    labels = [text.get_text() for text in plotted.figure.legends[0].get_texts()]
    assert labels == ["reinitialized null\n(median, central 90 %)", "isotropic vectors (mean)"]

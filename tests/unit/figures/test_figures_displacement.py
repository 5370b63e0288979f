"""Figures 1, 10 and 11, extensions 1 and 2: displacement over a lag, and what cannot be measured."""

import numpy as np
import pytest
from figure_checks import check_labels, check_legend
from figures_helpers import collection, labels_of

from eigendrift.figures.alignment import draw_weight_change_alignment
from eigendrift.figures.displacement import (
    Collections,
    draw_displacement,
    draw_subspace_displacement,
    draw_tracked_displacement,
    draw_weight_displacement,
)

# With 41 checkpoints 10 steps apart, every fifth has more eigenpairs; an eighth of training is a lag of both.
LAG = 0.125
TWO_TIME = {
    "weight_displacement": draw_weight_displacement,
    "weight_change_alignment": draw_weight_change_alignment,
}


@pytest.fixture
def both():
    wide = collection(checkpoints=9, ranks=12)
    wide.runs["digits"] = wide.runs["digits"].assign_coords(step=("checkpoint", np.arange(0, 401, 50)))
    return Collections(collection(checkpoints=41), wide)


def test_displacements_are_means_over_the_leading_ranks_at_the_lag(both):
    plotted = draw_tracked_displacement(both, LAG)
    check_labels(plotted.figure)
    check_legend(plotted.figure)
    for kind in ("displacement", "tracked_displacement"):
        rows = plotted.table[plotted.table["quantity"] == kind]
        assert len(rows) == 2 * 36
        for row in rows.itertuples():
            at = int(row.waiting_time) // 10
            runs = both.everywhere.runs["digits"][kind].sel(optimizer=row.optimizer)
            values = runs.values[:, at, at + 5].mean(1)
            expected = values.mean(), values.min(), values.max()
            assert (row.mean, row.minimum, row.maximum) == pytest.approx(expected)
    more = plotted.table[plotted.table["quantity"] == "tracked_displacement, among 12"]
    assert len(more) == 2 * 8
    wide = both.wide.runs["digits"]["tracked_displacement"].sel(rank=slice(1, 3))
    for row in more.itertuples():
        at = int(row.waiting_time) // 50
        values = wide.sel(optimizer=row.optimizer).values[:, at, at + 1]
        assert row.mean == pytest.approx(values.mean())


def test_the_share_of_swaps_is_one_where_all_displacement_is_swaps_and_zero_where_none_is(both):
    # The directions that are tracked stay the same for Adam, and move as the ranks do for SGD.
    for source in (both.everywhere, both.wide):
        runs = source.runs["digits"]
        still = np.array([1.0, 0.0])[:, None, None, None, None]
        runs["tracked_displacement"] = runs["displacement"] * still
    table = draw_tracked_displacement(both, LAG).table
    for quantity in ("share of swaps", "share of swaps, among 12"):
        shares = table[table["quantity"] == quantity].groupby("optimizer")["share"]
        assert shares.min().to_dict() == shares.max().to_dict() == {"adam": 1, "sgd": 0}
    below = table[table["gap"].notna()]
    # Gaps of random runs are at most 1, and the smallest gaps of five checkpoints are well below.
    last = below[below["gap"] == below["gap"].max()].set_index("optimizer")["mean"]
    assert last.to_dict() == pytest.approx({"adam": 1, "sgd": 0})
    for _, curve in below[below["optimizer"] == "adam"].groupby("quantity"):
        assert (np.diff(curve["mean"]) >= 0).all()


def test_spans_have_the_most_ranks_and_the_rest_of_the_motion_is_within_them(both):
    for source in (both.everywhere, both.wide):
        runs = source.runs["digits"]
        runs["displacement"] = runs["displacement"] * 0 + 2.0
        runs["subspace_displacement"] = runs["subspace_displacement"] * 0 + 0.25
    plotted = draw_subspace_displacement(both, LAG, [1, 3, 10, 20])
    check_labels(plotted.figure)
    check_legend(plotted.figure)
    table = plotted.table
    bands = table[table["mean"].notna()].groupby(["quantity", "ranks"])["mean"]
    assert bands.count().to_dict() == {("each by itself", 3): 72, ("span", 3): 72, ("span", 10): 16}
    means = {("each by itself", 3): 1, ("span", 3): 0.25, ("span", 10): 0.25}
    assert bands.min().to_dict() == pytest.approx(means)
    within = table[table["quantity"] == "share within the span of 3"]
    assert within["share"].tolist() == pytest.approx([0.75] * 72)
    null = table[table["quantity"] == "baseline"].set_index(["of", "ranks"])["median"]
    draws = both.everywhere.baselines["digits"]
    assert null["span", 3] == pytest.approx(np.median(draws["subspace_displacement"].sel(rank=3)))
    wide = both.wide.baselines["digits"]["subspace_displacement"]
    assert null["span", 10] == pytest.approx(np.median(wide.sel(rank=10)))
    squared = 1 - (1 - draws["displacement"] / 2) ** 2
    assert null["each by itself", 3] == pytest.approx(np.median(squared.mean("rank")))


def test_a_lag_that_few_checkpoints_lack_is_not_drawn_for_many_ranks(both):
    tracked = draw_tracked_displacement(both, 0.1)
    assert not tracked.table["quantity"].str.contains("among").any()
    assert "symbols" not in tracked.figure.get_supxlabel()
    spans = draw_subspace_displacement(both, 0.1, [3, 10]).table
    assert set(spans["ranks"].dropna()) == {3}


def test_a_run_is_left_out_after_it_diverged_and_the_note_says_so():
    source = collection(checkpoints=9, diverged=("adam", 1))
    plotted = draw_tracked_displacement(Collections(source, source), LAG)
    rows = plotted.table[plotted.table["quantity"] == "displacement"]
    seeds = rows.set_index(["optimizer", "waiting_time"])["seeds"]
    assert (seeds["adam", 0], seeds["adam", 10]) == (2, 1)
    assert "seed 1 diverged at step 15" in plotted.figure.get_supxlabel()


@pytest.mark.parametrize("name", TWO_TIME)
@pytest.mark.parametrize("diverged", [None, ("adam", 1)])
def test_curves_are_means_over_the_runs_that_have_not_diverged(name, diverged):
    source = collection(diverged=diverged)
    values = source.runs["digits"][name]
    values = values.sel(rank=1) if "rank" in values.dims else values
    plotted = TWO_TIME[name](source, dataset="digits", waiting_times=3)
    rows = plotted.table.query("quantity == @name")
    for row in rows.itertuples():
        start, end = int(row.waiting_time) // 10, int(row.waiting_time + row.lag) // 10
        cells = values.sel(optimizer=row.optimizer).values[:, start, end]
        assert end > start
        assert row.mean == pytest.approx(np.nanmean(cells))
        expected = 1 if diverged and row.optimizer == "adam" and end > 1 else 2
        assert row.seeds == np.isfinite(cells).sum() == expected
    # Waiting times 0, 20 and 30 of 40 steps.
    assert list(rows.groupby(["optimizer", "waiting_time"], sort=False).size()) == 2 * [4, 2, 1]
    for panel, optimizer in zip(plotted.figure.axes, ["sgd", "adam"], strict=True):
        for line in panel.lines[:3]:
            shown = rows.query(f"optimizer == '{optimizer}' and waiting_time == {line.get_label()}")
            np.testing.assert_array_equal(line.get_xdata(), shown["lag"])
            np.testing.assert_array_equal(line.get_ydata(), shown["mean"])
    text = plotted.figure.get_supxlabel()
    assert "N = 100 parameters, 2 seeds" in text
    assert ("digits, adam: seed 1 diverged at step 15" in text) == bool(diverged)


@pytest.mark.parametrize("name", TWO_TIME)
def test_one_run_has_a_panel_and_all_waiting_times(name):
    plotted = TWO_TIME[name](collection(("adam",), seeds=1), dataset="digits", waiting_times=3)
    (panel,) = plotted.figure.axes
    assert panel.get_title() == "Adam, digits"
    assert panel.get_xlabel() == "lag $t$ (steps)"
    assert panel.get_xscale() == panel.get_yscale() == "log"
    assert labels_of(plotted.figure)[:3] == ["0", "20", "30"]


@pytest.mark.parametrize("checkpoints", [2, 3, 5, 9])
def test_every_waiting_time_in_the_legend_has_a_curve(checkpoints):
    source = collection(("sgd",), seeds=1, checkpoints=checkpoints)
    plotted = draw_displacement(source, dataset="digits", waiting_times=8)
    labels = [label.replace(",", "") for label in labels_of(plotted.figure)]
    shown = {int(label) for label in labels if label.isdigit()}
    assert shown == set(plotted.table["waiting_time"].dropna().astype(int))

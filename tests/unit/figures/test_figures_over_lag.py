"""Extensions 1 and 2: what is drawn of which runs, and what is left out where it cannot be measured."""

import numpy as np
import pytest
from figure_checks import check_labels, check_legend
from figures_helpers import collection

from eigendrift.figures.displacement import (
    Collections,
    draw_subspace_displacement,
    draw_tracked_displacement,
)
from eigendrift.figures.style import house_style

# Of 41 checkpoints 10 steps apart every fifth has more eigenpairs; a lag of an eighth is one of those.
LAG = 0.125


@pytest.fixture
def both():
    wide = collection(checkpoints=9, ranks=12)
    wide.runs["digits"] = wide.runs["digits"].assign_coords(step=("checkpoint", np.arange(0, 401, 50)))
    return Collections(collection(checkpoints=41), wide)


@pytest.fixture
def ranks_swap(both):
    """All directions that Adam tracks stand still, those of SGD move as ranks do."""
    for source in (both.everywhere, both.wide):
        runs = source.runs["digits"]
        still = np.array([1.0, 0.0])[:, None, None, None, None]
        runs["tracked_displacement"] = runs["displacement"] * still
    return both


def test_the_displacements_are_means_over_the_leading_ranks_at_the_lag(both):
    with house_style({}):
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
            assert (row.mean, row.minimum, row.maximum) == pytest.approx((values.mean(), values.min(), values.max()))
    more = plotted.table[plotted.table["quantity"] == "tracked_displacement, among 12"]
    assert len(more) == 2 * 8
    wide = both.wide.runs["digits"]["tracked_displacement"].sel(rank=slice(1, 3))
    for row in more.itertuples():
        at = int(row.waiting_time) // 50
        values = wide.sel(optimizer=row.optimizer).values[:, at, at + 1]
        assert row.mean == pytest.approx(values.mean())


def test_shares_are_all_where_ranks_swap_and_none_where_they_do_not(ranks_swap):
    table = draw_tracked_displacement(ranks_swap, LAG).table
    for quantity in ("share of swaps", "share of swaps, among 12"):
        shares = table[table["quantity"] == quantity].groupby("optimizer")["share"]
        assert shares.min().to_dict() == {"adam": 1, "sgd": 0}
        assert shares.max().to_dict() == {"adam": 1, "sgd": 0}
    below = table[table["gap"].notna()]
    # Gaps of random runs are at most 1, and those of five checkpoints at their smallest well below.
    last = below[below["gap"] == below["gap"].max()].set_index("optimizer")["mean"]
    assert last.to_dict() == pytest.approx({"adam": 1, "sgd": 0})
    for _, curve in below[below["optimizer"] == "adam"].groupby("quantity"):
        assert (np.diff(curve["mean"]) >= 0).all()


def test_spans_are_of_the_most_ranks_and_the_rest_is_within(both):
    for source in (both.everywhere, both.wide):
        runs = source.runs["digits"]
        runs["displacement"] = runs["displacement"] * 0 + 2.0
        runs["subspace_displacement"] = runs["subspace_displacement"] * 0 + 0.25
    with house_style({}):
        plotted = draw_subspace_displacement(both, LAG, [1, 3, 10, 20])
    check_labels(plotted.figure)
    check_legend(plotted.figure)
    table = plotted.table
    bands = table[table["mean"].notna()].groupby(["quantity", "ranks"])["mean"]
    assert bands.count().to_dict() == {("each by itself", 3): 72, ("span", 3): 72, ("span", 10): 16}
    assert bands.min().to_dict() == pytest.approx({("each by itself", 3): 1, ("span", 3): 0.25, ("span", 10): 0.25})
    within = table[table["quantity"] == "share within the span of 3"]
    assert within["share"].tolist() == pytest.approx([0.75] * 72)
    null = table[table["quantity"] == "baseline"].set_index(["of", "ranks"])["median"]
    draws = both.everywhere.baselines["digits"]
    assert null["span", 3] == pytest.approx(np.median(draws["subspace_displacement"].sel(rank=3)))
    wide = both.wide.baselines["digits"]["subspace_displacement"]
    assert null["span", 10] == pytest.approx(np.median(wide.sel(rank=10)))
    turned = 1 - (1 - draws["displacement"] / 2) ** 2
    assert null["each by itself", 3] == pytest.approx(np.median(turned.mean("rank")))


def test_what_few_checkpoints_cannot_tell_is_not_drawn(both):
    """They have no lag of a tenth: it would be another one."""
    tracked = draw_tracked_displacement(both, 0.1)
    assert not tracked.table["quantity"].str.contains("among").any()
    assert "symbols" not in tracked.figure.get_supxlabel()
    spans = draw_subspace_displacement(both, 0.1, [3, 10]).table
    assert set(spans["ranks"].dropna()) == {3}


def test_a_diverged_run_is_left_out_from_there_and_written_below():
    source = collection(checkpoints=9, diverged=("adam", 1))
    both = Collections(source, source)
    plotted = draw_tracked_displacement(both, LAG)
    rows = plotted.table[(plotted.table["quantity"] == "displacement")].set_index(["optimizer", "waiting_time"])
    assert rows["seeds"]["adam", 0] == 2
    assert rows["seeds"]["adam", 10] == 1
    assert "seed 1 diverged at step 15" in plotted.figure.get_supxlabel()

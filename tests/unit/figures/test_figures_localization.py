"""Figure 15, a line for each rank, and extension 4, the anatomy of eigenvectors."""

from dataclasses import replace

import numpy as np
import pytest
from figure_checks import check_labels
from figures_helpers import PARAMETERS, collection, labels_of

from eigendrift.figures.localization import draw_anatomy, draw_wide_localization
from eigendrift.figures.style import SEQUENTIAL
from eigendrift.metrics.anatomy import GRAINS

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
        for rank, line in zip(range(15, 0, -1), panel.lines[:15], strict=True):
            np.testing.assert_array_equal(line.get_ydata(), ratios.sel(optimizer=optimizer, rank=rank))
            assert line.get_color() == colours(rank - 1)
    assert len({line.get_color() for line in panel.lines[:15]}) == 15


def test_the_scale_names_every_rank_and_the_right_axis_counts_parameters():
    figure = draw_wide_localization(collection(ranks=5), dataset="digits").figure
    scale = next(axes for axes in figure.axes if axes.get_xlabel() == "rank $i$")
    assert [text.get_text() for text in scale.get_xticklabels()] == ["1", "2", "3", "4", "5"]
    figure.draw_without_rendering()
    panel = figure.axes[1]
    (right,) = panel.child_axes
    assert right.get_ylabel() == "N × IPR"
    np.testing.assert_allclose(right.get_ylim(), np.multiply(panel.get_ylim(), PARAMETERS))


def test_the_null_model_shows_the_leading_eigenvector():
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
    names = ["reinitialized null (median, central 90 %)", "isotropic vectors (mean)"]
    assert labels_of(plotted.figure) == names


def consistent():
    """Return runs whose inverse participation ratios are no smaller than layers and neurons make them."""
    source = collection()
    for runs in (source.runs["digits"], source.baselines["digits"]):
        runs["layer_share"] = runs["layer_share"] / runs["layer_share"].sum("layer")
        for name in (f"neuron_{RATIO}", RATIO):
            runs[name] = 0.5 + runs[name] / 2
    return source


def test_the_anatomy_has_a_bar_for_every_optimizer_and_null_model_and_parts_that_add_up():
    source = consistent()
    trained = source.baselines["digits"].assign(optimizer=("draw", [0, 1, 0, 1]))
    trained.attrs["settings"] = {"trainings": [{"optimizer": {"name": n}} for n in ("sgd", "adam")]}
    source = replace(source, further={"permuted": {"digits": trained}})
    plotted = draw_anatomy(source)
    check_labels(plotted.figure)
    names = [text.get_text() for text in plotted.figure.axes[0].get_yticklabels()]
    nulls = ["permuted, SGD", "permuted, Adam"]
    assert names == ["parameters", "reinitialized null", "SGD", nulls[0], "Adam", nulls[1]]
    table = plotted.table.set_index(["networks", "optimizer", "quantity"])["value"]
    late = source.runs["digits"].sel(rank=1)[RATIO].sel(optimizer="adam")[:, 2:]
    expected = float(np.log10(PARAMETERS * late).mean())
    assert table["late", "adam", "log10 of N × IPR"] == pytest.approx(expected)
    parts = [table["late", "adam", f"log10 part of {grain}"] for grain in GRAINS]
    assert sum(parts) == pytest.approx(expected)
    assert min(parts) >= 0
    expected = float(np.log10(PARAMETERS * trained[RATIO].sel(rank=1)[1::2]).mean())
    assert table["permuted", "adam", "log10 of N × IPR"] == pytest.approx(expected)


def test_bars_end_at_the_effective_numbers():
    plotted = draw_anatomy(consistent())
    totals = plotted.table.query("quantity == 'log10 of N × IPR'")["value"]
    ends = {round(patch.get_x() + patch.get_width(), 6) for patch in plotted.figure.axes[0].patches}
    assert {round(10**total, 6) for total in totals} <= ends
    written = [text.get_text().strip() for text in plotted.figure.axes[0].texts]
    assert written == [f"{PARAMETERS / 10**total:,.0f}" for total in totals]

"""Figures 11 to 14: alignments, their signs and means, and what is left out."""

import numpy as np
import pytest
import xarray as xr
from figures_helpers import PARAMETERS, collection, labels_of
from scipy.special import gamma

from eigendrift.figures.alignment import (
    draw_alignment_means,
    draw_signed_alignment,
    draw_weight_change_alignment,
)

ISOTROPIC = gamma(PARAMETERS / 2) / (np.sqrt(np.pi) * gamma((PARAMETERS + 1) / 2))


def signed(*arguments, **sizes):
    """Return runs with alignments from −1 to 1, in which updates of SGD are opposed to the gradient."""
    source = collection(*arguments, **sizes)
    runs = source.runs["digits"]
    for name in ("gradient_alignment", "update_alignment"):
        runs[name] = 2 * runs[name] - 1
    opposed = xr.where(runs["optimizer"] == "sgd", -runs["gradient_alignment"], runs["update_alignment"])
    runs["update_alignment"] = opposed.transpose(*runs["gradient_alignment"].dims)
    return source


def test_the_gradient_decides_the_sign():
    source = signed()
    table = draw_signed_alignment(source, dataset="digits").table
    runs = source.runs["digits"].isel(seed=0)
    assert len(table) == 2 * 3 * 5
    for row in table.itertuples():
        at = {"optimizer": row.optimizer, "rank": row.rank}
        gradient = runs["gradient_alignment"].sel(at).values[row.step // 10]
        update = runs["update_alignment"].sel(at).values[row.step // 10]
        assert row.gradient_alignment == abs(gradient)
        assert row.update_alignment * row.gradient_alignment == pytest.approx(update * gradient)
        assert abs(row.update_alignment) == abs(update)
    sgd, adam = (table[table["optimizer"] == name] for name in ("sgd", "adam"))
    np.testing.assert_array_equal(sgd["update_alignment"], -sgd["gradient_alignment"])
    assert (adam["update_alignment"] > 0).any()
    assert (adam["update_alignment"] < 0).any()


def test_flipping_an_eigenvector_changes_nothing():
    source, flipped = signed(), signed()
    flips = xr.DataArray(np.random.default_rng(1).choice([-1, 1], (5, 3)), dims=("checkpoint", "rank"))
    for name in ("gradient_alignment", "update_alignment"):
        values = flipped.runs["digits"][name]
        flipped.runs["digits"][name] = (values * flips).transpose(*values.dims)
    tables = [draw_signed_alignment(each, dataset="digits").table for each in (source, flipped)]
    assert tables[0].equals(tables[1])


def test_signed_alignment_has_a_row_for_each_rank_and_a_column_for_each_optimizer():
    plotted = draw_signed_alignment(signed(), dataset="digits")
    titles = [panel.get_title() for panel in plotted.figure.axes]
    assert titles == [f"{name}, $i = {rank}$" for rank in (1, 2, 3) for name in ("SGD", "Adam")]
    assert labels_of(plotted.figure) == ["gradient", "update of SGD", "update of Adam"]
    for panel, title in zip(plotted.figure.axes, titles, strict=True):
        _, gradient, update = panel.lines
        shown = plotted.table[plotted.table["rank"] == int(title[-2])]
        shown = shown[shown["optimizer"] == title.split(",")[0].lower()]
        np.testing.assert_array_equal(gradient.get_ydata(), shown["gradient_alignment"])
        np.testing.assert_array_equal(update.get_ydata(), shown["update_alignment"])
    assert "sign of each $v_i$" in plotted.figure.get_supxlabel()


@pytest.mark.parametrize(
    ("zero", "steps"), [("gradient_alignment", [0, 10, 30, 40]), ("update_alignment", [0, 10, 20, 30, 40])]
)
def test_without_a_gradient_the_update_has_no_sign_but_not_the_other_way_round(zero, steps):
    source = signed(("adam",), seeds=1, ranks=1)
    source.runs["digits"][zero][0, 0, 2] = np.nan
    table = draw_signed_alignment(source, dataset="digits").table
    assert table["step"].tolist() == steps
    assert table["gradient_alignment"].notna().all()
    assert table["update_alignment"].isna().sum() == (zero == "update_alignment")


@pytest.mark.parametrize("diverged", [None, ("adam", 1)])
def test_points_are_means_of_absolute_values_over_checkpoints(diverged):
    source = signed(diverged=diverged)
    runs = source.runs["digits"]
    table = draw_alignment_means(source, dataset="digits").table
    points = table[table["quantity"].isin(["gradient_alignment", "update_alignment"]) & table["rank"].notna()]
    assert len(points) == 2 * 2 * 2 * 3
    for row in points.itertuples():
        values = runs[row.quantity].sel(optimizer=row.optimizer, seed=row.seed, rank=row.rank).values
        assert row.mean == pytest.approx(np.nanmean(np.abs(values)))
        assert row.checkpoints == (2 if (row.optimizer, row.seed) == diverged else 5)


def test_points_of_a_rank_are_drawn_side_by_side():
    plotted = draw_alignment_means(signed(), dataset="digits")
    assert [panel.get_title() for panel in plotted.figure.axes] == ["gradient, digits", "update, digits"]
    for panel in plotted.figure.axes:
        *points, isotropic = panel.lines
        places = np.array([line.get_xdata() for line in points])
        assert len(np.unique(places)) == places.size == 2 * 2 * 3
        np.testing.assert_array_equal(np.round(places), [[1, 2, 3]] * 4)
        np.testing.assert_allclose(isotropic.get_ydata(), ISOTROPIC)
    assert labels_of(plotted.figure) == ["SGD", "Adam", "isotropic vectors (mean)"]
    alone = draw_alignment_means(signed(("adam",), seeds=1), dataset="digits")
    np.testing.assert_array_equal(alone.figure.axes[0].lines[0].get_xdata(), [1, 2, 3])


def test_weight_changes_are_compared_with_isotropic_vectors_and_no_null_model():
    table = draw_weight_change_alignment(collection(), dataset="digits", waiting_times=3).table
    assert table.query("quantity == 'isotropic'")["mean"].tolist() == pytest.approx(2 * [ISOTROPIC])
    assert set(table["quantity"]) == {"weight_change_alignment", "isotropic"}

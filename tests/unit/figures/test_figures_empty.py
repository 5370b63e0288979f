"""Figures of runs that have nothing to show, or only one of everything."""

import numpy as np
import pytest
import xarray as xr

from eigendrift.errors import UserError
from eigendrift.figures.declarations import FIGURES as DECLARED
from eigendrift.figures.displacement import Collections
from eigendrift.figures.style import check_style
from eigendrift.metrics.collection import Collection
from eigendrift.stores.arrays import BASELINE, METRICS

FIGURES = {
    "fig01_displacement": {"dataset": "digits", "waiting_times": 3},
    "fig02_alignment": {},
    "fig03_localization": {},
    "fig04_training_loss": {},
    "fig05_test_accuracy": {},
    "fig06_eigenvalues": {},
    "fig07_convergence": {},
    "fig10_weight_displacement": {"dataset": "digits", "waiting_times": 3},
    "fig11_weight_change_alignment": {"dataset": "digits", "waiting_times": 3},
    "fig12_raw_alignment": {"dataset": "digits"},
    "fig13_alignment_means": {"dataset": "digits"},
    "fig15_wide_localization": {"dataset": "digits"},
    "ext04_anatomy": {},
}


def collection(value: float, checkpoints: int = 3) -> Collection:
    """Runs of one optimizer and seed, and a baseline, in which every measurement is ``value``."""
    sizes = {"checkpoint": checkpoints, "waiting": checkpoints, "rank": 2, "layer": 2, "draw": 3, "pair": 3}

    def filled(spec):
        return xr.DataArray(np.full([sizes[dim] for dim in spec.dims], value), dims=spec.dims)

    run = xr.Dataset({spec.name: filled(spec) for spec in METRICS.arrays if spec.name not in {"step", "rank", "layer"}})
    run = run.assign(diverged_at=np.nan, unconverged=6).expand_dims(optimizer=["sgd"], seed=[0])
    run = run.assign_coords(step=("checkpoint", 10 * np.arange(checkpoints)), rank=[1, 2])
    run.attrs |= {"parameters": 100, "shapes": [[9, 8], [9], [1, 18], [1]]}
    null = xr.Dataset({spec.name: filled(spec) for spec in BASELINE.arrays if spec.dims != (spec.name,)})
    null = null.assign(optimizer=("draw", np.full(3, -1))).assign_coords(rank=[1, 2])
    return Collection({"digits": run}, {"digits": null}, "reinitialized")


@pytest.mark.parametrize(("name", "settings"), FIGURES.items())
@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_nothing_to_show_is_an_empty_panel(name, settings, value):
    draw = DECLARED[name].draw
    draw(collection(value), **settings).figure.draw_without_rendering()


@pytest.mark.parametrize(
    ("name", "settings"),
    [("ext01_tracked_displacement", {}), ("ext02_subspace_displacement", {"ranks": [1, 2, 5]})],
)
@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_nothing_that_moves_over_a_lag_is_an_empty_panel(name, settings, value):
    draw = DECLARED[name].draw
    both = Collections(collection(value, 9), collection(value))
    draw(both, lag=0.25, **settings).figure.draw_without_rendering()


@pytest.mark.parametrize("checkpoints", [2, 3, 5, 9])
def test_every_waiting_time_in_the_legend_has_a_curve(checkpoints):
    draw = DECLARED["fig01_displacement"].draw
    plotted = draw(collection(0.5, checkpoints), dataset="digits", waiting_times=8)
    labels = [text.get_text().replace(",", "") for text in plotted.figure.legends[0].get_texts()]
    shown = {int(label) for label in labels if label.isdigit()}
    assert shown == set(plotted.table["waiting_time"].dropna().astype(int))


def test_masked_null_draws_are_counted():
    notes = collection(np.nan).notes("digits")
    assert "digits, sgd: without 6 unconverged eigenpairs" in notes
    assert "digits: without 6 unconverged eigenpairs of the null model reinitialized" in notes


@pytest.mark.parametrize(("key", "value"), [("font.szie", 8), ("font.size", "wide")])
def test_a_wrong_style_is_refused_by_name(key, value):
    check_style({"font.size": 9})
    with pytest.raises(UserError, match=f"'figures.style' sets '{key}' to"):
        check_style({key: value})

"""Figures 1 and 9: two-time displacement of the leading eigenvector."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from eigendrift.figures.parts import (
    Plotted,
    Table,
    describe,
    draw_baseline,
    draw_isotropic,
    logarithmic,
    over_seeds,
    panels,
    plain_log_ticks,
)
from eigendrift.figures.style import title_of
from eigendrift.metrics.collection import Collection, collect
from eigendrift.metrics.displacement import isotropic_displacement

LEADING = 1
# Dark curves are early, light ones late; the lightest yellow of the map would vanish on paper.
COLOURS = plt.get_cmap("viridis")
LIGHTEST = 0.9
# Of the training; a curve that starts later has hardly any lags to show.
LATEST = 7 / 8

read = collect


def draw(collection: Collection, dataset: str, waiting_times: int) -> Plotted:
    """Draw Δ(1)(tw, tw + t) against the lag t, a curve for each waiting time, a panel for each optimizer.

    Args:
        collection: The measured runs.
        dataset: Data set to show.
        waiting_times: How many waiting times to show, spread evenly over the checkpoints.
    """
    runs = collection.runs[dataset]
    optimizers = [str(name) for name in runs["optimizer"].values]
    last = runs.sizes["checkpoint"] - 1
    latest = min(LATEST * last, last - 1)
    waiting = np.unique(np.linspace(0, latest, waiting_times).round().astype(int))
    baseline = collection.baselines[dataset]["displacement"].sel(rank=LEADING).values
    figure, axes = panels(1, len(optimizers))
    table: Table = []
    for panel, optimizer in zip(axes[0], optimizers, strict=True):
        moved = runs["displacement"].sel(optimizer=optimizer, rank=LEADING)
        rows = _draw_curves(panel, moved, runs["step"].values, waiting)
        rows += draw_baseline(panel, baseline, f"{collection.null_model} null")
        rows += draw_isotropic(panel, isotropic_displacement(runs.attrs["parameters"]))
        table += [{"dataset": dataset, "optimizer": optimizer, **row} for row in rows]
        panel.set(xlabel="lag $t$ (steps)", title=f"{title_of(optimizer)}, {dataset}")
        logarithmic(panel, "x")
        logarithmic(panel, "y")
        if panel.get_xscale() == "log":
            plain_log_ticks(panel.xaxis)
    axes[0, 0].set_ylabel(r"displacement $\Delta^{(1)}(t_w,\, t_w + t)$")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, title="waiting time $t_w$\n(steps)", loc="outside right upper")
    describe(figure, collection, [dataset], "curve: mean")
    return Plotted(figure, pd.DataFrame(table))


def _draw_curves(panel: Axes, moved: xr.DataArray, steps: np.ndarray, waiting: np.ndarray) -> Table:
    """Draw the mean over seeds, a curve for each waiting time; return the numbers."""
    table: Table = []
    colours = COLOURS(Normalize(0, max(1, steps[waiting].max()) / LIGHTEST)(steps[waiting]))
    for start, colour in zip(waiting, colours, strict=True):
        band = over_seeds(moved.isel(waiting=start, checkpoint=slice(start + 1, None)))
        lags = steps[start + 1 :] - steps[start]
        panel.plot(
            lags, band["mean"].values, color=colour, marker=".", markersize=3, label=f"{steps[start]:,}"
        )
        table += [
            {
                "quantity": "displacement",
                "waiting_time": steps[start],
                "lag": lag,
                "mean": mean,
                "seeds": seeds,
            }
            for lag, mean, seeds in zip(lags, band["mean"].values, band["n"].values, strict=True)
            if seeds
        ]
    return table

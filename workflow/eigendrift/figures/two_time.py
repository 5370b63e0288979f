"""The layout of figures 1 and 9 to 11: a curve for each waiting time, a panel for each optimizer."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from eigendrift.figures.parts import (
    Plotted,
    Table,
    describe,
    logarithmic,
    over_seeds,
    panels,
    plain_log_ticks,
)
from eigendrift.figures.style import SEQUENTIAL, title_of
from eigendrift.metrics.collection import Collection

# Of the training; a curve that starts later has hardly any lags to show.
LATEST = 7 / 8


def draw_two_time(
    collection: Collection,
    dataset: str,
    waiting_times: int,
    values: xr.DataArray,
    label: str,
    draw_references: Callable[[Axes], Table] = lambda _: [],
) -> Plotted:
    """Draw a quantity of two times, tw and tw + t, against the lag t; both axes are logarithmic.

    Args:
        collection: The measured runs.
        dataset: Data set to show.
        waiting_times: How many waiting times to show, spread evenly over the checkpoints.
        values: The quantity, float64 (optimizer, seed, waiting, checkpoint).
        label: Label of the y axis.
        draw_references: Draws into a panel what to compare the curves with; returns the numbers.
    """
    runs = collection.runs[dataset]
    optimizers = [str(name) for name in runs["optimizer"].values]
    last = runs.sizes["checkpoint"] - 1
    latest = min(LATEST * last, last - 1)
    waiting = np.unique(np.linspace(0, latest, waiting_times).round().astype(int))
    figure, axes = panels(1, len(optimizers))
    table: Table = []
    for panel, optimizer in zip(axes[0], optimizers, strict=True):
        rows = _draw_curves(panel, values.sel(optimizer=optimizer), runs["step"].values, waiting)
        rows += draw_references(panel)
        table += [{"dataset": dataset, "optimizer": optimizer, **row} for row in rows]
        panel.set(xlabel="lag $t$ (steps)", title=f"{title_of(optimizer)}, {dataset}")
        logarithmic(panel, "x")
        logarithmic(panel, "y")
        if panel.get_xscale() == "log":
            plain_log_ticks(panel.xaxis)
    axes[0, 0].set_ylabel(label)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, title="waiting time $t_w$\n(steps)", loc="outside right upper")
    describe(figure, collection, [dataset], "curve: mean")
    return Plotted(figure, pd.DataFrame(table))


def _draw_curves(panel: Axes, values: xr.DataArray, steps: np.ndarray, waiting: np.ndarray) -> Table:
    """Draw the mean over seeds, a curve for each waiting time; return the numbers."""
    table: Table = []
    colours = SEQUENTIAL(Normalize(0, max(1, steps[waiting].max()))(steps[waiting]))
    for start, colour in zip(waiting, colours, strict=True):
        band = over_seeds(values.isel(waiting=start, checkpoint=slice(start + 1, None)))
        lags = steps[start + 1 :] - steps[start]
        panel.plot(
            lags, band["mean"].values, color=colour, marker=".", markersize=3, label=f"{steps[start]:,}"
        )
        table += [
            {
                "quantity": values.name,
                "waiting_time": steps[start],
                "lag": lag,
                "mean": mean,
                "seeds": seeds,
            }
            for lag, mean, seeds in zip(lags, band["mean"].values, band["n"].values, strict=True)
            if seeds
        ]
    return table

"""Curves of two times, one for each waiting time; the layout of figures 1 and 9 to 11."""

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
    draw_references: Callable[[Axes, str], Table] = lambda *_: [],
) -> Plotted:
    """Draw a quantity of two times, tw and tw + t, against the lag t; both axes are logarithmic.

    Args:
        collection: The measured runs.
        dataset: Data set to show.
        waiting_times: How many waiting times to show, spread evenly over the checkpoints.
        values: The quantity, float64 (optimizer, seed, waiting, checkpoint).
        label: Label of the y axis.
        draw_references: Draws into the panel of an optimizer what to compare the curves with; returns the
            numbers.
    """
    runs = collection.runs[dataset]
    optimizers = [str(name) for name in runs["optimizer"].values]
    waiting = waiting_checkpoints(runs.sizes["checkpoint"], waiting_times)
    figure, axes = panels(1, len(optimizers))
    table: Table = []
    for panel, optimizer in zip(axes[0], optimizers, strict=True):
        rows = draw_curves(panel, values.sel(optimizer=optimizer), runs["step"].values, waiting)
        rows += draw_references(panel, optimizer)
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


def waiting_checkpoints(checkpoints: int, waiting_times: int) -> np.ndarray:
    """Return int64 indices of the checkpoints that curves start from, ``waiting_times`` of them at most."""
    last = checkpoints - 1
    latest = min(LATEST * last, last - 1)
    return np.unique(np.linspace(0, latest, waiting_times).round().astype(int))


def draw_curves(panel: Axes, values: xr.DataArray, times: np.ndarray, waiting: np.ndarray) -> Table:
    """Draw the mean over seeds, a curve for each waiting time.

    Args:
        panel: Where to draw.
        values: float64 (seed, waiting, checkpoint).
        times: (checkpoint,), when each checkpoint is, in steps or as a share of the training.
        waiting: Indices of the checkpoints that curves start from.

    Returns:
        The numbers drawn.
    """
    table: Table = []
    colours = SEQUENTIAL(Normalize(0, times[waiting].max() or 1)(times[waiting]))
    for start, colour in zip(waiting, colours, strict=True):
        band = over_seeds(values.isel(waiting=start, checkpoint=slice(start + 1, None)))
        lags = times[start + 1 :] - times[start]
        label = f"{times[start]:,}" if times.dtype.kind == "i" else f"{times[start]:.3g}"
        panel.plot(lags, band["mean"].values, color=colour, marker=".", markersize=3, label=label)
        table += [
            {
                "quantity": values.name,
                "waiting_time": times[start],
                "lag": lag,
                "mean": mean,
                "seeds": seeds,
            }
            for lag, mean, seeds in zip(lags, band["mean"].values, band["n"].values, strict=True)
            if seeds
        ]
    return table

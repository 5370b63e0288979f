"""Figures 1 and 9: two-time displacement of the leading eigenvector."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import Normalize

from eigendrift.figures.parts import (
    Plotted,
    Table,
    describe,
    draw_baseline,
    over_seeds,
    panels,
    plain_log_ticks,
)
from eigendrift.figures.style import title_of
from eigendrift.metrics.collection import Collection

LEADING = 1
# Dark curves are early, light ones late; the lightest yellow of the map would vanish on paper.
COLOURS = plt.get_cmap("viridis")
LIGHTEST = 0.9
# Of the training; a curve that starts later has hardly any lags to show.
LATEST = 7 / 8


def draw(collection: Collection, dataset: str, waiting_times: int) -> Plotted:
    """Draw Δ(1)(tw, tw + t) against the lag t, a curve for each waiting time, a panel for each optimizer.

    Args:
        collection: The measured runs.
        dataset: Data set to show.
        waiting_times: How many waiting times to show, spread evenly over the checkpoints.
    """
    runs = collection.runs[dataset]
    steps = runs["step"].values
    optimizers = [str(name) for name in runs["optimizer"].values]
    figure, axes = panels(1, len(optimizers))
    table: Table = []
    latest = LATEST * (len(steps) - 1)
    chosen = np.unique(np.linspace(0, latest, waiting_times).round().astype(int))
    colours = COLOURS(Normalize(0, steps[chosen].max() / LIGHTEST)(steps[chosen]))
    for panel, optimizer in zip(axes[0], optimizers, strict=True):
        moved = runs["displacement"].sel(optimizer=optimizer, rank=LEADING)
        for waiting, colour in zip(chosen, colours, strict=True):
            later = slice(waiting + 1, None)
            band = over_seeds(moved.isel(waiting=waiting, checkpoint=later))
            lags = steps[later] - steps[waiting]
            panel.plot(
                lags, band["mean"].values, color=colour, marker=".", markersize=3, label=f"{steps[waiting]:,}"
            )
            table += [
                {
                    "dataset": dataset,
                    "optimizer": optimizer,
                    "quantity": "displacement",
                    "waiting_time": steps[waiting],
                    "lag": lag,
                    "mean": mean,
                    "seeds": seeds,
                }
                for lag, mean, seeds in zip(lags, band["mean"].values, band["n"].values, strict=True)
                if seeds
            ]
        baseline = collection.baselines[dataset]["displacement"].sel(rank=LEADING).values
        for row in draw_baseline(panel, baseline, f"{collection.null_model} null"):
            table.append({"dataset": dataset, "optimizer": optimizer, **row})
        panel.set(xscale="log", yscale="log", xlabel="lag $t$ (steps)", title=title_of(optimizer))
        plain_log_ticks(panel.xaxis)
    axes[0, 0].set_ylabel(r"displacement $\Delta^{(1)}(t_w,\, t_w + t)$")
    handles, labels_ = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels_, title="waiting time $t_w$\n(steps)", loc="outside right upper")
    describe(figure, collection, [dataset], spread=False)
    return Plotted(figure, pd.DataFrame(table))

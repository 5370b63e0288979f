"""Figure 15: inverse participation ratio of many leading eigenvectors throughout one run."""

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Colormap
from matplotlib.figure import Figure

from eigendrift.figures.localization import draw_references, multiple_axis
from eigendrift.figures.parts import Plotted, Table, describe, panels, steps_axis
from eigendrift.figures.style import SEQUENTIAL, title_of
from eigendrift.metrics.collection import Collection, collect
from eigendrift.metrics.draws import draws_for

# Inches.
SCALE_HEIGHT = 0.5

read = collect


def draw(collection: Collection, dataset: str) -> Plotted:
    """Draw the IPR against the step, a line for each rank, a panel for each optimizer, one run in each.

    Args:
        collection: Measured runs with many eigenpairs; the first seed is shown.
        dataset: Data set to show.
    """
    runs = collection.runs[dataset].isel(seed=0)
    steps, ranks = runs["step"].values, runs["rank"].values
    optimizers = [str(name) for name in runs["optimizer"].values]
    figure, axes = panels(1, len(optimizers))
    colours = SEQUENTIAL.resampled(len(ranks))
    table: Table = []
    for panel, optimizer in zip(axes[0], optimizers, strict=True):
        ratios = runs["inverse_participation_ratio"].sel(optimizer=optimizer)
        # The leading one last, on top of the others.
        for index in reversed(range(len(ranks))):
            values = ratios.isel(rank=index).values
            panel.plot(steps, values, color=colours(index), linewidth=0.9, marker=".", markersize=2.5)
        quantity = {"quantity": "inverse_participation_ratio"}
        rows = [
            quantity | {"rank": rank, "step": step, "value": value}
            for rank, line in zip(ranks, ratios.transpose("rank", "checkpoint").values, strict=True)
            for step, value in zip(steps, line, strict=True)
            if np.isfinite(value)
        ]
        nulls = {collection.null_model: draws_for(collection.baselines[dataset], optimizer)}
        rows += draw_references(panel, nulls, runs.attrs["parameters"])
        table += [{"dataset": dataset, "optimizer": optimizer, **row} for row in rows]
        panel.set_title(f"{title_of(optimizer)}, {dataset}")
        steps_axis(panel)
    axes[0, 0].set_ylabel(r"IPR of $v_i$, $\sum_j v_{ij}^4$")
    multiple_axis(axes[0, -1], runs.attrs["parameters"])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    _draw_scale(figure, axes, ranks, colours)
    shown = (
        f"one run of each optimizer, seed {runs['seed'].item()}; "
        "the null model's band is that of its leading eigenvector"
    )
    describe(figure, collection, [dataset], shown)
    return Plotted(figure, pd.DataFrame(table))


def _draw_scale(figure: Figure, axes: np.ndarray, ranks: np.ndarray, colours: Colormap) -> None:
    """Draw which colour is which rank, below the panels."""
    figure.set_figheight(figure.get_figheight() + SCALE_HEIGHT)
    bounds = np.arange(len(ranks) + 1) + 0.5
    scale = figure.colorbar(
        ScalarMappable(BoundaryNorm(bounds, len(ranks)), colours),
        ax=axes,
        location="bottom",
        label="rank $i$",
        ticks=ranks,
        aspect=40,
        shrink=0.6,
    )
    scale.minorticks_off()

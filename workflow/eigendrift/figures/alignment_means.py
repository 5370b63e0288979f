"""Figures 13 and 14: alignment of gradient and update with the leading eigenvectors, means of each run."""

import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from eigendrift.figures.parts import Plotted, Table, describe, draw_isotropic, panels, positions
from eigendrift.figures.style import optimizer_lines, title_of
from eigendrift.metrics.collection import Collection, collect
from eigendrift.metrics.displacement import isotropic_overlap

DIRECTIONS = {"gradient_alignment": "gradient", "update_alignment": "update"}
# Where the points of a rank stand: optimizers side by side, their runs close together.
BETWEEN_OPTIMIZERS = 0.28
WIDTH_OF_RUNS = 0.2

read = collect


def draw(collection: Collection, dataset: str) -> Plotted:
    """Draw the means of |⟨g/|g|, v_i⟩| and |⟨u/|u|, v_i⟩| by rank, a panel for each, a point for each run.

    Args:
        collection: The measured runs.
        dataset: Data set to show.
    """
    runs = collection.runs[dataset]
    isotropic = isotropic_overlap(runs.attrs["parameters"])
    figure, axes = panels(1, len(DIRECTIONS))
    table: Table = []
    for panel, (quantity, direction) in zip(axes[0], DIRECTIONS.items(), strict=True):
        rows = [*_draw_points(panel, abs(runs[quantity])), *draw_isotropic(panel, isotropic)]
        table += [{"dataset": dataset, "quantity": quantity, **row} for row in rows]
        panel.set(title=f"{direction}, {dataset}", xlabel="rank $i$", ylim=(0, None))
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(visible=False, axis="x")
    axes[0, 0].set_ylabel("mean alignment with $v_i$")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", markerscale=1.5)
    describe(figure, collection, [dataset], "point: a run, its mean over checkpoints")
    return Plotted(figure, pd.DataFrame(table))


def _draw_points(panel: Axes, alignments: xr.DataArray) -> Table:
    """Draw the mean of each run at each rank; return the numbers."""
    table: Table = []
    optimizers = [str(name) for name in alignments["optimizer"].values]
    centres = positions(len(optimizers), BETWEEN_OPTIMIZERS)
    for centre, (optimizer, line) in zip(centres, optimizer_lines(optimizers).items(), strict=True):
        style = {"color": line["color"], "marker": line["marker"], "linestyle": "none", "markersize": 3}
        label: str | None = title_of(optimizer)
        seeds = alignments["seed"].values
        for beside, seed in zip(positions(len(seeds), WIDTH_OF_RUNS / len(seeds)), seeds, strict=True):
            run = alignments.sel(optimizer=optimizer, seed=seed)
            means, counts = run.mean("checkpoint").values, run.count("checkpoint").values
            panel.plot(run["rank"].values + centre + beside, means, label=label, **style)
            label = None
            table += [
                {"optimizer": optimizer, "seed": seed, "rank": rank, "mean": mean, "checkpoints": count}
                for rank, mean, count in zip(run["rank"].values, means, counts, strict=True)
                if count
            ]
    return table

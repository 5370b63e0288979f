"""The layout of figures 6 and 7: a line for each rank, a panel for each optimizer and data set."""

import pandas as pd

from eigendrift.figures.parts import (
    MEAN_AND_RANGE,
    Plotted,
    Table,
    band_rows,
    describe,
    draw_band,
    logarithmic,
    over_seeds,
    panels,
    steps_axis,
)
from eigendrift.figures.style import LINES, title_of
from eigendrift.metrics.collection import Collection

# Ranks are no optimizers: shades of one neutral hue, told apart by lightness and dashes.
RANK_COLOURS = ("#1a1a1a", "#6f6f6f", "#a8a8a8")


def draw_by_rank(
    collection: Collection, quantity: str, ranks: int, label: str, *, log_scale: bool
) -> Plotted:
    """Draw one quantity of the leading ranks against the step.

    Args:
        collection: The measured runs.
        quantity: Name of an array (checkpoint, rank) of the metrics stores.
        ranks: How many ranks to show at most.
        label: Label of the y axis.
        log_scale: Whether the y axis is logarithmic.
    """
    columns = max(runs.sizes["optimizer"] for runs in collection.runs.values())
    figure, axes = panels(len(collection.runs), columns, share_y="row")
    table: Table = []
    for row, (dataset, runs) in zip(axes, collection.runs.items(), strict=True):
        steps = runs["step"].values
        shown = runs["rank"].values[:ranks]
        for panel, name in zip(row, runs["optimizer"].values, strict=False):
            optimizer = str(name)
            for rank, colour, line in zip(shown, RANK_COLOURS, LINES, strict=False):
                band = over_seeds(runs[quantity].sel(optimizer=optimizer, rank=rank))
                draw_band(panel, steps, band, line | {"color": colour}, f"$i = {rank}$", edges=True)
                table += band_rows("step", steps, band, dataset=dataset, optimizer=optimizer, rank=int(rank))
            panel.set_title(f"{title_of(optimizer)}, {dataset}")
            if log_scale:
                logarithmic(panel, "y")
            steps_axis(panel)
        row[0].set_ylabel(label)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    describe(figure, collection, list(collection.runs), f"{MEAN_AND_RANGE}, thin lines: its edges")
    return Plotted(figure, pd.DataFrame(table))

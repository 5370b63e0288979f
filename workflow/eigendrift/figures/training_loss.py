"""Figure 4: training loss."""

import pandas as pd

from eigendrift.figures.parts import (
    MEAN_AND_RANGE,
    Plotted,
    Table,
    band_rows,
    dataset_title,
    describe,
    draw_band,
    logarithmic,
    over_seeds,
    panels,
    steps_axis,
)
from eigendrift.figures.style import optimizer_lines, title_of
from eigendrift.metrics.collection import Collection, collect

read = collect


def draw(collection: Collection) -> Plotted:
    """Draw the training loss, logarithmic, against the step, a panel for each data set."""
    figure, axes = panels(1, len(collection.runs))
    table: Table = []
    for panel, (dataset, runs) in zip(axes[0], collection.runs.items(), strict=True):
        steps = runs["step"].values
        optimizers = [str(name) for name in runs["optimizer"].values]
        for optimizer, line in optimizer_lines(optimizers).items():
            band = over_seeds(runs["train_loss"].sel(optimizer=optimizer))
            draw_band(panel, steps, band, line, title_of(optimizer))
            table += band_rows("step", steps, band, dataset=dataset, optimizer=optimizer)
        panel.set(title=dataset_title(dataset, runs))
        logarithmic(panel, "y")
        steps_axis(panel)
    axes[0, 0].set_ylabel("training loss (nat)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    describe(figure, collection, list(collection.runs), MEAN_AND_RANGE)
    return Plotted(figure, pd.DataFrame(table))

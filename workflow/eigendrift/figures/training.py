"""Loss, accuracy, eigenvalues and convergence along training: figures 4 to 7."""

import numpy as np
import pandas as pd

from eigendrift.figures.parts import (
    MEAN_AND_RANGE,
    RANKS,
    Plotted,
    Table,
    add_legend,
    band_rows,
    dataset_title,
    describe,
    draw_band,
    draw_optimizers,
    finite_rows,
    lines_of,
    logarithmic,
    over_seeds,
    panels,
    steps_axis,
)
from eigendrift.figures.style import LINES, title_of
from eigendrift.metrics.collection import Collection

SPREAD = 0.3
# Colours are for optimizers, so ranks have greys, which lightness and dashes tell apart.
RANK_COLOURS = ("#1a1a1a", "#6f6f6f", "#a8a8a8")


def draw_training_loss(collection: Collection) -> Plotted:
    """Draw the training loss, logarithmic, against the step, a panel for each data set."""
    figure, axes = panels(1, len(collection.runs))
    table: Table = []
    for panel, (dataset, runs) in zip(axes[0], collection.runs.items(), strict=True):
        rows = draw_optimizers(panel, runs["train_loss"], runs["step"].values, "step")
        table += [{"dataset": dataset, **row} for row in rows]
        panel.set(title=dataset_title(dataset, runs))
        logarithmic(panel, "y")
        steps_axis(panel)
    axes[0, 0].set_ylabel("training loss (nat)")
    add_legend(figure, axes[:1, :1])
    describe(figure, collection, collection.runs, MEAN_AND_RANGE)
    return Plotted(figure, pd.DataFrame(table))


def draw_test_accuracy(collection: Collection) -> Plotted:
    """Draw the final test accuracy, a point for each run, a panel for each data set."""
    figure, axes = panels(1, len(collection.runs), share_y=False, legend=False)
    table: Table = []
    for panel, (dataset, runs) in zip(axes[0], collection.runs.items(), strict=True):
        seeds, lines = runs["seed"].values, lines_of(runs)
        final = runs["test_accuracy"].isel(checkpoint=-1)
        offsets = np.linspace(-SPREAD, SPREAD, len(seeds)) if len(seeds) > 1 else np.zeros(1)
        for position, (optimizer, line) in enumerate(lines.items()):
            accuracies = final.sel(optimizer=optimizer).values
            panel.plot(position + offsets, accuracies, markersize=4, **line | {"linestyle": "none"})
            table += finite_rows("seed", seeds, "test_accuracy", accuracies, dataset=dataset, optimizer=optimizer)
        panel.set_xticks(range(len(lines)), [title_of(name).replace(" + ", "\n+ ") for name in lines])
        panel.grid(visible=False, axis="x")
        panel.set(title=dataset_title(dataset, runs), xlim=(-0.5, len(lines) - 0.5))
    axes[0, 0].set_ylabel("test accuracy at the last step")
    describe(figure, collection, collection.runs, "point: a run")
    return Plotted(figure, pd.DataFrame(table))


def draw_eigenvalues(collection: Collection) -> Plotted:
    """Draw the top-3 Hessian eigenvalues, a row for each data set and a column for each optimizer."""
    return _draw_by_rank(collection, "eigenvalue", r"eigenvalue $\lambda_i$ (nat)", log_scale=True)


def draw_convergence(collection: Collection) -> Plotted:
    """Draw |⟨v_i(t), v_i(T)⟩| of the top 3, a row for each data set and a column for each optimizer."""
    label = r"overlap with the end, $|\langle v_i(t),\, v_i(T) \rangle|$"
    return _draw_by_rank(collection, "final_overlap", label, log_scale=False)


def _draw_by_rank(collection: Collection, quantity: str, label: str, *, log_scale: bool) -> Plotted:
    """Draw an array (checkpoint, rank) of the metrics against the step, a line for each leading rank."""
    columns = max(runs.sizes["optimizer"] for runs in collection.runs.values())
    figure, axes = panels(len(collection.runs), columns, share_y="row")
    table: Table = []
    for row, (dataset, runs) in zip(axes, collection.runs.items(), strict=True):
        steps = runs["step"].values
        for panel, optimizer in zip(row, map(str, runs["optimizer"].values), strict=False):
            for rank, colour, line in zip(runs["rank"].values[:RANKS], RANK_COLOURS, LINES, strict=False):
                band = over_seeds(runs[quantity].sel(optimizer=optimizer, rank=rank))
                draw_band(panel, steps, band, line | {"color": colour}, f"$i = {rank}$", edges=True)
                table += band_rows("step", steps, band, dataset=dataset, optimizer=optimizer, rank=int(rank))
            panel.set_title(f"{title_of(optimizer)}, {dataset}")
            if log_scale:
                logarithmic(panel, "y")
            steps_axis(panel)
        row[0].set_ylabel(label)
    add_legend(figure, axes[:1, :1])
    describe(figure, collection, collection.runs, f"{MEAN_AND_RANGE}, thin lines: its edges")
    return Plotted(figure, pd.DataFrame(table))

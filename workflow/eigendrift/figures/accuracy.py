"""Figure 5: test accuracy at the end of each run."""

import numpy as np
import pandas as pd

from eigendrift.figures.parts import Plotted, Table, dataset_title, describe, panels
from eigendrift.figures.style import optimizer_lines, title_of
from eigendrift.metrics.collection import Collection, collect

SPREAD = 0.3

read = collect


def draw(collection: Collection) -> Plotted:
    """Draw the final test accuracy, a point for each run, a panel for each data set."""
    figure, axes = panels(1, len(collection.runs), share_y=False, legend=False)
    table: Table = []
    for panel, (dataset, runs) in zip(axes[0], collection.runs.items(), strict=True):
        optimizers = [str(name) for name in runs["optimizer"].values]
        seeds = runs["seed"].values
        final = runs["test_accuracy"].isel(checkpoint=-1)
        offsets = np.linspace(-SPREAD, SPREAD, len(seeds)) if len(seeds) > 1 else np.zeros(1)
        for position, (optimizer, line) in enumerate(optimizer_lines(optimizers).items()):
            accuracies = final.sel(optimizer=optimizer).values
            panel.plot(
                position + offsets,
                accuracies,
                color=line["color"],
                marker=line["marker"],
                linestyle="none",
                markersize=4,
            )
            table += [
                {"dataset": dataset, "optimizer": optimizer, "seed": int(seed), "test_accuracy": float(value)}
                for seed, value in zip(seeds, accuracies, strict=True)
                if np.isfinite(value)
            ]
        panel.set_xticks(
            range(len(optimizers)), [title_of(name).replace(" + ", "\n+ ") for name in optimizers]
        )
        panel.grid(visible=False, axis="x")
        panel.set(title=dataset_title(dataset, runs), xlim=(-0.5, len(optimizers) - 0.5))
    axes[0, 0].set_ylabel("test accuracy at the last step")
    describe(figure, collection, list(collection.runs), "point: a run")
    return Plotted(figure, pd.DataFrame(table))

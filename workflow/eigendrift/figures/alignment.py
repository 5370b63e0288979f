"""Figure 2: does the update point where the gradient points?"""

import numpy as np
import pandas as pd

from eigendrift.figures.parts import Plotted, dataset_title, describe, panels
from eigendrift.figures.style import optimizer_lines, title_of
from eigendrift.metrics.collection import Collection, collect

RANKS = 3
COLUMNS = ["seed", "step", "rank", "update_alignment", "gradient_alignment"]

read = collect


def draw(collection: Collection) -> Plotted:
    """Draw update alignment against gradient alignment; a point for each checkpoint, seed and leading rank.

    Alignments are absolute values, because the sign of an eigenvector is arbitrary.
    """
    figure, axes = panels(1, len(collection.runs))
    ranks = min(RANKS, *(runs.sizes["rank"] for runs in collection.runs.values()))
    table = []
    for panel, (dataset, runs) in zip(axes[0], collection.runs.items(), strict=True):
        optimizers = [str(name) for name in runs["optimizer"].values]
        for optimizer, line in optimizer_lines(optimizers).items():
            measured = runs.sel(optimizer=optimizer).isel(rank=slice(ranks))
            points = measured[["update_alignment", "gradient_alignment"]].map(np.abs)
            frame = points.to_dataframe().dropna().reset_index()
            panel.plot(
                frame["update_alignment"],
                frame["gradient_alignment"],
                color=line["color"],
                marker=line["marker"],
                markersize=3,
                markerfacecolor="none",
                markeredgewidth=0.5,
                alpha=0.7,
                linestyle="none",
                label=title_of(optimizer),
            )
            table.append(frame[COLUMNS].assign(dataset=dataset, optimizer=optimizer))
        panel.axline((0, 0), slope=1, color="#888888", linewidth=0.8, zorder=0)
        panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=dataset_title(dataset, runs))
        panel.set_xlabel(r"update alignment $|\langle u/|u|,\, v_i \rangle|$")
    axes[0, 0].set_ylabel(r"gradient alignment $|\langle g/|g|,\, v_i \rangle|$")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", markerscale=2)
    shown = f"point: one of the {ranks} leading ranks at a checkpoint of a run"
    describe(figure, collection, list(collection.runs), shown)
    return Plotted(figure, pd.concat(table)[["dataset", "optimizer", *COLUMNS]])

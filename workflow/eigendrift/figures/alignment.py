"""Alignment of gradients, updates and weight changes with eigenvectors: figures 2 and 11 to 14."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from eigendrift.figures.displacement import draw_two_time
from eigendrift.figures.parts import (
    LEADING,
    RANKS,
    Plotted,
    Table,
    add_legend,
    dataset_title,
    describe,
    draw_isotropic,
    lines_of,
    panels,
    positions,
    steps_axis,
)
from eigendrift.figures.style import title_of
from eigendrift.metrics.collection import Collection
from eigendrift.metrics.displacement import isotropic_overlap

COLUMNS = ["seed", "step", "rank", "update_alignment", "gradient_alignment"]
DIRECTIONS = {"gradient_alignment": "gradient", "update_alignment": "update"}
# Where the points of a rank are: optimizers side by side, their runs close together.
BETWEEN_OPTIMIZERS = 0.28
WIDTH_OF_RUNS = 0.2
GRADIENT: dict[str, Any] = {"color": "#1a1a1a", "linestyle": "-", "marker": "."}
SIGN = (
    r"sign of each $v_i$: the one with $\langle g,\, v_i \rangle \geq 0$, because its own is arbitrary; "
    "an update below 0 goes against the gradient along $v_i$"
)


def draw_alignment(collection: Collection) -> Plotted:
    """Draw update alignment against gradient alignment; a point for each checkpoint, seed and leading rank.

    Alignments are absolute values, because the sign of an eigenvector is arbitrary.
    """
    figure, axes = panels(1, len(collection.runs))
    ranks = min(RANKS, *(runs.sizes["rank"] for runs in collection.runs.values()))
    table = []
    for panel, (dataset, runs) in zip(axes[0], collection.runs.items(), strict=True):
        for optimizer, line in lines_of(runs).items():
            measured = runs.sel(optimizer=optimizer).isel(rank=slice(ranks))
            points = measured[["update_alignment", "gradient_alignment"]].map(np.abs)
            frame = points.to_dataframe().dropna().reset_index()
            panel.plot(
                frame["update_alignment"],
                frame["gradient_alignment"],
                **line | {"linestyle": "none", "markersize": 3, "markerfacecolor": "none", "markeredgewidth": 0.5},
                alpha=0.7,
                label=title_of(optimizer),
            )
            table.append(frame[COLUMNS].assign(dataset=dataset, optimizer=optimizer))
        panel.axline((0, 0), slope=1, color="#888888", linewidth=0.8, zorder=0)
        panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=dataset_title(dataset, runs))
        panel.set_xlabel(r"update alignment $|\langle u/|u|,\, v_i \rangle|$")
    axes[0, 0].set_ylabel(r"gradient alignment $|\langle g/|g|,\, v_i \rangle|$")
    add_legend(figure, axes[:1, :1], markerscale=2)
    shown = f"point: one of the {ranks} leading ranks at a checkpoint of a run"
    describe(figure, collection, collection.runs, shown)
    return Plotted(figure, pd.concat(table)[["dataset", "optimizer", *COLUMNS]])


def draw_weight_change_alignment(collection: Collection, dataset: str, waiting_times: int) -> Plotted:
    """Draw |⟨Δθ/|Δθ|, v_1(tw)⟩|, Δθ = θ(tw + t) − θ(tw), against t; curves and panels as in figure 1.

    Args:
        collection: The measured runs.
        dataset: Data set to show.
        waiting_times: How many waiting times to show, spread evenly over the checkpoints.
    """
    runs = collection.runs[dataset]
    isotropic = isotropic_overlap(runs.attrs["parameters"])
    return draw_two_time(
        collection,
        dataset,
        waiting_times,
        runs["weight_change_alignment"].sel(rank=LEADING),
        r"alignment $|\langle \Delta\theta/|\Delta\theta|,\, v_1(t_w) \rangle|$",
        lambda panel, _: draw_isotropic(panel, isotropic),
    )


def draw_signed_alignment(collection: Collection, dataset: str) -> Plotted:
    """Draw ⟨g/|g|, v_i⟩ and ⟨u/|u|, v_i⟩ against the step, a row for each rank, a column for each optimizer.

    Args:
        collection: The measured runs; the first seed is shown.
        dataset: Data set to show.
    """
    runs = collection.runs[dataset].isel(seed=0, rank=slice(RANKS))
    lines = lines_of(runs)
    figure, axes = panels(runs.sizes["rank"], len(lines))
    table = []
    for column, (optimizer, line) in zip(axes.T, lines.items(), strict=True):
        turned = turn_to_gradient(runs.sel(optimizer=optimizer))
        styles = {"gradient_alignment": GRADIENT, "update_alignment": line}
        labels = {"gradient_alignment": "gradient", "update_alignment": f"update of\n{title_of(optimizer)}"}
        for panel, rank in zip(column, runs["rank"].values, strict=True):
            panel.axhline(0, color="#888888", linewidth=0.8, zorder=0)
            for quantity, style in styles.items():
                values = turned[quantity].sel(rank=rank).values
                panel.plot(runs["step"].values, values, **style, markersize=3, label=labels[quantity])
            panel.set_title(f"{title_of(optimizer)}, $i = {rank}$")
            panel.set(ylim=(-1, 1), yticks=[-1, -0.5, 0, 0.5, 1])
            steps_axis(panel)
            panel.label_outer()
        frame = turned.to_dataframe().dropna(how="all", subset=list(styles)).reset_index()
        frame = frame.sort_values(["rank", "step"]).assign(dataset=dataset, optimizer=optimizer)
        table.append(frame[["dataset", "optimizer", "rank", "step", *styles]])
    for panel in axes[:, 0]:
        panel.set_ylabel(r"alignment with $v_i$")
    add_legend(figure, axes[0])
    describe(figure, collection, [dataset], f"one run of each optimizer, seed {runs['seed'].item()}\n{SIGN}")
    return Plotted(figure, pd.concat(table))


def turn_to_gradient(run: xr.Dataset) -> xr.Dataset:
    """Return both alignments of a run, each eigenvector with the sign that makes the gradient's positive.

    The product of both does not depend on the arbitrary sign of an eigenvector: it is negative where the update goes
    along the eigenvector against the gradient.
    """
    gradient, update = run["gradient_alignment"], run["update_alignment"]
    turned = update.where(gradient >= 0, -update).where(gradient.notnull())
    return xr.Dataset({"gradient_alignment": abs(gradient), "update_alignment": turned})


def draw_alignment_means(collection: Collection, dataset: str) -> Plotted:
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
        rows = [*_draw_means(panel, abs(runs[quantity])), *draw_isotropic(panel, isotropic)]
        table += [{"dataset": dataset, "quantity": quantity, **row} for row in rows]
        panel.set(title=f"{direction}, {dataset}", xlabel="rank $i$", ylim=(0, None))
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(visible=False, axis="x")
    axes[0, 0].set_ylabel("mean alignment with $v_i$")
    add_legend(figure, axes[:1, :1], markerscale=1.5)
    describe(figure, collection, [dataset], "point: a run, its mean over checkpoints")
    return Plotted(figure, pd.DataFrame(table))


def _draw_means(panel: Axes, alignments: xr.DataArray) -> Table:
    """Draw the mean of each run at each rank; return the numbers."""
    table: Table = []
    lines, seeds = lines_of(alignments), alignments["seed"].values
    centres = positions(len(lines), BETWEEN_OPTIMIZERS)
    for centre, (optimizer, line) in zip(centres, lines.items(), strict=True):
        style = line | {"linestyle": "none", "markersize": 3}
        label: str | None = title_of(optimizer)
        for offset, seed in zip(positions(len(seeds), WIDTH_OF_RUNS / len(seeds)), seeds, strict=True):
            run = alignments.sel(optimizer=optimizer, seed=seed)
            means, counts = run.mean("checkpoint").values, run.count("checkpoint").values
            panel.plot(run["rank"].values + centre + offset, means, label=label, **style)
            label = None
            table += [
                {"optimizer": optimizer, "seed": seed, "rank": rank, "mean": mean, "checkpoints": count}
                for rank, mean, count in zip(run["rank"].values, means, counts, strict=True)
                if count
            ]
    return table

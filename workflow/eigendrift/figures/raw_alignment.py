"""Figure 12: signed alignment of gradient and update with the leading eigenvectors along one run."""

from typing import Any

import pandas as pd
import xarray as xr

from eigendrift.figures.parts import Plotted, describe, panels, steps_axis
from eigendrift.figures.style import optimizer_lines, title_of
from eigendrift.metrics.collection import Collection, collect

RANKS = 3
GRADIENT: dict[str, Any] = {"color": "#1a1a1a", "linestyle": "-", "marker": "."}
SIGN = (
    r"sign of each $v_i$: the one with $\langle g,\, v_i \rangle \geq 0$, because its own is arbitrary; "
    "an update below 0 goes against the gradient along $v_i$"
)

read = collect


def draw(collection: Collection, dataset: str) -> Plotted:
    """Draw ⟨g/|g|, v_i⟩ and ⟨u/|u|, v_i⟩ against the step, a row for each rank, a column for each optimizer.

    Args:
        collection: The measured runs; the first seed is shown.
        dataset: Data set to show.
    """
    runs = collection.runs[dataset].isel(seed=0, rank=slice(RANKS))
    optimizers = [str(name) for name in runs["optimizer"].values]
    figure, axes = panels(runs.sizes["rank"], len(optimizers))
    table = []
    for column, (optimizer, line) in zip(axes.T, optimizer_lines(optimizers).items(), strict=True):
        turned = turn_to_gradient(runs.sel(optimizer=optimizer))
        lines = {"gradient_alignment": GRADIENT, "update_alignment": line}
        labels = {"gradient_alignment": "gradient", "update_alignment": f"update of\n{title_of(optimizer)}"}
        for panel, rank in zip(column, runs["rank"].values, strict=True):
            panel.axhline(0, color="#888888", linewidth=0.8, zorder=0)
            for quantity, style in lines.items():
                values = turned[quantity].sel(rank=rank).values
                panel.plot(runs["step"].values, values, **style, markersize=3, label=labels[quantity])
            panel.set_title(f"{title_of(optimizer)}, $i = {rank}$")
            panel.set(ylim=(-1, 1), yticks=[-1, -0.5, 0, 0.5, 1])
            steps_axis(panel)
            panel.label_outer()
        frame = turned.to_dataframe().dropna(how="all", subset=list(lines)).reset_index()
        frame = frame.sort_values(["rank", "step"]).assign(dataset=dataset, optimizer=optimizer)
        table.append(frame[["dataset", "optimizer", "rank", "step", *lines]])
    for panel in axes[:, 0]:
        panel.set_ylabel(r"alignment with $v_i$")
    entries = {
        label: handle
        for panel in axes[0]
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(entries.values(), entries, loc="outside right upper")
    describe(figure, collection, [dataset], f"one run of each optimizer, seed {runs['seed'].item()}\n{SIGN}")
    return Plotted(figure, pd.concat(table))


def turn_to_gradient(run: xr.Dataset) -> xr.Dataset:
    """Return both alignments of a run, each eigenvector with the sign that makes the gradient's positive.

    An eigenvector's own sign is arbitrary at each checkpoint, and so is that of an alignment with it; what is
    not is whether the update goes along the eigenvector against the gradient (negative) or with it.
    """
    gradient, update = run["gradient_alignment"], run["update_alignment"]
    return xr.Dataset(
        {
            "gradient_alignment": abs(gradient),
            "update_alignment": update.where(gradient >= 0, -update).where(gradient.notnull()),
        }
    )

"""Figure 17: alignment of gradient and update with the leading eigenvectors over learning rates."""

from functools import partial

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eigendrift.figures.parts import (
    Plotted,
    Table,
    band_rows,
    draw_isotropic,
    logarithmic,
    over_seeds,
    panels,
)
from eigendrift.figures.style import optimizer_lines, title_of
from eigendrift.figures.sweeps import describe_sweep, legend_of
from eigendrift.metrics.displacement import isotropic_overlap
from eigendrift.metrics.sweep import Sweep, read_sweep

RANKS = 3
DIRECTIONS = {"gradient_alignment": "gradient", "update_alignment": "update"}
SHOWN = "each run: its mean over checkpoints; point: mean, bar: minimum to maximum over seeds"

read = partial(read_sweep, varied="learning_rate")


def draw(sweep: Sweep) -> Plotted:
    """Draw the means of |⟨g/|g|, v_i⟩| and |⟨u/|u|, v_i⟩| over checkpoints against the learning rate.

    A row of panels for gradient and update, a column for each of the leading ranks i.
    """
    ranks = sweep.baseline["rank"].values[:RANKS]
    figure, axes = panels(len(DIRECTIONS), len(ranks))
    table: Table = []
    for row, (quantity, direction) in zip(axes, DIRECTIONS.items(), strict=True):
        for panel, rank in zip(row, ranks, strict=True):
            drawn = _draw_optimizers(panel, sweep, quantity, rank)
            drawn += draw_isotropic(panel, isotropic_overlap(sweep.parameters))
            table += [{"direction": direction, "rank": rank, **numbers} for numbers in drawn]
            panel.set(title=f"{direction}, $i = {rank}$", xlabel="learning rate", ylim=(0, None))
            logarithmic(panel, "x")
        row[0].set_ylabel(f"mean alignment of the\n{direction} with $v_i$")
    figure.legend(*legend_of(axes), loc="outside right upper")
    describe_sweep(figure, sweep, SHOWN)
    return Plotted(figure, pd.DataFrame(table))


def _draw_optimizers(panel: Axes, sweep: Sweep, quantity: str, rank: int) -> Table:
    """Draw mean and range over seeds, a line for each optimizer; return the numbers."""
    table: Table = []
    for optimizer, line in optimizer_lines(list(sweep.runs)).items():
        by_rate = sorted(sweep.runs[optimizer].items())
        rates = np.array([rate for rate, _ in by_rate])
        means = [abs(runs[quantity].sel(rank=rank)).mean("checkpoint") for _, runs in by_rate]
        band = over_seeds(xr.concat(means, "learning_rate", join="outer", coords="minimal", compat="equals"))
        mean = band["mean"].values
        reach = [mean - band["minimum"].values, band["maximum"].values - mean]
        panel.plot(rates, mean, **line, markersize=4, label=title_of(optimizer))
        panel.errorbar(rates, mean, reach, fmt="none", color=line["color"], capsize=2)
        table += band_rows("learning_rate", rates, band, quantity="alignment", optimizer=optimizer)
    return table

"""The layout of figures 18 and 19: localization over training, a line for each value of what varies."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eigendrift.figures.localization import draw_references, multiple_axis
from eigendrift.figures.parts import MEAN_AND_RANGE, Plotted, Table, band_rows, draw_band, over_seeds, panels
from eigendrift.figures.style import title_of
from eigendrift.figures.sweeps import SHARE, describe_sweep, name_of, shares_of, text_of, value_lines
from eigendrift.metrics.draws import draws_for
from eigendrift.metrics.sweep import Sweep

LEADING = 1
QUARTERS = (0, 0.25, 0.5, 0.75, 1)
BELOW: dict[str, Any] = {
    "loc": "upper center",
    "bbox_to_anchor": (0.5, -0.25),
    "ncols": 3,
    "handlelength": 1.8,
    "columnspacing": 1.2,
}


def draw_localization(sweep: Sweep) -> Plotted:
    """Draw the IPR against the share of training, a panel for each optimizer; the right axis is N × IPR."""
    figure, axes = panels(1, len(sweep.runs))
    table: Table = []
    for panel, (optimizer, by_value) in zip(axes[0], sweep.runs.items(), strict=True):
        table += [
            {"optimizer": optimizer, sweep.varied: value, **row}
            for value, line in value_lines(list(by_value)).items()
            for row in _draw_value(panel, by_value[value], line, text_of(value))
        ]
        nulls = {sweep.null_model: draws_for(sweep.baseline, optimizer)}
        null = draw_references(panel, nulls, sweep.parameters)
        table += [{"optimizer": optimizer, **row} for row in null]
        panel.set(title=f"{title_of(optimizer)}, {sweep.dataset}", xlabel=SHARE, xlim=(0, 1))
        panel.set_xticks(QUARTERS, [f"{share:g}" for share in QUARTERS])
    axes[0, 0].set_ylabel(r"IPR of $v_1$, $\sum_j v_{1j}^4$")
    multiple_axis(axes[0, -1], sweep.parameters)
    _name_values(figure, axes[0], sweep)
    describe_sweep(figure, sweep, MEAN_AND_RANGE)
    return Plotted(figure, pd.DataFrame(table))


def _draw_value(panel: Axes, runs: xr.Dataset, line: dict[str, Any], label: str) -> Table:
    band = over_seeds(runs["inverse_participation_ratio"].sel(rank=LEADING))
    shares = shares_of(runs)
    draw_band(panel, shares, band, line, label)
    return band_rows("share", shares, band, quantity="inverse_participation_ratio")


def _name_values(figure: Figure, axes: np.ndarray, sweep: Sweep) -> None:
    """Name the values on the right, or below each panel where optimizers have values of their own."""
    handles, names = axes[0].get_legend_handles_labels()
    common = {tuple(by_value) for by_value in sweep.runs.values()}
    if len(common) == 1:
        figure.legend(handles, names, title=name_of(sweep), loc="outside right upper")
        return
    for panel, by_value in zip(axes, sweep.runs.values(), strict=True):
        values = [handle[: len(by_value)] for handle in panel.get_legend_handles_labels()]
        panel.legend(*values, title=name_of(sweep), **BELOW)
    first = len(next(iter(sweep.runs.values())))
    figure.legend(handles[first:], names[first:], loc="outside right upper")

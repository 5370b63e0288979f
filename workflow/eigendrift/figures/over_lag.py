"""Displacement over one lag along training: what extensions 1 and 2 share."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from eigendrift.figures.parts import Table, band_rows, draw_band, logarithmic, over_seeds
from eigendrift.figures.style import optimizer_lines, title_of
from eigendrift.metrics.collection import Collection, collect
from eigendrift.metrics.lagged import missed_lag


@dataclass(frozen=True)
class Collections:
    """The measured runs, at all checkpoints and at fewer with more eigenpairs.

    Attributes:
        everywhere: At all checkpoints.
        wide: With more eigenpairs at fewer checkpoints, and a baseline with as many.
    """

    everywhere: Collection
    wide: Collection

    def wide_runs(self, dataset: str, lag: float, ranks: int) -> xr.Dataset | None:
        """Return the runs with so many eigenpairs or more, if their checkpoints have the lag."""
        runs = self.wide.runs[dataset]
        fits = runs.sizes["rank"] >= ranks and missed_lag(runs["step"].values, lag) is None
        return runs if fits else None


def read(
    metrics: Iterable[str | Path],
    baselines: Iterable[str | Path],
    wide_metrics: Iterable[str | Path],
    wide_baselines: Iterable[str | Path],
) -> Collections:
    """Read the metrics of runs and the baselines of their null models, and the same with more eigenpairs."""
    return Collections(collect(metrics, baselines), collect(wide_metrics, wide_baselines))


def draw_optimizers(panel: Axes, values: xr.DataArray, x: np.ndarray, x_name: str, **labels: object) -> Table:
    """Draw a band over seeds for each optimizer; return the numbers.

    Args:
        panel: Where to draw.
        values: float64 (optimizer, seed, …), … one dimension.
        x: Where the values stand on the x axis.
        x_name: What to call that in the table.
        labels: What else to say of the numbers.
    """
    table: Table = []
    for optimizer, line in lines_of(values).items():
        band = over_seeds(values.sel(optimizer=optimizer))
        draw_band(panel, x, band, line, title_of(optimizer))
        table += band_rows(x_name, x, band, optimizer=optimizer, **labels)
    return table


def draw_shares(panel: Axes, share: xr.DataArray, quantity: str, *, symbols: bool = False) -> Table:
    """Draw a share along training, a line for each optimizer; return the numbers.

    Args:
        panel: Where to draw.
        share: float64 (optimizer, waiting), of all seeds together.
        quantity: What to call it in the table.
        symbols: Whether to draw symbols in place of a line.
    """
    table: Table = []
    steps = share["step"].values
    for optimizer, line in lines_of(share).items():
        values = share.sel(optimizer=optimizer).values
        style = symbol_of(line) if symbols else {key: line[key] for key in ("color", "linestyle")}
        panel.plot(steps, values, label=None if symbols else title_of(optimizer), **style)
        table += [
            {"optimizer": optimizer, "quantity": quantity, "waiting_time": step, "share": value}
            for step, value in zip(steps, values, strict=True)
            if np.isfinite(value)
        ]
    return table


def symbol_of(line: dict[str, Any]) -> dict[str, Any]:
    """Return hollow symbols of an optimizer, which lie on top of lines."""
    return line | {"linestyle": "none", "markersize": 3.5, "markerfacecolor": "white", "zorder": 3}


def lines_of(values: xr.DataArray) -> dict[str, dict[str, Any]]:
    """Return the line of each optimizer of a measurement."""
    return optimizer_lines([str(name) for name in values["optimizer"].values])


def same_logarithmic_axis(row: Iterable[Axes]) -> None:
    """Give the displacements of a row one logarithmic axis, so that panels compare."""
    shown = list(row)
    low, high = min(panel.dataLim.minposy for panel in shown), max(panel.dataLim.y1 for panel in shown)
    for panel in shown:
        logarithmic(panel, "y")
        if panel.get_yscale() == "log":
            panel.set_ylim(low / 1.3, high * 1.3)


def share_axis(panel: Axes) -> None:
    """Give shares an axis on which all of them are there: 0 to 1, and what lies below 0."""
    low = min(0.0, panel.get_ylim()[0])
    panel.set_ylim(max(low, -1.0), 1.02)

"""Pieces that several figures are made of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from eigendrift.figures.style import (
    ISOTROPIC,
    LEGEND_WIDTH,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    null_line,
)
from eigendrift.metrics.collection import Collection
from eigendrift.metrics.copies import replicates

Table = list[dict[str, Any]]

BASELINE_ALPHA = 0.12
LINE_AND_BAND = "\n(median, central 90 %)"
MOST_TICKS = 12
MEAN_AND_RANGE = "line: mean, band: minimum to maximum over seeds"


@dataclass(frozen=True)
class Plotted:
    """A figure and exactly the numbers in it.

    Attributes:
        figure: The picture.
        table: One row for each plotted value, in long form.

    Raises:
        TypeError: They are something else.
    """

    figure: Figure
    table: pd.DataFrame

    def __post_init__(self) -> None:
        for name, expected in (("figure", Figure), ("table", pd.DataFrame)):
            if not isinstance(found := getattr(self, name), expected):
                raise TypeError(f"{name} is {type(found).__name__}, expected {expected.__name__}")


def panels(
    rows: int,
    columns: int,
    *,
    share_x: Literal["row"] | bool = "row",
    share_y: Literal["row"] | bool = True,
    legend: bool = True,
) -> tuple[Figure, np.ndarray]:
    """Make a grid of panels, with room for a legend on the right.

    Returns:
        The figure, and its axes as an object array (rows, columns).
    """
    width = PANEL_WIDTH * columns + (LEGEND_WIDTH if legend else 0)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(width, PANEL_HEIGHT * rows + 0.5),
        squeeze=False,
        sharex=share_x,
        sharey=share_y,
    )
    return figure, axes


def dataset_title(dataset: str, runs: xr.Dataset) -> str:
    """Return the title of a panel that shows one data set: its name, and N of the network on it."""
    return f"{dataset} (N = {runs.attrs['parameters']:,})"


def over_seeds(values: xr.DataArray) -> xr.Dataset:
    """Return mean, minimum, maximum and number of the finite values over seeds."""
    return xr.Dataset(
        {
            "mean": values.mean("seed"),
            "minimum": values.min("seed"),
            "maximum": values.max("seed"),
            "n": values.notnull().sum("seed"),
        }
    )


def draw_band(
    axes: Axes,
    x: np.ndarray,
    band: xr.Dataset,
    line: dict[str, Any],
    label: str | None,
    *,
    edges: bool = False,
) -> None:
    """Draw the mean over seeds as a line and the range from minimum to maximum as a band.

    Args:
        axes: Where to draw.
        x: Where the values stand on the x axis.
        band: From `over_seeds`.
        line: Colour and dashes.
        label: The line's name in the legend.
        edges: Whether the band has edges like the line, where colours of bands are too alike to tell apart.
    """
    style = {key: value for key, value in line.items() if key != "marker"}
    axes.plot(x, band["mean"].values, label=label, **style)
    low, high = band["minimum"].values, band["maximum"].values
    axes.fill_between(x, low, high, color=line["color"], alpha=0.15, linewidth=0)
    if edges:
        for edge in (low, high):
            axes.plot(x, edge, **style | {"linewidth": 0.5})


def band_rows(x_name: str, x: np.ndarray, band: xr.Dataset, **labels: object) -> Table:
    """Return the rows of a drawn band; values that are not there are not rows."""
    return [
        {
            **labels,
            x_name: at,
            "mean": float(mean),
            "minimum": float(minimum),
            "maximum": float(maximum),
            "seeds": int(n),
        }
        for at, mean, minimum, maximum, n in zip(
            x,
            band["mean"].values,
            band["minimum"].values,
            band["maximum"].values,
            band["n"].values,
            strict=True,
        )
        if n
    ]


def draw_baseline(axes: Axes, draws: np.ndarray, null_model: str, *, further: bool = False) -> Table:
    """Draw a null model's median as a line of its own and its central 90 % as a band; return the numbers.

    Args:
        axes: Where to draw.
        draws: float64, any number; NaN is left out.
        null_model: Name of the null model.
        further: Whether another null model is there already, and the legend knows what line and band are.
    """
    if not np.isfinite(draws).any():
        return []
    line = null_line(null_model)
    low, middle, high = np.nanquantile(draws, [0.05, 0.5, 0.95])
    axes.axhspan(low, high, color=line["color"], alpha=BASELINE_ALPHA, linewidth=0)
    label = f"{null_model} null{'' if further else LINE_AND_BAND}"
    axes.axhline(middle, label=label, **line)
    return [{"quantity": "baseline", "null_model": null_model, "median": middle, "low": low, "high": high}]


def draw_isotropic(axes: Axes, mean: float) -> Table:
    """Draw the mean over isotropic vectors as a thin dotted line; return the number."""
    axes.axhline(mean, label="isotropic vectors (mean)", **ISOTROPIC)
    return [{"quantity": "isotropic", "mean": mean}]


def seed_count(numbers: Iterable[int]) -> str:
    """Return the numbers of seeds of several settings in words, such as "3 seeds" or "1 to 3 seeds"."""
    listed = list(numbers)
    fewest, most = min(listed), max(listed)
    return f"{most if fewest == most else f'{fewest} to {most}'} seed{'s' * (most != 1)}"


def describe(figure: Figure, collection: Collection, datasets: Sequence[str], shown: str) -> None:
    """Write under a figure what its reader must know: N, seeds, divergences and masked pairs.

    Args:
        figure: The figure.
        collection: The measured runs.
        datasets: The data sets that it shows.
        shown: What its lines, bands or points are.
    """
    lines = []
    for dataset in datasets:
        runs = collection.runs[dataset]
        seeds = seed_count(replicates(runs.sel(optimizer=name)) for name in runs["optimizer"].values)
        lines.append(f"{dataset}: N = {runs.attrs['parameters']:,} parameters, {seeds}; {shown}")
        lines += collection.notes(dataset)
    write_below(figure, lines)


def write_below(figure: Figure, lines: Sequence[str]) -> None:
    """Write lines of small print under a figure."""
    figure.supxlabel("\n".join(lines), fontsize=6, color="#555555", ha="left", x=0.01, wrap=True)


def logarithmic(axes: Axes, direction: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, unless the panel has nothing that could be shown on it."""
    low, high = axes.dataLim.intervalx if direction == "x" else axes.dataLim.intervaly
    if 0 < high < np.inf and low <= high:
        axes.set(**{f"{direction}scale": "log"})


def plain_log_ticks(axis: Axis, labelled: Sequence[float] = (1, 2, 5)) -> None:
    """Label a logarithmic axis with plain numbers at ``labelled`` times powers of ten; of many, at these."""
    low, high = axis.get_view_interval()
    # Of more places than ticks the locator may choose none at all.
    within = labelled if high < low * 10 ** (MOST_TICKS / len(labelled)) else (1,)
    axis.set_major_locator(LogLocator(subs=within, numticks=MOST_TICKS))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def steps_axis(axes: Axes) -> None:
    """Label the x axis as training steps."""
    axes.set_xlabel("step")
    axes.ticklabel_format(axis="x", style="plain")


def positions(count: int, distance: float) -> np.ndarray:
    """Return positions around 0 that lie ``distance`` apart."""
    return (np.arange(count) - (count - 1) / 2) * distance

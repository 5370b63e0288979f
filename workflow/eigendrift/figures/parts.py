"""What every figure is made of: panels, bands, baselines, notes, and the files that are written."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from eigendrift.errors import UserError
from eigendrift.figures.style import (
    ISOTROPIC,
    LEGEND_WIDTH,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    house_style,
    null_line,
    optimizer_lines,
    title_of,
)
from eigendrift.metrics.collection import Collection
from eigendrift.metrics.copies import replicates
from eigendrift.stores.files import write_file
from eigendrift.stores.tables import write_table

Table = list[dict[str, Any]]

# Ranks that figures show: the leading one, or the first three where a figure shows several.
LEADING = 1
RANKS = 3
BASELINE_ALPHA = 0.12
LINE_AND_BAND = "\n(median, central 90 %)"
MOST_TICKS = 12
MEAN_AND_RANGE = "line: mean, band: minimum to maximum over seeds"
# Dates and versions in the files would change their bytes.
METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@dataclass(frozen=True)
class Plotted:
    """A figure and exactly the numbers in it.

    Attributes:
        figure: The picture.
        table: One row for each plotted value, in long form.

    Raises:
        TypeError: If either is of another type.
    """

    figure: Figure
    table: pd.DataFrame

    def __post_init__(self) -> None:
        for name, expected in (("figure", Figure), ("table", pd.DataFrame)):
            if not isinstance(found := getattr(self, name), expected):
                raise TypeError(f"{name} is {type(found).__name__}, expected {expected.__name__}")


def produce(
    draw: Callable[..., Plotted],
    source: Any,
    settings: Mapping[str, Any],
    style: Mapping[str, Any],
    outputs: Mapping[str, str | Path],
    study: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Draw a figure and write its files; equal numbers give equal bytes.

    Args:
        draw: Makes the figure from the source and the settings.
        source: What the figure's ``read`` returned, such as a `Collection`.
        settings: Keyword arguments of ``draw``.
        style: matplotlib rcParams on top of the house style.
        outputs: Paths of the files ``png``, ``pdf`` and ``csv``.
        study: See `house_style`.

    Raises:
        UserError: If ``draw``, of a plug-in, returns something other than `Plotted`.
    """
    # fontTools logs every table that it leaves out of a font in a pdf.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    with house_style(style, study):
        plotted = draw(source, **settings)
        if not isinstance(plotted, Plotted):
            raise UserError(
                f"The figure '{Path(outputs['png']).stem}' is drawn as {type(plotted).__name__}, expected "
                "eigendrift.figures.parts.Plotted; fix its function draw."
            )
        for ending, metadata in METADATA.items():
            picture = BytesIO()
            plotted.figure.savefig(picture, format=ending, metadata=metadata)
            write_file(Path(outputs[ending]), picture.getvalue())
            # The second file reuses the layout of the first: computing it takes longer than drawing.
            plotted.figure.set_layout_engine("none")
        plt.close(plotted.figure)
    # Whole numbers stay whole, also in columns that only some rows have.
    write_table(Path(outputs["csv"]), plotted.table.convert_dtypes())


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
        rows, columns, figsize=(width, PANEL_HEIGHT * rows + 0.5), squeeze=False, sharex=share_x, sharey=share_y
    )
    return figure, axes


def add_legend(figure: Figure, axes: np.ndarray, **options: Any) -> None:
    """Add a legend at the upper right of a figure that names what some of its panels show, each label once.

    Args:
        figure: The figure.
        axes: Panels whose labels it names, an object array of any shape.
        **options: Arguments of ``figure.legend``.
    """
    named = {
        label: handle for panel in axes.flat for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(list(named.values()), list(named), loc="outside right upper", **options)


def dataset_title(dataset: str, runs: xr.Dataset) -> str:
    """Return the title of a panel that shows one data set: its name, and N of the network on it."""
    return f"{dataset} (N = {runs.attrs['parameters']:,})"


def lines_of(measured: xr.Dataset | xr.DataArray) -> dict[str, dict[str, Any]]:
    """Return the line of each optimizer of a measurement with the dimension optimizer."""
    return optimizer_lines([str(name) for name in measured["optimizer"].values])


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
    axes: Axes, x: np.ndarray, band: xr.Dataset, line: dict[str, Any], label: str | None, *, edges: bool = False
) -> None:
    """Draw the mean over seeds as a line and the range from minimum to maximum as a band.

    Args:
        axes: Where to draw.
        x: The values' positions on the x axis.
        band: From `over_seeds`.
        line: Colour and dashes.
        label: The line's name in the legend.
        edges: Whether to draw the band's edges like the line, where bands have similar colours.
    """
    style = {key: value for key, value in line.items() if key != "marker"}
    axes.plot(x, band["mean"].values, label=label, **style)
    low, high = band["minimum"].values, band["maximum"].values
    axes.fill_between(x, low, high, color=line["color"], alpha=0.15, linewidth=0)
    if edges:
        for edge in (low, high):
            axes.plot(x, edge, **style | {"linewidth": 0.5})


def band_rows(x_name: str, x: np.ndarray, band: xr.Dataset, **labels: object) -> Table:
    """Return a row for each position of a drawn band that has a value."""
    columns = (band[name].values for name in ("mean", "minimum", "maximum", "n"))
    return [
        {
            **labels,
            x_name: at,
            "mean": float(mean),
            "minimum": float(minimum),
            "maximum": float(maximum),
            "seeds": int(n),
        }
        for at, mean, minimum, maximum, n in zip(x, *columns, strict=True)
        if n
    ]


def finite_rows(x_name: str, x: np.ndarray, name: str, values: np.ndarray, **labels: object) -> Table:
    """Return a row for each position of a drawn line that has a value."""
    return [{**labels, x_name: at, name: value} for at, value in zip(x, values, strict=True) if np.isfinite(value)]


def draw_optimizers(panel: Axes, values: xr.DataArray, x: np.ndarray, x_name: str, **labels: object) -> Table:
    """Draw a band over seeds for each optimizer; return the numbers.

    Args:
        panel: Where to draw.
        values: float64 (optimizer, seed, x).
        x: The values' positions on the x axis.
        x_name: The name of the x axis in the table.
        **labels: Further columns of the table.
    """
    table: Table = []
    for optimizer, line in lines_of(values).items():
        band = over_seeds(values.sel(optimizer=optimizer))
        draw_band(panel, x, band, line, title_of(optimizer))
        table += band_rows(x_name, x, band, optimizer=optimizer, **labels)
    return table


def draw_baseline(axes: Axes, draws: np.ndarray, null_model: str, *, further: bool = False) -> Table:
    """Draw a null model's median as a line of its own and its central 90 % as a band; return the numbers.

    Args:
        axes: Where to draw.
        draws: float64, any number; NaN is left out.
        null_model: Name of the null model.
        further: Whether the legend has explained line and band already, for another null model.
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


def describe(figure: Figure, collection: Collection, datasets: Iterable[str], shown: str) -> None:
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


def logarithmic(axes: Axes, direction: Literal["x", "y"], labelled: Sequence[float] | None = None) -> bool:
    """Make an axis logarithmic, unless the panel has nothing that could be shown on it.

    Args:
        axes: The panel.
        direction: Which axis.
        labelled: Label the axis with plain numbers, see `plain_log_ticks`; by default with powers of ten.

    Returns:
        Whether the axis is logarithmic now.
    """
    low, high = axes.dataLim.intervalx if direction == "x" else axes.dataLim.intervaly
    if 0 < high < np.inf and low <= high:
        axes.set(**{f"{direction}scale": "log"})
    axis = axes.xaxis if direction == "x" else axes.yaxis
    if axis.get_scale() == "log" and labelled is not None:
        plain_log_ticks(axis, labelled)
    return bool(axis.get_scale() == "log")


def plain_log_ticks(axis: Axis, labelled: Sequence[float] = (1, 2, 5)) -> None:
    """Label a logarithmic axis with plain numbers at ``labelled`` times powers of ten.

    An axis that spans many powers of ten has labels at these alone.
    """
    low, high = axis.get_view_interval()
    # With more places than ticks, the locator may choose none of them.
    within = labelled if high < low * 10 ** (MOST_TICKS / len(labelled)) else (1,)
    axis.set_major_locator(LogLocator(subs=within, numticks=MOST_TICKS))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def steps_axis(axes: Axes) -> None:
    """Label the x axis as training steps."""
    axes.set_xlabel("step")
    axes.ticklabel_format(axis="x", style="plain")


def positions(count: int, distance: float) -> np.ndarray:
    """Return positions around 0 that are ``distance`` apart."""
    return (np.arange(count) - (count - 1) / 2) * distance

"""Figure 8: the best minimum of each optimizer, on training and test samples together."""

from collections.abc import Iterable
from math import pi, sqrt
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from eigendrift.figures.parts import (
    Plotted,
    Table,
    logarithmic,
    plain_log_ticks,
    positions,
    seed_count,
    write_below,
)
from eigendrift.figures.style import LEGEND_WIDTH, PANEL_HEIGHT, PANEL_WIDTH, optimizer_lines, title_of
from eigendrift.metrics.copies import repeated
from eigendrift.stores.reading import open_store

# A spectral density says little below the height that one eigenvalue alone has, but shows its shape there.
SHARE_OF_ONE = 1 / 30
HEADROOM = 3
# To the right of the last rank, optimizers side by side.
PLACE_OF_TRACE = 2
BETWEEN_TRACES = 0.4
WIDTHS = (1.8, 1, 1.4)
# Named here, so that the table has a header also when every run diverged.
COLUMNS = (
    *("dataset", "optimizer", "quantity", "curvature", "value", "seed", "loss", "error_rate", "best"),
    *("rank", "standard_error"),
)
SHOWN: dict[str, dict[str, Any]] = {
    "best run": {"marker": "o", "markersize": 7, "markeredgecolor": "black"},
    "other run": {"marker": "o", "markersize": 4, "markerfacecolor": "none"},
}


def read(minima: Iterable[str | Path]) -> dict[str, dict[str, xr.Dataset]]:
    """Read minimum stores: for each data set and optimizer the best minimum."""
    grouped: dict[str, dict[str, xr.Dataset]] = {}
    for path in minima:
        minimum = open_store(Path(path), "minimum").load()
        training = minimum.attrs["settings"]["training"]
        grouped.setdefault(training["dataset"], {})[training["optimizer"]["name"]] = minimum
    return grouped


def draw(minima: dict[str, dict[str, xr.Dataset]]) -> Plotted:
    """Draw spectral density, loss and error rate, eigenvalues and trace; a row for each data set."""
    figure, axes = plt.subplots(
        len(minima),
        len(WIDTHS),
        figsize=(PANEL_WIDTH * sum(WIDTHS) + LEGEND_WIDTH, PANEL_HEIGHT * len(minima) + 0.5),
        squeeze=False,
        width_ratios=WIDTHS,
    )
    table: Table = []
    notes = []
    for (density, runs, spectrum), (dataset, by_optimizer) in zip(axes, minima.items(), strict=True):
        lines = optimizer_lines(list(by_optimizer))
        for shift, (optimizer, line) in zip(
            positions(len(lines), BETWEEN_TRACES), lines.items(), strict=True
        ):
            minimum = by_optimizer[optimizer]
            rows = _draw_density(density, minimum, line)
            rows += _draw_runs(runs, minimum, line)
            rows += _draw_spectrum(spectrum, minimum, line, shift)
            table += [{"dataset": dataset, "optimizer": optimizer, **row} for row in rows]
        _finish_density(density, list(by_optimizer.values()))
        _finish_spectrum(spectrum, minimum["rank"].values)
        density.set(title=f"{dataset}: all eigenvalues", xlabel="curvature (nat)")
        runs.set(title="all runs", xlabel="loss (nat)", ylabel="error rate")
        runs.locator_params(axis="x", nbins=4)
        spectrum.set(title="leading eigenvalues, and trace")
        notes += _notes(dataset, by_optimizer)
    _explain(figure, list(dict.fromkeys(name for by_optimizer in minima.values() for name in by_optimizer)))
    write_below(figure, notes)
    return Plotted(figure, pd.DataFrame(table, columns=COLUMNS))


def _draw_density(axes: Axes, minimum: xr.Dataset, line: dict[str, Any]) -> Table:
    curvature, density = minimum["curvature"].values, minimum["density"].values
    axes.plot(curvature, density, color=line["color"], linestyle=line["linestyle"], linewidth=1.1)
    return [
        {"quantity": "spectral density", "curvature": at, "value": value}
        for at, value in zip(curvature, density, strict=True)
        if np.isfinite(value)
    ]


def _draw_runs(axes: Axes, minimum: xr.Dataset, line: dict[str, Any]) -> Table:
    table: Table = []
    copied = _copies(minimum)
    for seed, loss, accuracy, best in zip(
        *(minimum[name].values for name in ("seed", "loss", "accuracy", "best")), strict=True
    ):
        if seed in copied or not np.isfinite(loss):
            continue
        marker = SHOWN["best run" if best else "other run"]
        axes.plot(loss, 1 - accuracy, **{"color": line["color"], **marker, "marker": line["marker"]})
        table.append(
            {"quantity": "run", "seed": seed, "loss": loss, "error_rate": 1 - accuracy, "best": best}
        )
    return table


def _copies(minimum: xr.Dataset) -> dict[int, int]:
    """Return the seeds that are copies, and the earlier seed that each of them equals.

    A minimum store holds only the loss and the accuracy at the end of each run, so runs are copies if both
    are equal to the bit. The best run is never a copy, because it is the first run that has the lowest loss.
    """
    ends = (minimum[name].values for name in ("loss", "accuracy"))
    return repeated(minimum["seed"].values.tolist(), ends)


def _draw_spectrum(axes: Axes, minimum: xr.Dataset, line: dict[str, Any], shift: float) -> Table:
    """Draw the leading eigenvalues by rank, and the trace, shifted, to the right of them."""
    ranks = minimum["rank"].values
    eigenvalues = minimum["eigenvalue"].where(minimum["converged"]).values
    axes.plot(ranks, eigenvalues, **line, markersize=3, linewidth=0.8)
    table: Table = [
        {"quantity": "eigenvalue", "rank": rank, "value": value}
        for rank, value in zip(ranks, eigenvalues, strict=True)
        if np.isfinite(value)
    ]
    summary = minimum.attrs["summary"]
    if summary["trace"] is not None:
        trace, error = summary["trace"], summary["trace_standard_error"]
        place = len(ranks) + PLACE_OF_TRACE + shift
        axes.errorbar(place, trace, error, **{**line, "linestyle": "none"}, markersize=4)
        table.append({"quantity": "trace", "value": trace, "standard_error": error})
    return table


def _finish_density(axes: Axes, minima: list[xr.Dataset]) -> None:
    """Make the axis of densities logarithmic, down to where there is nothing to see."""
    axes.set_ylabel("spectral density (1/nat)")
    found = [minimum for minimum in minima if minimum.attrs["summary"]["smoothing"]]
    if found:
        summaries = [minimum.attrs["summary"] for minimum in found]
        weights = [summary["parameters"] * sqrt(2 * pi) * summary["smoothing"] for summary in summaries]
        highest = max(float(minimum["density"].max()) for minimum in found)
        axes.set(yscale="log", ylim=(SHARE_OF_ONE / max(weights), HEADROOM * highest))


def _finish_spectrum(axes: Axes, ranks: np.ndarray) -> None:
    """Label the ranks and, behind a line, the trace."""
    labelled = [rank for rank in ranks if rank == 1 or rank % 5 == 0]
    place = len(ranks) + PLACE_OF_TRACE
    axes.set_xticks([*labelled, place], [*map(str, labelled), "trace"])
    axes.axvline(place - 1, color="#888888", linewidth=0.5)
    axes.set(xlabel="rank $i$", ylabel=r"eigenvalue $\lambda_i$, trace (nat)", xlim=(0, place + 1))
    logarithmic(axes, "y")
    if axes.get_yscale() == "log":
        plain_log_ticks(axes.yaxis)


def _explain(figure: Figure, optimizers: list[str]) -> None:
    lines = optimizer_lines(optimizers)
    handles = [Line2D([], [], **line, markersize=4, label=title_of(name)) for name, line in lines.items()]
    handles += [
        Line2D([], [], **{"color": "#888888", **marker}, linestyle="none", label=name)
        for name, marker in SHOWN.items()
    ]
    figure.legend(handles=handles, loc="outside right upper")


def _notes(dataset: str, minima: dict[str, xr.Dataset]) -> list[str]:
    """Say what a reader must know of one data set's panels."""
    summaries = [minimum.attrs["summary"] for minimum in minima.values()]
    copied = {optimizer: _copies(minimum) for optimizer, minimum in minima.items()}
    seeds = seed_count(minimum.sizes["seed"] - len(copied[name]) for name, minimum in minima.items())
    notes = [
        f"{dataset}: N = {summaries[0]['parameters']:,} parameters; all over {summaries[0]['samples']:,} "
        f"training and test samples together; best run: lowest loss of {seeds}"
    ]
    if widths := [summary["smoothing"] for summary in summaries if summary["smoothing"]]:
        spread = f"{min(widths):.2g} to {max(widths):.2g}"
        notes[0] += f"; density smoothed by Gaussians of standard deviation {spread} nat"
    for optimizer, minimum in minima.items():
        diverged = minimum["seed"].values[~np.isfinite(minimum["loss"].values)]
        notes += [f"{dataset}, {optimizer}: seed {seed} diverged" for seed in diverged]
        notes += [
            f"{dataset}, {optimizer}: seed {seed} ends as seed {original} does, to the bit, and is left out"
            for seed, original in copied[optimizer].items()
        ]
        missing = int((~minimum["converged"]).sum())
        if missing and len(diverged) < minimum.sizes["seed"]:
            notes.append(
                f"{dataset}, {optimizer}: without {missing} unconverged eigenvalue{'s' * (missing > 1)}"
            )
    return notes

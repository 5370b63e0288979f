"""Sweeps over batch sizes and learning rates: figures 17 to 21."""

from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eigendrift.figures.displacement import draw_curves, waiting_checkpoints
from eigendrift.figures.localization import draw_references, multiple_axis
from eigendrift.figures.parts import (
    LEADING,
    MEAN_AND_RANGE,
    RANKS,
    Plotted,
    Table,
    add_legend,
    band_rows,
    draw_band,
    draw_baseline,
    draw_isotropic,
    logarithmic,
    over_seeds,
    panels,
    seed_count,
    write_below,
)
from eigendrift.figures.style import DOTTED, FULL_BATCH, LINES, VALUES, optimizer_lines, title_of
from eigendrift.metrics.copies import replicates
from eigendrift.metrics.displacement import isotropic_displacement, isotropic_overlap
from eigendrift.metrics.draws import draws_for
from eigendrift.metrics.sweep import Sweep, read_sweep

Value = int | float | str

# Runs with other batch sizes have other numbers of steps, and the full batch sees more samples. All runs have a share
# of the training.
SHARE = "share of training"
# Dots are for random directions.
DASHES = tuple(line["linestyle"] for line in LINES if line["linestyle"] != DOTTED)
DIRECTIONS = {"gradient_alignment": "gradient", "update_alignment": "update"}
MEANS_OF_RUNS = "each run: its mean over checkpoints; point: mean, bar: minimum to maximum over seeds"
QUARTERS = (0, 0.25, 0.5, 0.75, 1)


def read_batch_sizes(metrics: Iterable[str | Path], baselines: Iterable[str | Path]) -> Sweep:
    """Read the metrics of runs that differ in batch size, and the baseline of their null model."""
    return read_sweep(metrics, baselines, "batch_size")


def read_learning_rates(metrics: Iterable[str | Path], baselines: Iterable[str | Path]) -> Sweep:
    """Read the metrics of runs that differ in learning rate, and the baseline of their null model."""
    return read_sweep(metrics, baselines, "learning_rate")


def draw_swept_alignment(sweep: Sweep) -> Plotted:
    """Draw the means of |⟨g/|g|, v_i⟩| and |⟨u/|u|, v_i⟩| over checkpoints against the learning rate.

    A row of panels for gradient and update, a column for each of the leading ranks i.
    """
    ranks = sweep.baseline["rank"].values[:RANKS]
    figure, axes = panels(len(DIRECTIONS), len(ranks))
    table: Table = []
    for row, (quantity, direction) in zip(axes, DIRECTIONS.items(), strict=True):
        for panel, rank in zip(row, ranks, strict=True):
            drawn = _draw_means(panel, sweep, quantity, rank)
            drawn += draw_isotropic(panel, isotropic_overlap(sweep.parameters))
            table += [{"direction": direction, "rank": rank, **numbers} for numbers in drawn]
            panel.set(title=f"{direction}, $i = {rank}$", xlabel="learning rate", ylim=(0, None))
            logarithmic(panel, "x")
        row[0].set_ylabel(f"mean alignment of the\n{direction} with $v_i$")
    add_legend(figure, axes)
    describe_sweep(figure, sweep, MEANS_OF_RUNS)
    return Plotted(figure, pd.DataFrame(table))


def _draw_means(panel: Axes, sweep: Sweep, quantity: str, rank: int) -> Table:
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


def draw_swept_localization(sweep: Sweep) -> Plotted:
    """Draw the IPR against the share of training, a panel for each optimizer; the right axis is N × IPR."""
    figure, axes = panels(1, len(sweep.runs))
    table: Table = []
    for panel, (optimizer, by_value) in zip(axes[0], sweep.runs.items(), strict=True):
        for value, line in value_lines(list(by_value)).items():
            band = over_seeds(by_value[value]["inverse_participation_ratio"].sel(rank=LEADING))
            shares = shares_of(by_value[value])
            draw_band(panel, shares, band, line, text_of(value))
            labels = {"optimizer": optimizer, sweep.varied: value, "quantity": "inverse_participation_ratio"}
            table += band_rows("share", shares, band, **labels)
        nulls = {sweep.null_model: draws_for(sweep.baseline, optimizer)}
        table += [{"optimizer": optimizer, **row} for row in draw_references(panel, nulls, sweep.parameters)]
        panel.set(title=f"{title_of(optimizer)}, {sweep.dataset}", xlabel=SHARE, xlim=(0, 1))
        panel.set_xticks(QUARTERS, [f"{share:g}" for share in QUARTERS])
    axes[0, 0].set_ylabel(r"IPR of $v_1$, $\sum_j v_{1j}^4$")
    multiple_axis(axes[0, -1], sweep.parameters)
    _name_values(figure, axes[0], sweep)
    describe_sweep(figure, sweep, MEAN_AND_RANGE)
    return Plotted(figure, pd.DataFrame(table))


def _name_values(figure: Figure, axes: np.ndarray, sweep: Sweep) -> None:
    """Name the values on the right, or below each panel where optimizers have values of their own."""
    handles, names = axes[0].get_legend_handles_labels()
    if len({tuple(by_value) for by_value in sweep.runs.values()}) == 1:
        figure.legend(handles, names, title=name_of(sweep), loc="outside right upper")
        return
    for panel, by_value in zip(axes, sweep.runs.values(), strict=True):
        values = [handle[: len(by_value)] for handle in panel.get_legend_handles_labels()]
        place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.25), "ncols": 3}
        panel.legend(*values, title=name_of(sweep), handlelength=1.8, columnspacing=1.2, **place)
    first = len(next(iter(sweep.runs.values())))
    figure.legend(handles[first:], names[first:], loc="outside right upper")


def draw_swept_displacement(sweep: Sweep, waiting_times: int) -> Plotted:
    """Draw Δ(1)(tw, tw + t) against the lag t, both as shares of the training.

    A curve for each waiting time, a row of panels for each value, a column for each optimizer. Each optimizer may have
    values of its own; where it has fewer than others, panels remain empty.

    Args:
        sweep: The measured runs.
        waiting_times: How many waiting times to show, spread evenly over the checkpoints.
    """
    rows = max(map(len, sweep.runs.values()))
    figure, axes = panels(rows, len(sweep.runs))
    for unused in axes.flat:
        unused.set_visible(False)
    table: Table = []
    for column, (optimizer, by_value) in zip(axes.T, sweep.runs.items(), strict=True):
        draws = draws_for(sweep.baseline, optimizer)["displacement"].sel(rank=LEADING).values
        for panel, (value, runs) in zip(column, by_value.items(), strict=False):
            panel.set_visible(True)
            waiting = waiting_checkpoints(runs.sizes["checkpoint"], waiting_times)
            drawn = draw_curves(panel, runs["displacement"].sel(rank=LEADING), shares_of(runs), waiting)
            drawn += draw_baseline(panel, draws, sweep.null_model)
            drawn += draw_isotropic(panel, isotropic_displacement(sweep.parameters))
            table += [{"optimizer": optimizer, sweep.varied: value, **row} for row in drawn]
            panel.set_title(f"{title_of(optimizer)}\n{setting_of(sweep, value)}")
            panel.set_xlabel("lag $t$ (share of training)")
            logarithmic(panel, "y")
            logarithmic(panel, "x", (1, 2, 5))
    for row in axes:
        first = next(panel for panel in row if panel.get_visible())
        first.tick_params(labelleft=True)
        first.set_ylabel(r"$\Delta^{(1)}(t_w,\, t_w + t)$")
    add_legend(figure, axes, title="waiting time $t_w$\n(share of training)")
    describe_sweep(figure, sweep, "curve: mean")
    return Plotted(figure, pd.DataFrame(table))


def shares_of(runs: xr.Dataset) -> np.ndarray:
    """Return the time of each checkpoint as a share of the training, float64 (checkpoint,) from 0 to 1."""
    steps = runs["step"].values
    return np.asarray(steps / steps[-1])


def text_of(value: Value) -> str:
    """Return a value as readers write it."""
    return value if isinstance(value, str) else f"{value:,}"


def setting_of(sweep: Sweep, value: Value) -> str:
    """Return a value and the name of the setting, as readers write it."""
    return f"{value} batch" if isinstance(value, str) else f"{name_of(sweep)} {text_of(value)}"


def name_of(sweep: Sweep) -> str:
    """Return the name of the setting that varies, as readers write it."""
    return sweep.varied.replace("_", " ")


def value_lines(values: Sequence[Value]) -> dict[Value, dict[str, Any]]:
    """Return the line of each value, from the smallest to the largest; the full batch stands out."""
    numbers = sorted(value for value in values if not isinstance(value, str))
    colours = VALUES(np.linspace(0, 1, len(numbers)))
    lines: dict[Value, dict[str, Any]] = {
        value: {"color": colour, "linestyle": dashes}
        for value, colour, dashes in zip(numbers, colours, cycle(DASHES), strict=False)
    }
    return lines | {value: FULL_BATCH for value in values if isinstance(value, str)}


def describe_sweep(figure: Figure, sweep: Sweep, shown: str) -> None:
    """Write under a figure what its reader must know: N, seeds, steps, divergences and masked pairs.

    Args:
        figure: The figure.
        sweep: The measured runs.
        shown: What its lines, bands or points are.
    """
    every = [(value, runs) for by_value in sweep.runs.values() for value, runs in by_value.items()]
    seeds = seed_count(replicates(runs) for _, runs in every)
    steps = {setting_of(sweep, value): int(runs["step"].values[-1]) for value, runs in every}
    lengths = ", ".join(f"{number:,} steps with {name}" for name, number in steps.items())
    if len(different := set(steps.values())) == 1:
        lengths = f"{different.pop():,} steps"
    size = f"N = {sweep.parameters:,} parameters, {seeds} for each {name_of(sweep)}"
    write_below(figure, [f"{sweep.dataset}: {size}; {shown}", f"training: {lengths}", *sweep.notes()])

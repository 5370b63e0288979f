"""Extension 6: whether stable eigenvectors go with flatter minima and better test accuracy."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from scipy.stats import spearmanr

from eigendrift.figures.parts import Plotted, Table, logarithmic, plain_log_ticks, write_below
from eigendrift.figures.style import LEGEND_WIDTH, PANEL_HEIGHT, PANEL_WIDTH, optimizer_lines, title_of
from eigendrift.figures.sweeps import legend_of
from eigendrift.metrics.association import FEWEST_UNITS, Association, association_within
from eigendrift.metrics.collection import read_run
from eigendrift.metrics.copies import distinct
from eigendrift.metrics.lagged import displacement_over_lag

LEADING = 1
# Each two of what is compared, one on the x axis and one on the y axis.
COMPARED = (("displacement", "eigenvalue"), ("displacement", "accuracy"), ("eigenvalue", "accuracy"))
LABELS = {
    "displacement": r"late displacement of $v_1$",
    "eigenvalue": r"$\lambda_1$ at the end",
    "accuracy": "test accuracy at the end",
}
LOGARITHMIC = ("displacement", "eigenvalue")
SETTING = ["dataset", "optimizer", "batch_size", "learning_rate"]
# What varies within a block, by the columns that do not.
WITHIN = {
    "settings vary": ["dataset", "optimizer"],
    "seeds vary": SETTING,
}
POOLED = "all runs, pooled"
POOLED_STYLE: dict[str, Any] = {"color": "black", "marker": "D", "linestyle": "none", "markersize": 4}
WITHIN_STYLE: dict[str, Any] = {"color": "black", "marker": "o", "linestyle": "none", "markersize": 4}
FOREST_HEIGHT = 1.1
# Labels of a logarithmic axis that spans a larger factor are powers of ten alone.
MANY = 50


@dataclass(frozen=True)
class Source:
    """What is drawn.

    Attributes:
        runs: Metrics of every run that is no copy, with its settings as attributes and seed as coordinate.
        copies: How many runs are left out because they are copies.
    """

    runs: list[xr.Dataset]
    copies: int = 0


def read(metrics: Iterable[str]) -> Source:
    """Read the metrics of every run of a study, without copies."""
    runs = [read_run(Path(path)) for path in metrics]
    different = distinct(runs)
    return Source(different, len(runs) - len(different))


def draw(source: Source, lag: float, confidence: float, resamples: int) -> Plotted:
    """Draw each run as a point, a row of panels for each data set; below, rank correlations over all.

    Args:
        source: The measured runs.
        lag: Of displacements, as a share of the training.
        confidence: Level of the intervals.
        resamples: Permutations and resamples.
    """
    runs, diverged, unmeasured = tabulate(source.runs, lag)
    datasets = list(dict.fromkeys(run.attrs["dataset"] for run in source.runs))
    figure, axes = plt.subplots(
        len(datasets) + 1,
        len(COMPARED),
        figsize=(
            PANEL_WIDTH * len(COMPARED) + LEGEND_WIDTH,
            PANEL_HEIGHT * len(datasets) + FOREST_HEIGHT + 0.7,
        ),
        squeeze=False,
        height_ratios=[PANEL_HEIGHT] * len(datasets) + [FOREST_HEIGHT],
    )
    for row, dataset in zip(axes, datasets, strict=False):
        for panel, (x, y) in zip(row, COMPARED, strict=True):
            _draw_runs(panel, runs[runs["dataset"] == dataset], x, y)
            panel.set_title(dataset)
    table: Table = [{"quantity": "run", **dict(row)} for _, row in runs.iterrows()]
    for panel, (x, y) in zip(axes[-1], COMPARED, strict=True):
        table += _draw_correlations(panel, runs, x, y, confidence, resamples)
        panel.set_title("all data sets" if len(datasets) > 1 else datasets[0])
    axes[-1, 0].set_yticklabels([POOLED, *WITHIN])
    axes[-1, 0].set_ylabel("runs compared")
    handles, labels = legend_of(axes)
    figure.legend(handles, labels, loc="outside right upper")
    left_out = (
        f"without {diverged} that diverged, {source.copies} that repeat the training of another seed and "
        f"{unmeasured} with an eigenpair that did not converge"
    )
    _describe(figure, f"point: a run, {len(runs)} in all; {left_out}", confidence)
    return Plotted(figure, pd.DataFrame(table))


def tabulate(runs: Iterable[xr.Dataset], lag: float) -> tuple[pd.DataFrame, int, int]:
    """Return a row for each run: its settings, and what is compared.

    ``displacement``: mean of the leading eigenvector's Δ(tw, tw + lag) over waiting times in the second half
    of those there are; ``eigenvalue``: λ1 at the last checkpoint; ``accuracy``: test accuracy there.

    Args:
        runs: Metrics of runs, see `read_run`.
        lag: As a share of the training.

    Returns:
        The table, how many runs are left out because they diverged, and how many others because an eigenpair
        that is needed did not converge.
    """
    rows, diverged, unmeasured = [], 0, 0
    for run in runs:
        moved = displacement_over_lag(run, lag, "displacement").sel(rank=LEADING)
        is_late = moved["step"] >= (moved["step"].max() + moved["step"].min()) / 2
        row = {
            **{name: run.attrs[name] for name in SETTING},
            "seed": int(run["seed"]),
            "displacement": float(moved.where(is_late).mean()),
            "eigenvalue": float(run["eigenvalue"].sel(rank=LEADING)[-1]),
            "accuracy": float(run["test_accuracy"][-1]),
        }
        if np.isfinite(float(run["diverged_at"])):
            diverged += 1
        elif not np.isfinite([row[name] for name in LABELS]).all():
            unmeasured += 1
        else:
            rows.append(row)
    return pd.DataFrame(rows, columns=[*SETTING, "seed", *LABELS]), diverged, unmeasured


def correlate(
    runs: pd.DataFrame, x: str, y: str, varies: str, confidence: float, resamples: int
) -> Association:
    """Return the rank correlation within blocks of `WITHIN`.

    Where settings vary, the units are settings, each the mean over its seeds: runs that differ in their seed
    alone are no independent evidence of what a setting does. Where seeds vary, the units are runs.
    """
    units = runs.groupby(SETTING, sort=False)[list(LABELS)].mean().reset_index()
    units = units if varies == "settings vary" else runs
    blocks = list(units[WITHIN[varies]].itertuples(index=False, name=None))
    one, other = (units[name].to_numpy(float) for name in (x, y))
    return association_within(one, other, blocks, confidence, resamples)


def _draw_runs(panel: Axes, runs: pd.DataFrame, x: str, y: str) -> None:
    for optimizer, line in optimizer_lines(list(dict.fromkeys(runs["optimizer"]))).items():
        own = runs[runs["optimizer"] == optimizer]
        style = {"color": line["color"], "marker": line["marker"], "linestyle": "none"}
        panel.plot(own[x], own[y], markersize=3.2, alpha=0.75, label=title_of(optimizer), **style)
    panel.set(xlabel=LABELS[x], ylabel=LABELS[y])
    if x in LOGARITHMIC:
        logarithmic(panel, "x")
        _tick(panel.xaxis, runs[x])
    if y in LOGARITHMIC:
        logarithmic(panel, "y")
        _tick(panel.yaxis, runs[y])


def _tick(axis: Axis, values: pd.Series) -> None:
    """Label a logarithmic axis with few plain numbers, however many decades it spans."""
    if len(values) and values.min() > 0:
        plain_log_ticks(axis, (1,) if values.max() > MANY * values.min() else (1, 2, 5))
        axis.set_tick_params(labelsize=6)


def _draw_correlations(
    panel: Axes, runs: pd.DataFrame, x: str, y: str, confidence: float, resamples: int
) -> Table:
    """Draw the coefficients of two quantities, pooled and within blocks, with intervals and p."""
    varied = min(runs[x].nunique(), runs[y].nunique()) > 1
    pooled = float(spearmanr(runs[x], runs[y]).statistic) if varied else np.nan
    panel.plot(pooled, 0, label="runs pooled", markerfacecolor="none", **POOLED_STYLE)
    labels = {"quantity": "correlation", "x": x, "y": y}
    table: Table = [{**labels, "runs_compared": POOLED, "coefficient": pooled, "units": len(runs)}]
    for place, varies in enumerate(WITHIN, 1):
        found = correlate(runs, x, y, varies, confidence, resamples)
        # Of two numbers that may be NaN, min would choose the other one.
        corrected = float(np.minimum(1, found.p * len(COMPARED) * len(WITHIN)))
        panel.plot([found.low, found.high], [place] * 2, color="black", linewidth=1)
        panel.plot(found.coefficient, place, label="within blocks" if place == 1 else None, **WITHIN_STYLE)
        said = f"p = {corrected:.2g}" if np.isfinite(found.p) else "too few"
        panel.annotate(
            f"{said}\nn = {found.units} in {found.blocks}",
            (1.02, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=5,
            annotation_clip=False,
        )
        table.append({**labels, "runs_compared": varies, **vars(found), "corrected_p": corrected})
    panel.axline((0, 0), (0, 1), color="#777777", linewidth=0.8)
    panel.set(xlim=(-1, 1), ylim=(len(WITHIN) + 0.6, -0.6), xlabel="rank correlation")
    panel.set_yticks(range(len(WITHIN) + 1), [""] * (len(WITHIN) + 1), fontsize=6)
    panel.grid(visible=False, axis="y")
    return table


def _describe(figure: Any, points: str, confidence: float) -> None:
    lines = [
        points,
        f"below, over all data sets: bar: {confidence:.0%} interval; p: permutations within blocks, times "
        f"{len(COMPARED) * len(WITHIN)} tests; n units in so many blocks of at least {FEWEST_UNITS}",
        "settings vary: blocks of one data set and optimizer, units are settings (means over seeds); "
        "seeds vary: blocks of one setting, units are runs",
    ]
    write_below(figure, lines)

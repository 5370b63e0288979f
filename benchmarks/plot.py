"""The figure of the benchmark, drawn from its CSV files only."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from benchmarks.methods import EIGENDRIFT, METHODS
from eigendrift.figures.parts import plain_log_ticks
from eigendrift.figures.style import house_style

MARKERS = dict(zip((method.name for method in METHODS), "o*sD^vPX", strict=True))
COLOURS = dict(
    zip(
        (method.name for method in METHODS),
        ("#0072B2", "#000000", "#56B4E9", "#009E73", "#E69F00", "#E69F00", "#D55E00", "#CC79A7"),
        strict=True,
    )
)
# Half the width of the markers of one problem. Neighboring problems are 1 apart.
WIDTH = 0.3
NOTE = "hollow: stopped at this time, residual above the tolerance, or eigenpairs missing"
AXES = {"parameters": "parameters N", "samples": "samples", "k": "eigenpairs k"}


def draw(eigenpairs: Path, growth: Path | None, output: Path) -> None:
    """Draw the times of all methods at the top, and eigendrift's growth below them if it was measured."""
    rows = pd.read_csv(eigenpairs)
    counts = sorted(rows["k"].unique())
    grown = None if growth is None else pd.read_csv(growth)
    with house_style({}):
        figure = plt.figure(figsize=(8.6, 2.9 if grown is None else 5.4))
        halves = figure.subfigures(1 if grown is None else 2, 1, squeeze=False)[:, 0]
        above = halves[0].subplots(1, len(counts), sharey=True, squeeze=False)[0]
        for axes, count in zip(above, counts, strict=True):
            _draw_methods(axes, rows[rows["k"] == count], int(count))
        above[0].set_ylabel("seconds")
        handles, labels = above[0].get_legend_handles_labels()
        halves[0].legend(handles, labels, loc="outside right center", fontsize=7)
        if grown is not None:
            below = halves[1].subplots(1, len(AXES), sharey=True)
            for axes, axis in zip(below, AXES, strict=True):
                _draw_growth(axes, grown[grown["axis"] == axis], axis)
            below[0].set_ylabel("seconds, eigendrift")
        halves[-1].supxlabel(NOTE, fontsize=6, color="#555555", ha="left", x=0.01)
        figure.savefig(output, metadata={"Software": None})
        plt.close(figure)


def _draw_methods(axes: Axes, rows: pd.DataFrame, count: int) -> None:
    """Draw a group of markers for each problem; stopped, inaccurate and incomplete results are hollow."""
    problems = list(dict.fromkeys(rows["problem"]))
    places = pd.Series(range(len(problems)), index=problems, dtype=float)
    methods = [method for method in MARKERS if rows["method"].eq(method).any()]
    for method, shift in zip(methods, np.linspace(-WIDTH, WIDTH, len(methods)), strict=True):
        of_method = rows[rows["method"] == method].set_index("problem").reindex(problems)
        full = of_method["accurate"].eq(True) & of_method["complete"].eq(True)
        height = of_method["seconds"].fillna(of_method["at_least"])
        style: dict[str, Any] = {
            "color": COLOURS[method],
            "marker": MARKERS[method],
            "linestyle": "",
            "markersize": 4.5,
        }
        axes.plot(places + shift, height.where(full), label=method, **style)
        axes.plot(places + shift, height.where(~full), markerfacecolor="white", **style)
    bound = rows[rows["method"] == EIGENDRIFT.name].set_index("problem").reindex(problems)["bound"]
    axes.hlines(bound, places - 1.3 * WIDTH, places + 1.3 * WIDTH, color="#777777", label="bound")
    axes.set(yscale="log", title=f"k = {count}", xlim=(-0.6, len(problems) - 0.4))
    axes.set_xticks(range(len(problems)), problems, rotation=20, ha="right")


def _draw_growth(axes: Axes, rows: pd.DataFrame, axis: str) -> None:
    axes.plot(rows[axis], rows["seconds"], color=COLOURS[EIGENDRIFT.name], marker="o", markersize=4.5)
    first = rows.iloc[0]
    kept = {
        "parameters": f"N = {first['parameters']:,}",
        "samples": f"{first['samples']:,} samples",
        "k": f"k = {first['k']}",
    }
    del kept[axis]
    axes.set(xscale="log", yscale="log", xlabel=AXES[axis], title=", ".join(kept.values()))
    if axis == "k":
        plain_log_ticks(axes.xaxis)

"""Extension 1: how much of the displacement of leading eigenvectors is swaps of their ranks."""

import numpy as np
import pandas as pd
import xarray as xr

from eigendrift.figures.over_lag import (
    Collections,
    draw_optimizers,
    draw_shares,
    lines_of,
    read,
    same_logarithmic_axis,
    share_axis,
    symbol_of,
)
from eigendrift.figures.parts import (
    MEAN_AND_RANGE,
    Plotted,
    Table,
    band_rows,
    describe,
    logarithmic,
    over_seeds,
    panels,
    plain_log_ticks,
    steps_axis,
)
from eigendrift.metrics.swaps import (
    by_rank_and_tracked,
    closest_gap,
    remaining_share,
    swapped_share_below,
)

__all__ = ["draw", "read"]

# Relative to λ1.
GAPS = np.geomspace(0.001, 1, 31)


def draw(collections: Collections, lag: float) -> Plotted:
    """Draw displacement by rank, tracked, and shares of swaps, along training and by gap; a row per data set.

    Args:
        collections: The measured runs.
        lag: Lag of the displacement, as a share of the training.
    """
    collection = collections.everywhere
    figure, axes = panels(len(collection.runs), 4, share_x=False, share_y=False)
    table: Table = []
    notes = set()
    for row, (dataset, runs) in zip(axes, collection.runs.items(), strict=True):
        ranks = runs.sizes["rank"]
        wide = collections.wide_runs(dataset, lag, ranks + 1)
        rows = _draw_row(row, runs, lag)
        if wide is not None:
            rows += _draw_tracked_among_more(row, wide, lag, ranks)
            notes.add(f"symbols: tracked among {wide.sizes['rank']} eigenpairs")
        table += [{"dataset": dataset, **line} for line in rows]
        _label_row(row, dataset, ranks)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    shown = "; ".join([f"{MEAN_AND_RANGE}; lag: {lag:g} of the training", *notes])
    describe(figure, collection, list(collection.runs), shown)
    return Plotted(figure, pd.DataFrame(table))


def _draw_row(row: np.ndarray, runs: xr.Dataset, lag: float) -> Table:
    """Draw the bands of one data set, two displacements and two shares; return the numbers."""
    ranks = runs.sizes["rank"]
    by_rank, tracked = by_rank_and_tracked(runs, lag, ranks)
    steps = by_rank["step"].values
    table: Table = []
    for panel, values in zip(row, (by_rank, tracked), strict=False):
        mean = values.mean("rank", skipna=False)
        table += draw_optimizers(panel, mean, steps, "waiting_time", quantity=values.name)
    table += draw_shares(row[2], remaining_share(by_rank, tracked), "share of swaps")
    below = swapped_share_below(by_rank, tracked, closest_gap(runs, lag, ranks), GAPS)
    name = "share of all displacement that is swaps at smaller gaps"
    return table + draw_optimizers(row[3], below, GAPS, "gap", quantity=name)


def _draw_tracked_among_more(row: np.ndarray, wide: xr.Dataset, lag: float, ranks: int) -> Table:
    """Draw the same directions tracked among more eigenpairs, at the checkpoints that have them."""
    by_rank, tracked = by_rank_and_tracked(wide, lag, ranks)
    mean = tracked.mean("rank", skipna=False)
    steps, among = mean["step"].values, wide.sizes["rank"]
    table: Table = []
    for optimizer, line in lines_of(mean).items():
        band = over_seeds(mean.sel(optimizer=optimizer))
        row[1].plot(steps, band["mean"].values, **symbol_of(line))
        name = f"{tracked.name}, among {among}"
        table += band_rows("waiting_time", steps, band, optimizer=optimizer, quantity=name)
    share = remaining_share(by_rank, tracked)
    return table + draw_shares(row[2], share, f"share of swaps, among {among}", symbols=True)


def _label_row(row: np.ndarray, dataset: str, ranks: int) -> None:
    same_logarithmic_axis(row[:2])
    for panel, title in zip(
        row, ("by rank", "tracked", "share of swaps", "share of swaps by gap"), strict=True
    ):
        panel.set_title(f"{title}, {dataset}")
    for panel in row[2:]:
        share_axis(panel)
    for panel in row[:3]:
        steps_axis(panel)
        panel.set_xlabel("waiting time $t_w$ (steps)")
    row[0].set_ylabel(rf"displacement, mean of $i \leq {ranks}$")
    row[2].set_ylabel("1 − tracked / by rank")
    row[3].set(xlabel=r"gap below, relative to $\lambda_1$", ylabel="share of all displacement")
    logarithmic(row[3], "x")
    if row[3].get_xscale() == "log":
        plain_log_ticks(row[3].xaxis, (1,))

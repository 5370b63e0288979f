"""Displacement of eigenvectors and weights: figures 1, 9 and 10, extensions 1 and 2."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from eigendrift.figures.parts import (
    LEADING,
    MEAN_AND_RANGE,
    Plotted,
    Table,
    add_legend,
    band_rows,
    describe,
    draw_baseline,
    draw_isotropic,
    draw_optimizers,
    finite_rows,
    lines_of,
    logarithmic,
    over_seeds,
    panels,
    steps_axis,
)
from eigendrift.figures.style import SEQUENTIAL, title_of
from eigendrift.metrics.collection import Collection, collect
from eigendrift.metrics.displacement import isotropic_displacement
from eigendrift.metrics.draws import draws_for
from eigendrift.metrics.lagged import (
    by_rank_and_tracked,
    closest_gap,
    displacement_over_lag,
    missed_lag,
    remaining_share,
    swapped_share_below,
    turned,
)

# As a share of the training: a curve that starts later has hardly any lags to show.
LATEST = 7 / 8
# Relative to λ1.
GAPS = np.geomspace(0.001, 1, 31)


def draw_displacement(collection: Collection, dataset: str, waiting_times: int) -> Plotted:
    """Draw Δ(1)(tw, tw + t) against the lag t, a curve for each waiting time, a panel for each optimizer.

    Args:
        collection: The measured runs.
        dataset: Data set to show.
        waiting_times: How many waiting times to show, spread evenly over the checkpoints.
    """
    runs = collection.runs[dataset]

    def draw_references(panel: Axes, optimizer: str) -> Table:
        table: Table = []
        for name, baseline in collection.nulls(dataset).items():
            draws = draws_for(baseline, optimizer)["displacement"].sel(rank=LEADING).values
            table += draw_baseline(panel, draws, name, further=bool(table))
        return table + draw_isotropic(panel, isotropic_displacement(runs.attrs["parameters"]))

    moved = runs["displacement"].sel(rank=LEADING)
    label = r"displacement $\Delta^{(1)}(t_w,\, t_w + t)$"
    return draw_two_time(collection, dataset, waiting_times, moved, label, draw_references)


def draw_weight_displacement(collection: Collection, dataset: str, waiting_times: int) -> Plotted:
    """Draw Δ_w(tw, tw + t) against the lag t; arguments, curves and panels as in `draw_displacement`."""
    moved = collection.runs[dataset]["weight_displacement"]
    label = r"weight displacement $\Delta_w(t_w,\, t_w + t)$"
    return draw_two_time(collection, dataset, waiting_times, moved, label)


def draw_two_time(
    collection: Collection,
    dataset: str,
    waiting_times: int,
    values: xr.DataArray,
    label: str,
    draw_references: Callable[[Axes, str], Table] = lambda *_: [],
) -> Plotted:
    """Draw a quantity of two times, tw and tw + t, against the lag t; both axes are logarithmic.

    Args:
        collection: The measured runs.
        dataset: Data set to show.
        waiting_times: How many waiting times to show, spread evenly over the checkpoints.
        values: The quantity, float64 (optimizer, seed, waiting, checkpoint).
        label: Label of the y axis.
        draw_references: Draws into an optimizer's panel what its curves are compared with; returns the numbers.
    """
    runs = collection.runs[dataset]
    optimizers = [str(name) for name in runs["optimizer"].values]
    waiting = waiting_checkpoints(runs.sizes["checkpoint"], waiting_times)
    figure, axes = panels(1, len(optimizers))
    table: Table = []
    for panel, optimizer in zip(axes[0], optimizers, strict=True):
        rows = draw_curves(panel, values.sel(optimizer=optimizer), runs["step"].values, waiting)
        rows += draw_references(panel, optimizer)
        table += [{"dataset": dataset, "optimizer": optimizer, **row} for row in rows]
        panel.set(xlabel="lag $t$ (steps)", title=f"{title_of(optimizer)}, {dataset}")
        logarithmic(panel, "y")
        logarithmic(panel, "x", (1, 2, 5))
    axes[0, 0].set_ylabel(label)
    add_legend(figure, axes[:1, :1], title="waiting time $t_w$\n(steps)")
    describe(figure, collection, [dataset], "curve: mean")
    return Plotted(figure, pd.DataFrame(table))


def waiting_checkpoints(checkpoints: int, waiting_times: int) -> np.ndarray:
    """Return int64 indices of the checkpoints that curves start from, ``waiting_times`` of them at most."""
    last = checkpoints - 1
    latest = min(LATEST * last, last - 1)
    return np.unique(np.linspace(0, latest, waiting_times).round().astype(int))


def draw_curves(panel: Axes, values: xr.DataArray, times: np.ndarray, waiting: np.ndarray) -> Table:
    """Draw the mean over seeds against the lag, a curve for each waiting time; return the numbers.

    Args:
        panel: Where to draw.
        values: float64 (seed, waiting, checkpoint).
        times: (checkpoint,), the time of each checkpoint, in steps or as a share of the training.
        waiting: Indices of the checkpoints that curves start from.
    """
    table: Table = []
    colours = SEQUENTIAL(Normalize(0, times[waiting].max() or 1)(times[waiting]))
    for start, colour in zip(waiting, colours, strict=True):
        band = over_seeds(values.isel(waiting=start, checkpoint=slice(start + 1, None)))
        lags = times[start + 1 :] - times[start]
        label = f"{times[start]:,}" if times.dtype.kind == "i" else f"{times[start]:.3g}"
        panel.plot(lags, band["mean"].values, color=colour, marker=".", markersize=3, label=label)
        table += [
            {"quantity": values.name, "waiting_time": times[start], "lag": lag, "mean": mean, "seeds": seeds}
            for lag, mean, seeds in zip(lags, band["mean"].values, band["n"].values, strict=True)
            if seeds
        ]
    return table


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
        """Return the wide runs if they have so many eigenpairs and their checkpoints have the lag."""
        runs = self.wide.runs[dataset]
        fits = runs.sizes["rank"] >= ranks and missed_lag(runs["step"].values, lag) is None
        return runs if fits else None


def read_collections(
    metrics: Iterable[str | Path],
    baselines: Iterable[str | Path],
    wide_metrics: Iterable[str | Path],
    wide_baselines: Iterable[str | Path],
) -> Collections:
    """Read the metrics of runs and the baselines of their null models, and the same with more eigenpairs."""
    return Collections(collect(metrics, baselines), collect(wide_metrics, wide_baselines))


def draw_tracked_displacement(collections: Collections, lag: float) -> Plotted:
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
        rows = _draw_tracked(row, runs, lag)
        if wide is not None:
            rows += _draw_tracked_among_more(row, wide, lag, ranks)
            notes.add(f"symbols: tracked among {wide.sizes['rank']} eigenpairs")
        table += [{"dataset": dataset, **line} for line in rows]
        _share_logarithmic_axis(row[:2])
        titles = ("by rank", "tracked", "share of swaps", "share of swaps by gap")
        for panel, title in zip(row, titles, strict=True):
            panel.set_title(f"{title}, {dataset}")
        for panel in row[2:]:
            _limit_shares(panel)
        for panel in row[:3]:
            _label_waiting(panel)
        row[0].set_ylabel(rf"displacement, mean of $i \leq {ranks}$")
        row[2].set_ylabel("1 − tracked / by rank")
        row[3].set(xlabel=r"gap below, relative to $\lambda_1$", ylabel="share of all displacement")
        logarithmic(row[3], "x", (1,))
    add_legend(figure, axes[:1, :1])
    shown = "; ".join([f"{MEAN_AND_RANGE}; lag: {lag:g} of the training", *notes])
    describe(figure, collection, collection.runs, shown)
    return Plotted(figure, pd.DataFrame(table))


def _draw_tracked(row: np.ndarray, runs: xr.Dataset, lag: float) -> Table:
    """Draw the bands of one data set, two displacements and two shares; return the numbers."""
    ranks = runs.sizes["rank"]
    by_rank, tracked = by_rank_and_tracked(runs, lag, ranks)
    steps = by_rank["step"].values
    table: Table = []
    for panel, values in zip(row, (by_rank, tracked), strict=False):
        mean = values.mean("rank", skipna=False)
        table += draw_optimizers(panel, mean, steps, "waiting_time", quantity=values.name)
    table += _draw_shares(row[2], remaining_share(by_rank, tracked), "share of swaps")
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
        row[1].plot(steps, band["mean"].values, **_hollow(line))
        name = f"{tracked.name}, among {among}"
        table += band_rows("waiting_time", steps, band, optimizer=optimizer, quantity=name)
    share = remaining_share(by_rank, tracked)
    return table + _draw_shares(row[2], share, f"share of swaps, among {among}", symbols=True)


def draw_subspace_displacement(collections: Collections, lag: float, ranks: Sequence[int]) -> Plotted:
    """Draw how far eigenvectors turn, each by itself, and their span; a row per data set.

    Args:
        collections: The measured runs.
        lag: Lag of the displacement, as a share of the training.
        ranks: Numbers of leading eigenvectors whose span may be shown. The figure shows the largest number that all
            checkpoints have, and the largest that some have.
    """
    collection = collections.everywhere
    spans = _spans(collections, lag, ranks)
    figure, axes = panels(len(collection.runs), 2 + max(map(len, spans.values())), share_y=False)
    table: Table = []
    for row, (dataset, runs) in zip(axes, collection.runs.items(), strict=True):
        null = collection.baselines[dataset]
        rows = _draw_subspace(row, runs, null, spans[dataset], lag, collection.null_model)
        table += [{"dataset": dataset, **line} for line in rows]
        _share_logarithmic_axis(row[:-1])
        few = next(iter(spans[dataset]))
        names = [f"each of {few}", *(f"span of {k}" for k in spans[dataset])]
        for panel, name in zip(row, names, strict=False):
            panel.set_title(f"{name}, {dataset}")
        for panel in row:
            _label_waiting(panel)
        row[-1].set(title=f"within the span of {few}, {dataset}", ylabel="1 − span / each")
        row[0].set_ylabel(r"$\sin^2$ of the angle, mean")
        row[1].set_ylabel(r"displacement of the span")
        _limit_shares(row[-1])
    add_legend(figure, axes[:1, :1])
    describe(figure, collection, collection.runs, f"{MEAN_AND_RANGE}; lag: {lag:g} of the training")
    return Plotted(figure, pd.DataFrame(table))


def _spans(
    collections: Collections, lag: float, ranks: Sequence[int]
) -> dict[str, dict[int, tuple[xr.Dataset, xr.DataArray]]]:
    """Return for each data set the numbers of eigenvectors whose spans are shown, with runs and draws."""
    spans = {}
    for dataset, runs in collections.everywhere.runs.items():
        computed = runs.sizes["rank"]
        few = max((k for k in ranks if k <= computed), default=computed)
        null = collections.everywhere.baselines[dataset]["subspace_displacement"]
        spans[dataset] = {few: (runs, null)}
        more = [k for k in ranks if k > computed and collections.wide_runs(dataset, lag, k) is not None]
        if more:
            draws = collections.wide.baselines[dataset]["subspace_displacement"]
            spans[dataset][max(more)] = (collections.wide.runs[dataset], draws)
    return spans


def _draw_subspace(
    row: np.ndarray,
    runs: xr.Dataset,
    baseline: xr.Dataset,
    spans: dict[int, tuple[xr.Dataset, xr.DataArray]],
    lag: float,
    null_model: str,
) -> Table:
    """Draw one data set: each eigenvector by itself, spans, and the share within the first one."""
    few = next(iter(spans))
    each = turned(displacement_over_lag(runs, lag, "displacement").sel(rank=slice(1, few)))
    null = turned(baseline["displacement"].sel(rank=slice(1, few)))
    mean, mean_null = (values.mean("rank", skipna=False) for values in (each, null))
    shown = [("each by itself", few, mean, mean_null)]
    for k, (of_runs, draws) in spans.items():
        moved = displacement_over_lag(of_runs, lag, "subspace_displacement").sel(rank=k)
        shown.append(("span", k, moved, draws.sel(rank=k)))
    table: Table = []
    for panel, (quantity, k, moved, draws) in zip(row, shown, strict=False):
        steps = moved["step"].values
        table += draw_optimizers(panel, moved, steps, "waiting_time", quantity=quantity, ranks=k)
        null_rows = draw_baseline(panel, draws.values, null_model)
        table += [line | {"of": quantity, "ranks": k} for line in null_rows]
    spanned = displacement_over_lag(runs, lag, "subspace_displacement").sel(rank=[few])
    return table + _draw_shares(row[-1], remaining_share(each, spanned), f"share within the span of {few}")


def _label_waiting(panel: Axes) -> None:
    steps_axis(panel)
    panel.set_xlabel("waiting time $t_w$ (steps)")


def _draw_shares(panel: Axes, share: xr.DataArray, quantity: str, *, symbols: bool = False) -> Table:
    """Draw a share, float64 (optimizer, waiting), as lines or hollow symbols; return the numbers."""
    table: Table = []
    steps = share["step"].values
    for optimizer, line in lines_of(share).items():
        values = share.sel(optimizer=optimizer).values
        style = _hollow(line) if symbols else {key: line[key] for key in ("color", "linestyle")}
        panel.plot(steps, values, label=None if symbols else title_of(optimizer), **style)
        table += finite_rows("waiting_time", steps, "share", values, optimizer=optimizer, quantity=quantity)
    return table


def _hollow(line: dict[str, Any]) -> dict[str, Any]:
    """Return hollow symbols of an optimizer, which are drawn on top of lines."""
    return line | {"linestyle": "none", "markersize": 3.5, "markerfacecolor": "white", "zorder": 3}


def _share_logarithmic_axis(row: np.ndarray) -> None:
    """Give the displacements of a row one logarithmic axis, so that panels can be compared."""
    low, high = min(panel.dataLim.minposy for panel in row), max(panel.dataLim.y1 for panel in row)
    for panel in row:
        if logarithmic(panel, "y"):
            panel.set_ylim(low / 1.3, high * 1.3)


def _limit_shares(panel: Axes) -> None:
    """Limit the axis of shares to −1 and 1, and show all from 0 to 1."""
    panel.set_ylim(np.clip(panel.get_ylim()[0], -1.0, 0.0), 1.02)

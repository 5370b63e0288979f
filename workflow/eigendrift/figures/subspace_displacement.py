"""Extension 2: whether the span of the leading eigenvectors settles, though they turn within it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from eigendrift.figures.over_lag import (
    Collections,
    draw_optimizers,
    draw_shares,
    read,
    same_logarithmic_axis,
    share_axis,
)
from eigendrift.figures.parts import (
    MEAN_AND_RANGE,
    Plotted,
    Table,
    describe,
    draw_baseline,
    panels,
    steps_axis,
)
from eigendrift.metrics.lagged import displacement_over_lag
from eigendrift.metrics.swaps import remaining_share, turned

__all__ = ["draw", "read"]


def draw(collections: Collections, lag: float, ranks: Sequence[int]) -> Plotted:
    """Draw how far eigenvectors turn, each by itself, and their span; a row per data set.

    Args:
        collections: The measured runs.
        lag: Lag of the displacement, as a share of the training.
        ranks: Numbers of leading eigenvectors whose span may be shown; shown are the largest that all
            checkpoints have, and the largest that some have.
    """
    collection = collections.everywhere
    spans = _spans(collections, lag, ranks)
    figure, axes = panels(len(collection.runs), 2 + max(map(len, spans.values())), share_y=False)
    table: Table = []
    for row, (dataset, runs) in zip(axes, collection.runs.items(), strict=True):
        null = collection.baselines[dataset]
        rows = _draw_row(row, runs, null, spans[dataset], lag, collection.null_model)
        table += [{"dataset": dataset, **line} for line in rows]
        _label_row(row, dataset, list(spans[dataset]))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    describe(figure, collection, list(collection.runs), f"{MEAN_AND_RANGE}; lag: {lag:g} of the training")
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


def _draw_row(
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
    return table + draw_shares(row[-1], remaining_share(each, spanned), f"share within the span of {few}")


def _label_row(row: np.ndarray, dataset: str, spans: Sequence[int]) -> None:
    moved = row[:-1]
    same_logarithmic_axis(moved)
    names = [f"each of {spans[0]}", *(f"span of {k}" for k in spans)]
    for panel, name in zip(moved, names, strict=False):
        panel.set_title(f"{name}, {dataset}")
    for panel in row:
        steps_axis(panel)
        panel.set_xlabel("waiting time $t_w$ (steps)")
    row[-1].set(title=f"within the span of {spans[0]}, {dataset}", ylabel="1 − span / each")
    row[0].set_ylabel(r"$\sin^2$ of the angle, mean")
    row[1].set_ylabel(r"displacement of the span")
    share_axis(row[-1])

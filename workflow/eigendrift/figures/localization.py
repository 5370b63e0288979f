"""Figure 3: inverse participation ratio of the leading eigenvector throughout training."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eigendrift.figures.parts import (
    MEAN_AND_RANGE,
    Plotted,
    Table,
    band_rows,
    dataset_title,
    describe,
    draw_band,
    draw_baseline,
    draw_isotropic,
    logarithmic,
    over_seeds,
    panels,
    plain_log_ticks,
    steps_axis,
)
from eigendrift.figures.style import optimizer_lines, title_of
from eigendrift.metrics.collection import Collection, collect
from eigendrift.metrics.localization import isotropic_inverse_participation_ratio

LEADING = 1
POOLED = "; null models of trained networks: draws of all optimizers together"

read = collect


def draw(collection: Collection) -> Plotted:
    """Draw the IPR against the step, a panel for each data set; the right axis is N × IPR."""
    figure, axes = panels(1, len(collection.runs), share_y=False)
    table: Table = []
    for panel, (dataset, runs) in zip(axes[0], collection.runs.items(), strict=True):
        steps = runs["step"].values
        optimizers = [str(name) for name in runs["optimizer"].values]
        ratios = runs["inverse_participation_ratio"].sel(rank=LEADING)
        for optimizer, line in optimizer_lines(optimizers).items():
            band = over_seeds(ratios.sel(optimizer=optimizer))
            draw_band(panel, steps, band, line, title_of(optimizer))
            labels = {"dataset": dataset, "optimizer": optimizer, "quantity": "inverse_participation_ratio"}
            table += band_rows("step", steps, band, **labels)
        for row in draw_references(panel, collection.nulls(dataset), runs.attrs["parameters"]):
            table.append({"dataset": dataset, **row})
        multiple_axis(panel, runs.attrs["parameters"])
        panel.set(title=dataset_title(dataset, runs))
        steps_axis(panel)
    axes[0, 0].set_ylabel(r"IPR of $v_1$, $\sum_j v_{1j}^4$")
    handles, labels_ = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels_, loc="outside right upper")
    nulls = (null for dataset in collection.runs for null in collection.nulls(dataset).values())
    pooled = any((null["optimizer"] >= 0).any() for null in nulls)
    shown = f"{MEAN_AND_RANGE}{POOLED if pooled else ''}"
    describe(figure, collection, list(collection.runs), shown)
    return Plotted(figure, pd.DataFrame(table))


def draw_references(panel: Axes, nulls: Mapping[str, xr.Dataset], parameters: int) -> Table:
    """Draw what inverse participation ratios are compared with; their axis becomes logarithmic.

    Args:
        panel: Where the ratios are drawn already.
        nulls: Baselines of null models, by name; all of their draws are shown together.
        parameters: N.

    Returns:
        The numbers drawn.
    """
    table: Table = []
    for name, baseline in nulls.items():
        draws = baseline["inverse_participation_ratio"].sel(rank=LEADING).values
        table += draw_baseline(panel, draws, name, further=bool(table))
    table += draw_isotropic(panel, isotropic_inverse_participation_ratio(parameters))
    logarithmic(panel, "y")
    return table


def multiple_axis(panel: Axes, parameters: int) -> None:
    """Put a right axis on a panel of inverse participation ratios, N × IPR: 1 is a vector spread evenly."""
    right = panel.secondary_yaxis(
        "right", functions=(lambda y: np.multiply(y, parameters), lambda y: np.divide(y, parameters))
    )
    right.set_ylabel("N × IPR")
    plain_log_ticks(right.yaxis)

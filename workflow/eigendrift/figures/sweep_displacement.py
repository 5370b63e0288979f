"""The layout of figures 20 and 21: two-time displacement, a row for each value of what varies."""

import pandas as pd
from matplotlib.axes import Axes

from eigendrift.figures.parts import (
    Plotted,
    Table,
    draw_baseline,
    draw_isotropic,
    logarithmic,
    panels,
    plain_log_ticks,
)
from eigendrift.figures.style import title_of
from eigendrift.figures.sweeps import describe_sweep, legend_of, setting_of, shares_of
from eigendrift.figures.two_time import draw_curves, waiting_checkpoints
from eigendrift.metrics.displacement import isotropic_displacement
from eigendrift.metrics.draws import draws_for
from eigendrift.metrics.sweep import Sweep

LEADING = 1


def draw_displacement(sweep: Sweep, waiting_times: int) -> Plotted:
    """Draw Δ(1)(tw, tw + t) against the lag t, both as shares of the training.

    A curve for each waiting time, a row of panels for each value, a column for each optimizer. Each optimizer
    may have values of its own; where it has fewer than others, panels remain empty.

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
        for panel, (value, runs) in zip(column, by_value.items(), strict=False):
            panel.set_visible(True)
            waiting = waiting_checkpoints(runs.sizes["checkpoint"], waiting_times)
            drawn = draw_curves(panel, runs["displacement"].sel(rank=LEADING), shares_of(runs), waiting)
            drawn += _draw_references(panel, sweep, optimizer)
            table += [{"optimizer": optimizer, sweep.varied: value, **row} for row in drawn]
            panel.set_title(f"{title_of(optimizer)}\n{setting_of(sweep, value)}")
            _finish(panel)
    for row in axes:
        first = next(panel for panel in row if panel.get_visible())
        first.tick_params(labelleft=True)
        first.set_ylabel(r"$\Delta^{(1)}(t_w,\, t_w + t)$")
    figure.legend(
        *legend_of(axes), title="waiting time $t_w$\n(share of training)", loc="outside right upper"
    )
    describe_sweep(figure, sweep, "curve: mean")
    return Plotted(figure, pd.DataFrame(table))


def _draw_references(panel: Axes, sweep: Sweep, optimizer: str) -> Table:
    baseline = draws_for(sweep.baseline, optimizer)["displacement"].sel(rank=LEADING).values
    null = draw_baseline(panel, baseline, sweep.null_model)
    return null + draw_isotropic(panel, isotropic_displacement(sweep.parameters))


def _finish(panel: Axes) -> None:
    panel.set_xlabel("lag $t$ (share of training)")
    logarithmic(panel, "x")
    logarithmic(panel, "y")
    if panel.get_xscale() == "log":
        plain_log_ticks(panel.xaxis)

"""Figures 1 and 9: two-time displacement of the leading eigenvector."""

from matplotlib.axes import Axes

from eigendrift.figures.parts import Plotted, Table, draw_baseline, draw_isotropic
from eigendrift.figures.two_time import draw_two_time
from eigendrift.metrics.collection import Collection, collect
from eigendrift.metrics.displacement import isotropic_displacement
from eigendrift.metrics.draws import draws_for

LEADING = 1

read = collect


def draw(collection: Collection, dataset: str, waiting_times: int) -> Plotted:
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

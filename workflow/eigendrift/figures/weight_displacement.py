"""Figure 10: two-time displacement of the weights."""

from eigendrift.figures.parts import Plotted
from eigendrift.figures.two_time import draw_two_time
from eigendrift.metrics.collection import Collection, collect

read = collect


def draw(collection: Collection, dataset: str, waiting_times: int) -> Plotted:
    """Draw Δ_w(tw, tw + t) against the lag t, a curve for each waiting time, a panel for each optimizer.

    Args:
        collection: The measured runs.
        dataset: Data set to show.
        waiting_times: How many waiting times to show, spread evenly over the checkpoints.
    """
    moved = collection.runs[dataset]["weight_displacement"]
    label = r"weight displacement $\Delta_w(t_w,\, t_w + t)$"
    return draw_two_time(collection, dataset, waiting_times, moved, label)

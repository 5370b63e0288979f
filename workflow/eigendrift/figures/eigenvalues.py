"""Figure 6: the leading eigenvalues throughout training."""

from eigendrift.figures.by_rank import draw_by_rank
from eigendrift.figures.parts import Plotted
from eigendrift.metrics.collection import Collection, collect

RANKS = 3

read = collect


def draw(collection: Collection) -> Plotted:
    """Draw the top-3 Hessian eigenvalues, a row for each data set and a column for each optimizer."""
    return draw_by_rank(collection, "eigenvalue", RANKS, r"eigenvalue $\lambda_i$ (nat)", log_scale=True)

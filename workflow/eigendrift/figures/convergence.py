"""Figure 7: convergence of the leading eigenvectors to the final basin."""

from eigendrift.figures.by_rank import draw_by_rank
from eigendrift.figures.parts import Plotted
from eigendrift.metrics.collection import Collection, collect

RANKS = 3

read = collect


def draw(collection: Collection) -> Plotted:
    """Draw |⟨v_i(t), v_i(T)⟩| of the top 3, a row for each data set and a column for each optimizer."""
    label = r"overlap with the end, $|\langle v_i(t),\, v_i(T) \rangle|$"
    return draw_by_rank(collection, "final_overlap", RANKS, label, log_scale=False)

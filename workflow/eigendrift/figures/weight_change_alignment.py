"""Figure 11: does the weight change over a lag point along the leading eigenvector?"""

from eigendrift.figures.parts import Plotted, draw_isotropic
from eigendrift.figures.two_time import draw_two_time
from eigendrift.metrics.collection import Collection, collect
from eigendrift.metrics.displacement import isotropic_overlap

LEADING = 1

read = collect


def draw(collection: Collection, dataset: str, waiting_times: int) -> Plotted:
    """Draw |⟨Δθ/|Δθ|, v_1(tw)⟩|, Δθ = θ(tw + t) − θ(tw), against t; curves and panels as in figure 1.

    Args:
        collection: The measured runs.
        dataset: Data set to show.
        waiting_times: How many waiting times to show, spread evenly over the checkpoints.
    """
    runs = collection.runs[dataset]
    isotropic = isotropic_overlap(runs.attrs["parameters"])
    return draw_two_time(
        collection,
        dataset,
        waiting_times,
        runs["weight_change_alignment"].sel(rank=LEADING),
        r"alignment $|\langle \Delta\theta/|\Delta\theta|,\, v_1(t_w) \rangle|$",
        lambda panel, _: draw_isotropic(panel, isotropic),
    )

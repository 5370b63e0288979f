"""Figures 6 and 7: bands of ranks that lie on top of each other."""

import numpy as np
from figures_helpers import collection
from matplotlib.colors import to_hex

from eigendrift.figures.training import draw_eigenvalues


def test_the_band_of_a_rank_has_edges_like_its_line():
    source = collection(optimizers=("sgd",))
    (panel,) = draw_eigenvalues(source).figure.axes
    assert len(panel.lines) == 3 * 3
    for rank in (1, 2, 3):
        line, low, high = panel.lines[3 * rank - 3 : 3 * rank]
        values = source.runs["digits"]["eigenvalue"].sel(optimizer="sgd", rank=rank)
        np.testing.assert_array_equal(low.get_ydata(), values.min("seed"))
        np.testing.assert_array_equal(high.get_ydata(), values.max("seed"))
        for edge in (low, high):
            assert to_hex(edge.get_color()) == to_hex(line.get_color())
            assert edge.get_linewidth() < line.get_linewidth() / 2

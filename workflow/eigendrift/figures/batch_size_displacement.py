"""Figure 20: two-time displacement of the leading eigenvector, for varying batch size."""

from functools import partial

from eigendrift.figures.sweep_displacement import draw_displacement
from eigendrift.metrics.sweep import read_sweep

read = partial(read_sweep, varied="batch_size")
draw = draw_displacement

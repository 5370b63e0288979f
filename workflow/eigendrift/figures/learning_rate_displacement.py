"""Figure 21: two-time displacement of the leading eigenvector, for varying learning rate."""

from functools import partial

from eigendrift.figures.sweep_displacement import draw_displacement
from eigendrift.metrics.sweep import read_sweep

read = partial(read_sweep, varied="learning_rate")
draw = draw_displacement

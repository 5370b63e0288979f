"""Figure 19: localization of the leading eigenvector throughout training, for varying learning rate."""

from functools import partial

from eigendrift.figures.sweep_localization import draw_localization
from eigendrift.metrics.sweep import read_sweep

read = partial(read_sweep, varied="learning_rate")
draw = draw_localization

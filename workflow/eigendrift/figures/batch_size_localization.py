"""Figure 18: localization of the leading eigenvector throughout training, for varying batch size."""

from functools import partial

from eigendrift.figures.sweep_localization import draw_localization
from eigendrift.metrics.sweep import read_sweep

read = partial(read_sweep, varied="batch_size")
draw = draw_localization

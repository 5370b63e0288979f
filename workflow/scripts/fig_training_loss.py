"""Figure: training loss."""

from picture import picture
from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.figures.training_loss import draw

    picture(draw, snakemake)

"""Figure: test accuracy."""

from picture import picture
from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.figures.accuracy import draw

    picture(draw, snakemake)

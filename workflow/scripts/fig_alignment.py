"""Figure: update against gradient alignment."""

from picture import picture
from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.figures.alignment import draw

    picture(draw, snakemake)

"""Figure: two-time displacement of the leading eigenvector."""

from picture import picture
from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.figures.displacement import draw

    picture(draw, snakemake)

"""Figure: convergence to the final basin."""

from picture import picture
from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.figures.convergence import draw

    picture(draw, snakemake)

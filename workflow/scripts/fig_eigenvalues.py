"""Figure: leading eigenvalues."""

from picture import picture
from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.figures.eigenvalues import draw

    picture(draw, snakemake)

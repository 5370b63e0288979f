"""Figure: localization of the leading eigenvector."""

from picture import picture
from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.figures.localization import draw

    picture(draw, snakemake)

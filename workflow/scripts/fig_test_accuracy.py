"""Figure: test accuracy."""

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.figures.output import produce
    from eigendrift.figures.test_accuracy import draw

    produce(
        draw,
        snakemake.input.metrics,
        snakemake.input.baselines,
        snakemake.params.settings,
        snakemake.params.style,
        dict(snakemake.output.items()),
    )

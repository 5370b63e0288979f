"""Figure: training loss."""

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.figures.output import produce
    from eigendrift.figures.training_loss import draw

    produce(
        draw,
        snakemake.input.metrics,
        snakemake.input.baselines,
        snakemake.params.settings,
        snakemake.params.style,
        dict(snakemake.output.items()),
    )

"""Draw one figure: the module of eigendrift.figures that the rule names reads its stores and draws."""

from importlib import import_module

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.figures.output import produce

    figure = import_module(f"eigendrift.figures.{snakemake.params.draw}")
    stores = {name: paths for name, paths in snakemake.input.items() if name not in ("code", "manifests")}
    produce(
        figure.draw,
        figure.read(**stores),
        snakemake.params.settings,
        snakemake.params.style,
        dict(snakemake.output.items()),
    )

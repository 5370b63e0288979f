"""Draw one figure, with functions of the library that the rule names or with those of a plug-in."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    from eigendrift.extensions.kinds import Figure, lazy
    from eigendrift.extensions.plugins import load_plugins
    from eigendrift.extensions.registry import known
    from eigendrift.figures.parts import produce

    load_plugins(snakemake.params.plugins)
    if snakemake.params.plugin_figure:
        figure = known(Figure)[snakemake.params.plugin_figure]
        read, draw = figure.read, figure.draw
    else:
        read, draw = (lazy(*snakemake.params.functions[name]) for name in ("read", "draw"))
    source = read(**{name: paths for name, paths in snakemake.input.items() if name != "manifests"})
    verify_code()
    produce(
        draw,
        source,
        snakemake.params.settings,
        snakemake.params.style,
        dict(snakemake.output.items()),
        snakemake.params.study,
    )

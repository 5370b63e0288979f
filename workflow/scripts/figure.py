"""Draw one figure: by the module of eigendrift.figures that the rule names, or by a plug-in."""

import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    from eigendrift.extensions.kinds import Figure
    from eigendrift.extensions.plugins import load_plugins
    from eigendrift.extensions.registry import known
    from eigendrift.figures.output import produce
    from eigendrift.metrics.collection import collect

    name = snakemake.params.draw
    load_plugins(snakemake.params.get("plugins", []))
    # A plug-in of an optimizer that the figure shows may have a figure of that name as well.
    plugged = known(Figure)[name] if snakemake.rule == f"figure_{name}" else None
    figure = None if plugged else import_module(f"eigendrift.figures.{name}")
    stores = {kind: paths for kind, paths in snakemake.input.items() if kind != "manifests"}
    verify_code()
    produce(
        plugged.draw if plugged else figure.draw,
        collect(**stores) if plugged else figure.read(**stores),
        snakemake.params.settings,
        snakemake.params.style,
        dict(snakemake.output.items()),
        snakemake.params.get("study"),
    )

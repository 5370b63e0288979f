"""Measure one run with a metric of a plug-in."""

from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.extensions.plugins import load_plugins
    from eigendrift.metrics.plugins import measure_with_plugin
    from eigendrift.stores.reading import open_run
    from eigendrift.stores.writing import write_store

    load_plugins(snakemake.params.plugins)
    trajectory, eigenpairs = open_run(Path(snakemake.input.trajectory), Path(snakemake.input.eigenpairs))
    columns, summary = measure_with_plugin(snakemake.wildcards.metric, trajectory, eigenpairs)
    write_store(Path(snakemake.output.store), "plugin_metric", columns, eigenpairs.attrs["settings"], summary)

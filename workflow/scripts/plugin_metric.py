"""Measure one run with a metric of a plug-in."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    from eigendrift.extensions.plugins import load_plugins
    from eigendrift.metrics.plugins import measure_with_plugin
    from eigendrift.stores.reading import open_run
    from eigendrift.stores.writing import write_store

    load_plugins(snakemake.params.plugins)
    trajectory, eigenpairs = open_run(Path(snakemake.input.trajectory), Path(snakemake.input.eigenpairs))
    columns, summary = measure_with_plugin(snakemake.wildcards.metric, trajectory, eigenpairs)
    verify_code()
    write_store(Path(snakemake.output.store), "plugin_metric", columns, eigenpairs.attrs["settings"], summary)

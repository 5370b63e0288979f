"""Measure one run: displacement, localization and alignment of its eigenvectors."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    from eigendrift.metrics.measure import measure_run, summarize_run
    from eigendrift.stores.reading import open_run
    from eigendrift.stores.writing import write_store

    trajectory, eigenpairs = open_run(Path(snakemake.input.trajectory), Path(snakemake.input.eigenpairs))
    measured = measure_run(trajectory, eigenpairs)
    summary = summarize_run(trajectory, eigenpairs)
    verify_code()
    write_store(Path(snakemake.output.store), "metrics", measured, eigenpairs.attrs["settings"], summary)

"""Measure one run: displacement, localization and alignment of its eigenvectors."""

from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.metrics.run import measure_run, summarize_run
    from eigendrift.stores.reading import open_run
    from eigendrift.stores.writing import write_store

    trajectory, eigenpairs = open_run(Path(snakemake.input.trajectory), Path(snakemake.input.eigenpairs))
    measured = measure_run(trajectory, eigenpairs)
    summary = summarize_run(trajectory, eigenpairs)
    write_store(Path(snakemake.output.store), "metrics", measured, eigenpairs.attrs["settings"], summary)

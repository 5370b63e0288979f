"""Measure the draws of one null model: displacement and localization as distributions."""

from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.metrics.baseline import measure_baseline
    from eigendrift.stores.reading import open_store
    from eigendrift.stores.writing import write_store

    draws = open_store(Path(snakemake.input.draws), "null")
    settings, summary = draws.attrs["settings"], draws.attrs["summary"]
    write_store(Path(snakemake.output.store), "baseline", measure_baseline(draws), settings, summary)

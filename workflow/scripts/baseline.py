"""Measure the draws of one null model: displacement and localization as distributions."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    from eigendrift.metrics.measure import measure_baseline
    from eigendrift.stores.reading import open_store
    from eigendrift.stores.writing import write_store

    draws = open_store(Path(snakemake.input.draws), "null")
    settings, summary = draws.attrs["settings"], draws.attrs["summary"]
    verify_code()
    write_store(Path(snakemake.output.store), "baseline", measure_baseline(draws), settings, summary)

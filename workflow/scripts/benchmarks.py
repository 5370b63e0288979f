"""Collect how long the jobs of the study took."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    from eigendrift.report.benchmarks import collect_benchmarks
    from eigendrift.stores.tables import write_checksummed_table

    table = collect_benchmarks(snakemake.params.patterns, snakemake.params.known)
    verify_code()
    write_checksummed_table(Path(snakemake.output.table), table)

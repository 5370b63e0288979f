"""Collect how long the jobs of the study took."""

from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.report.benchmarks import collect_benchmarks
    from eigendrift.stores.tables import write_checksummed_table

    table = collect_benchmarks(snakemake.params.patterns, snakemake.params.known)
    write_checksummed_table(Path(snakemake.output.table), table)

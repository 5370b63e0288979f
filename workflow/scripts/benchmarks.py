"""Collect how long the jobs of the study took."""

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.report.benchmarks import collect_benchmarks

    table = collect_benchmarks(snakemake.params.patterns, snakemake.params.known)
    table.to_csv(snakemake.output.table, index=False)

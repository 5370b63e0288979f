"""Decide the paper's claims."""

from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.claims.decide import decide_claims
    from eigendrift.claims.output import write_claims
    from eigendrift.metrics.collection import collect

    settings = snakemake.params.settings
    collection = collect(snakemake.input.metrics, snakemake.input.baselines)
    verdicts = decide_claims(collection, settings)
    write_claims(verdicts, settings, collection, Path(snakemake.output.json), Path(snakemake.output.csv))

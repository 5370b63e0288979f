"""Decide the paper's claims."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    from eigendrift.claims.output import decide_study, write_claims

    stores, outputs = snakemake.input, snakemake.output
    optional = ("batch_sizes", "learning_rates", "wide_metrics", "wide_baselines")
    record = decide_study(
        snakemake.params.settings,
        metrics=stores.metrics,
        baselines=stores.baselines,
        validation=stores.validation,
        departure=stores.departure,
        **{name: stores.get(name, []) for name in optional},
    )
    verify_code()
    paths = (Path(outputs[name]) for name in ("json", "csv", "sensitivity"))
    write_claims(record, snakemake.params.schema, *paths)

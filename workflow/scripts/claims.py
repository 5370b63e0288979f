"""Decide the paper's claims."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    from eigendrift.claims.decide import decide_claims
    from eigendrift.claims.displacement import notes_on_lags
    from eigendrift.claims.evidence import gather
    from eigendrift.claims.null_validity import read_null_validity
    from eigendrift.claims.output import record_of, write_claims
    from eigendrift.metrics.collection import collect
    from eigendrift.metrics.sweep import read_swept_runs

    settings, stores = snakemake.params.settings, snakemake.input
    collection = collect(stores.metrics, stores.baselines)
    validities = read_null_validity(
        Path(stores.validation), Path(stores.departure), collection.null_model, collection.runs
    )
    evidence = gather(
        collection,
        read_swept_runs(stores.get("batch_sizes", []), "batch_size"),
        read_swept_runs(stores.get("learning_rates", []), "learning_rate"),
        collect(stores.wide_metrics, stores.wide_baselines) if stores.get("wide_metrics") else None,
        validities,
    )
    lags = [settings["lag"], *settings["sensitivity"]["lags"]]
    notes = [
        note
        for dataset, runs in collection.runs.items()
        for note in (
            *collection.notes(dataset),
            *validities[dataset].notes(dataset),
            *notes_on_lags(runs, dataset, lags),
        )
    ]
    verify_code()
    write_claims(
        record_of(decide_claims(evidence, settings), settings, collection.null_model, notes),
        snakemake.params.schema,
        Path(snakemake.output.json),
        Path(snakemake.output.csv),
        Path(snakemake.output.sensitivity),
    )

"""Decide the claims in every regime of training-set size, learning rate and length."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    import logging

    from eigendrift.claims.regimes import TrainingSet, decide_regimes
    from eigendrift.metrics.collection import read_baselines
    from eigendrift.metrics.sweep import read_swept_runs
    from eigendrift.stores.tables import write_checksummed_table

    settings, stores = snakemake.params.settings, snakemake.input
    runs = read_swept_runs(stores.metrics, "learning_rate")
    baselines, _ = read_baselines(stores.baselines)
    training_sets = [
        TrainingSet(dataset, samples, runs[name], baselines[name])
        for name, (dataset, samples) in settings["sets"].items()
    ]
    pairs = [(sgd, adam) for sgd, adam in settings["pairs"]]
    table = decide_regimes(training_sets, pairs, settings["lengths"], settings["claims"])
    verify_code()
    write_checksummed_table(Path(snakemake.output.table), table)
    logging.info("Verdicts of %d regimes: %s", len(table), table["verdict"].value_counts().to_dict())

"""Decide the claims in every regime of training-set size, learning rate and length."""

from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
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
    write_checksummed_table(Path(snakemake.output.table), table)
    logging.info("Verdicts of %d regimes: %s", len(table), table["verdict"].value_counts().to_dict())

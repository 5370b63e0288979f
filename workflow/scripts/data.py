"""Load one data set and store it, split into training and test samples."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    from eigendrift.data.datasets import load
    from eigendrift.data.samples import SCALINGS, nested_subset, sample_columns
    from eigendrift.extensions.plugins import load_plugins
    from eigendrift.stores.writing import write_store

    load_plugins(snakemake.params.plugins)
    settings = dict(snakemake.params.settings)
    # Scale before reducing, so that a subset has the same pixels and test images as the whole set.
    whole = SCALINGS[settings["input_scaling"]](load(settings["dataset"]))
    samples = nested_subset(whole, settings["training_samples"])
    parts = {"train": len(samples.train_labels), "test": len(samples.test_labels)}
    summary = {**parts, "classes": samples.classes}
    verify_code()
    write_store(Path(snakemake.output.store), "data", sample_columns(samples), settings, summary)

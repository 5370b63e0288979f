"""Load one data set and store it, split into training and test samples."""

from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.data.datasets import load
    from eigendrift.data.scaling import SCALINGS
    from eigendrift.data.storage import sample_columns
    from eigendrift.data.subsets import nested_subset
    from eigendrift.extensions.plugins import load_plugins
    from eigendrift.stores.writing import write_store

    load_plugins(snakemake.params.plugins)
    settings = dict(snakemake.params.settings)
    # Scaled before it is reduced, so that a subset has the very pixels of the whole, and its test images.
    whole = SCALINGS[settings["input_scaling"]](load(settings["dataset"]))
    samples = nested_subset(whole, settings["training_samples"])
    parts = {"train": len(samples.train_labels), "test": len(samples.test_labels)}
    summary = {**parts, "classes": samples.classes}
    write_store(Path(snakemake.output.store), "data", sample_columns(samples), settings, summary)

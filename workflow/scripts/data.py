"""Load one data set and store it, split into training and test samples."""

from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.data.registry import load
    from eigendrift.data.scaling import SCALINGS
    from eigendrift.data.storage import sample_columns
    from eigendrift.stores.writing import write_store

    settings = {"dataset": snakemake.params.dataset, "input_scaling": snakemake.params.scaling}
    samples = SCALINGS[settings["input_scaling"]](load(settings["dataset"]))
    parts = {"train": len(samples.train_labels), "test": len(samples.test_labels)}
    summary = {**parts, "classes": samples.classes}
    write_store(Path(snakemake.output.store), "data", sample_columns(samples), settings, summary)

"""Samples in a store."""

from pathlib import Path

import numpy as np

from eigendrift.data.samples import Samples
from eigendrift.stores.reading import open_store

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


def sample_columns(samples: Samples) -> dict[str, np.ndarray]:
    """Return the arrays of a data store."""
    return {name: getattr(samples, name) for name in ARRAYS}


def read_samples(store: Path) -> Samples:
    """Read the samples of a data store."""
    dataset = open_store(store, "data")
    return Samples(**{name: dataset[name].values for name in ARRAYS})

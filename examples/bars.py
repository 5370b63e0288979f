"""A data set, of images with a bright row each, and a network for them: two plug-ins in one file."""

import numpy as np

from eigendrift.extensions import Dataset, Model

ROWS, COLUMNS, TRAINING, TEST = 3, 4, 60, 30


def load(_data_dir):
    """Draw noise with a bright row, which is the class."""
    from eigendrift.data.samples import Samples

    random = np.random.default_rng(0)
    labels = np.arange(TRAINING + TEST) % ROWS
    images = random.normal(0, 0.3, (len(labels), ROWS, COLUMNS)).astype(np.float32)
    images[np.arange(len(labels)), labels] += 1
    return Samples(images[:TRAINING], labels[:TRAINING], images[TRAINING:], labels[TRAINING:])


def build(settings, image_shape, classes, random):
    """Sum up each row through a bottleneck; the layers initialize themselves."""
    from _shared import halves
    from torch import nn

    rows, columns = image_shape
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(rows * columns, halves(settings["width"])),
        nn.LayerNorm(halves(settings["width"])),
        nn.Tanh(),
        nn.Linear(halves(settings["width"]), classes),
    )


EXTENSIONS = [
    Dataset(name="bars", load=load, training_samples=TRAINING, image_shape=(ROWS, COLUMNS), classes=ROWS),
    Model(
        name="bottleneck",
        build=build,
        settings={"width": {"description": "Twice the bottleneck's.", "type": "integer", "minimum": 2}},
    ),
]

"""A data set: images that have one bright row."""

import numpy as np

from eigendrift.extensions import Dataset

ROWS, COLUMNS, TRAINING, TEST = 3, 4, 60, 30


def load(_data_dir):
    """Return images of noise whose class is the index of the bright row."""
    from eigendrift.data.samples import Samples

    random = np.random.default_rng(0)
    labels = np.arange(TRAINING + TEST) % ROWS
    images = random.normal(0, 0.3, (len(labels), ROWS, COLUMNS)).astype(np.float32)
    images[np.arange(len(labels)), labels] += 1
    return Samples(images[:TRAINING], labels[:TRAINING], images[TRAINING:], labels[TRAINING:])


EXTENSIONS = [
    Dataset(name="bars", load=load, training_samples=TRAINING, image_shape=(ROWS, COLUMNS), classes=ROWS),
]

"""Training sets of reduced size."""

from dataclasses import replace

import numpy as np

from eigendrift.data.samples import Samples


def nested_subset(samples: Samples, size: int | str) -> Samples:
    """Keep some of the training samples, in the data set's order; the test samples stay.

    Sample number i of the n_c in its class, counted from 0 in the data set's order, has the place
    (i + 1/2) / n_c, and the ``size`` samples with the lowest places are kept. So a smaller training set is
    part of every larger one, each has the classes in the same shares, to within a sample where the classes
    are about equally large, and no random number decides which.

    Args:
        samples: Data set.
        size: How many training samples, or ``all``.
    """
    if size == "all":
        return samples
    labels = samples.train_labels
    places = np.empty(len(labels))
    for label in range(samples.classes):
        members = np.flatnonzero(labels == label)
        places[members] = (np.arange(len(members)) + 0.5) / len(members)
    chosen = np.sort(np.argsort(places, kind="stable")[: int(size)])
    return replace(samples, train_images=samples.train_images[chosen], train_labels=labels[chosen])

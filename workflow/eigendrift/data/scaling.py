"""How pixels enter a network."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from eigendrift.data.samples import Samples


def unit(samples: Samples) -> Samples:
    """Leave pixels as they are loaded, from 0 to 1."""
    return samples


def standardized(samples: Samples) -> Samples:
    """Shift and scale all pixels alike, so that the training images have mean 0 and standard deviation 1.

    One mean and one deviation for all pixels, as is usual for MNIST: images keep their contrasts, and pixels
    that are always dark do no harm. Test images are treated with the training images' numbers.
    """
    mean = samples.train_images.mean(dtype=np.float64)
    deviation = samples.train_images.std(dtype=np.float64)
    train, test = (
        ((images - mean) / deviation).astype(np.float32)
        for images in (samples.train_images, samples.test_images)
    )
    return replace(samples, train_images=train, test_images=test)


SCALINGS: dict[str, Callable[[Samples], Samples]] = {"unit": unit, "standardized": standardized}

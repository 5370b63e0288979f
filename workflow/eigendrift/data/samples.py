"""Samples of a data set: their form, scaling, subsets, and store."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eigendrift.errors import UserError

IMAGE_AXES = ("sample", "row", "column")
# Any seed would do, but another seed would give another Hessian.
SELECTION_SEED = 0


@dataclass(frozen=True, eq=False)
class Samples:
    """Images and labels of a data set, split into a training and a test part.

    Attributes:
        train_images: float32 (sample, row, column), finite.
        train_labels: int64 (sample,), each of 0 .. classes - 1 at least once.
        test_images: Like train_images, with the same rows and columns.
        test_labels: int64 (sample,), 0 .. classes - 1.

    Raises:
        UserError: If an array breaks these rules.
    """

    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        _check_part("train", self.train_images, self.train_labels)
        _check_part("test", self.test_images, self.test_labels)
        train_shape, test_shape = self.train_images.shape[1:], self.test_images.shape[1:]
        if train_shape != test_shape:
            raise UserError(
                f"test_images has images of {test_shape} pixels where train_images has {train_shape}; give "
                "both parts the same rows and columns."
            )
        # With a gap an output would be trained that no sample uses. Usually labels were counted from 1.
        present = np.unique(self.train_labels)
        gaps = np.flatnonzero(present != np.arange(present.size))
        if gaps.size:
            raise UserError(
                f"train_labels goes up to {self.classes - 1} without label {gaps[0]}; give every class from "
                "0 on at least one sample, or number the classes without gaps."
            )
        if self.test_labels.max() >= self.classes:
            raise UserError(
                f"test_labels contains {self.test_labels.max()}, but train_labels only 0 to "
                f"{self.classes - 1}; label both parts with the same classes."
            )

    @property
    def classes(self) -> int:
        """Number of classes in the training part."""
        return int(self.train_labels.max()) + 1


def _check_part(part: str, images: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    for name, array in ((f"{part}_images", images), (f"{part}_labels", labels)):
        if not isinstance(array, np.ndarray):
            raise UserError(f"{name} is a {type(array).__name__}, but must be a numpy array; convert it.")
    if images.ndim != len(IMAGE_AXES) or images.dtype != np.float32 or images.size == 0:
        raise UserError(
            f"{part}_images is {images.dtype} of shape {images.shape}, but must be non-empty float32 "
            f"({', '.join(IMAGE_AXES)}); convert it."
        )
    if labels.shape != images.shape[:1] or labels.dtype != np.int64:
        raise UserError(
            f"{part}_labels is {labels.dtype} of shape {labels.shape}, but must be int64 of shape "
            f"{images.shape[:1]}; give each image one label."
        )
    if not np.isfinite(images).all():
        where = tuple(int(index) for index in np.argwhere(~np.isfinite(images))[0])
        raise UserError(f"{part}_images is not finite at {where}; repair or leave out that image.")
    if labels.min() < 0:
        raise UserError(f"{part}_labels contains {labels.min()}, but classes are counted from 0; renumber them.")


def sample_columns(samples: Samples) -> dict[str, np.ndarray]:
    """Return the arrays of a data store."""
    return {field.name: getattr(samples, field.name) for field in fields(samples)}


def read_samples(store: Path) -> Samples:
    """Return the samples in a data store.

    Raises:
        UserError: If the store is missing or damaged.
    """
    # Data sets are declared without opening stores, so zarr and xarray are imported only here.
    from eigendrift.stores.reading import open_store

    dataset = open_store(store, "data")
    return Samples(**{field.name: dataset[field.name].values for field in fields(Samples)})


def scaled(pixels: NDArray[np.generic], maximum: int) -> NDArray[np.float32]:
    """Return raw pixels scaled to [0, 1].

    Args:
        pixels: Integers from 0 to `maximum`, of any shape and number type.
        maximum: The pixel value that becomes 1: the maximum of the format, not of these samples.

    Returns:
        float32 of the same shape.
    """
    # The division is in float32, so that the bits do not depend on the number type of the pixels.
    return pixels.astype(np.float32) / np.float32(maximum)


def standardized(samples: Samples) -> Samples:
    """Return samples whose training pixels have mean 0 and standard deviation 1.

    All pixels share one mean and one deviation, as is usual for MNIST: images keep their contrasts, and pixels that are
    always dark do no harm. Test images are scaled by the numbers of the training images.
    """
    mean = samples.train_images.mean(dtype=np.float64)
    deviation = samples.train_images.std(dtype=np.float64)
    train, test = (
        ((images - mean) / deviation).astype(np.float32) for images in (samples.train_images, samples.test_images)
    )
    return replace(samples, train_images=train, test_images=test)


SCALINGS: dict[str, Callable[[Samples], Samples]] = {"unit": lambda samples: samples, "standardized": standardized}


def nested_subset(samples: Samples, size: int | str) -> Samples:
    """Return some of the training samples, in the order of the data set, and all test samples.

    Sample number i of the n_c in its class, counted from 0 in the order of the data set, gets the position
    (i + 1/2) / n_c, and the ``size`` samples with the lowest positions are kept. So every smaller training set is part
    of each larger one, classes keep their shares (to within a sample if the classes are about equally large), and no
    random number is involved.

    Args:
        samples: Data set.
        size: Number of training samples, or ``all``.
    """
    if size == "all":
        return samples
    labels = samples.train_labels
    positions = np.empty(len(labels))
    for label in range(samples.classes):
        members = np.flatnonzero(labels == label)
        positions[members] = (np.arange(len(members)) + 0.5) / len(members)
    kept = np.sort(np.argsort(positions, kind="stable")[: int(size)])
    return replace(samples, train_images=samples.train_images[kept], train_labels=labels[kept])


def hessian_sample(labels: np.ndarray, size: int | str) -> np.ndarray:
    """Return which training samples the Hessian is taken over: stratified, and the same for every run.

    Args:
        labels: int64 (n,), classes of the training set.
        size: Number of samples, or ``all``.

    Returns:
        int64 (size,), ascending indices.

    Raises:
        UserError: If there are fewer samples than `size`.
    """
    if size == "all" or size == len(labels):
        return np.arange(len(labels))
    if int(size) > len(labels):
        raise UserError(
            f"Config key 'eigenpairs.samples' is {size}, but the training set has only {len(labels)} "
            "samples; lower it or set it to all."
        )
    from sklearn.model_selection import train_test_split

    classes = len(np.unique(labels))
    stratify = labels if classes <= int(size) <= len(labels) - classes else None
    selected, _ = train_test_split(
        np.arange(len(labels)), train_size=int(size), stratify=stratify, random_state=SELECTION_SEED
    )
    return np.sort(selected)

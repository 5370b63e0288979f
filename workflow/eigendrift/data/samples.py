"""What a loaded data set is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eigendrift.errors import UserError

IMAGE_AXES = ("sample", "row", "column")


@dataclass(frozen=True, eq=False)
class Samples:
    """Images and labels of a data set, split into a training and a test part.

    Attributes:
        train_images: float32 (sample, row, column), finite.
        train_labels: int64 (sample,), each of 0 .. classes - 1 at least once.
        test_images: as train_images, with the same rows and columns.
        test_labels: int64 (sample,), 0 .. classes - 1.

    Raises:
        UserError: an array breaks what is said above.
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
                f"test_images has images of {test_shape} pixels where train_images has {train_shape}, "
                "so give both parts the same rows and columns."
            )
        # A gap would train an output that no sample ever asks for, and usually means labels counted from 1.
        present = np.unique(self.train_labels)
        gaps = np.flatnonzero(present != np.arange(present.size))
        if gaps.size:
            raise UserError(
                f"train_labels goes up to {self.classes - 1} without label {gaps[0]}, so give every class "
                "from 0 on at least one sample, or number the classes without gaps."
            )
        if self.test_labels.max() >= self.classes:
            raise UserError(
                f"test_labels contains {self.test_labels.max()}, but train_labels only 0 to "
                f"{self.classes - 1}, so label both parts with the same classes."
            )

    @property
    def classes(self) -> int:
        """Number of classes in the training part."""
        return int(self.train_labels.max()) + 1


def scaled(pixels: NDArray[np.generic], maximum: int) -> NDArray[np.float32]:
    """Scale raw pixels to [0, 1].

    Args:
        pixels: integers from 0 to `maximum`, of any shape and number type.
        maximum: the pixel value that becomes 1; the format's maximum, not that of these samples.

    Returns:
        float32 of the same shape.
    """
    # Rounded to float32 once, after the division: the same bits whatever number type the pixels came in.
    return pixels.astype(np.float32) / np.float32(maximum)


def _check_part(part: str, images: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    for name, array in ((f"{part}_images", images), (f"{part}_labels", labels)):
        if not isinstance(array, np.ndarray):
            raise UserError(f"{name} is a {type(array).__name__}, but must be a numpy array, so convert it.")
    if images.ndim != len(IMAGE_AXES) or images.dtype != np.float32 or images.size == 0:
        raise UserError(
            f"{part}_images is {images.dtype} of shape {images.shape}, but must be non-empty float32 "
            f"({', '.join(IMAGE_AXES)}), so convert it."
        )
    if labels.shape != images.shape[:1] or labels.dtype != np.int64:
        raise UserError(
            f"{part}_labels is {labels.dtype} of shape {labels.shape}, but must be int64 of shape "
            f"{images.shape[:1]}, one label for each of the images."
        )
    if not np.isfinite(images).all():
        where = tuple(int(index) for index in np.argwhere(~np.isfinite(images))[0])
        raise UserError(f"{part}_images is not finite at {where}, so repair or leave out that image.")
    if labels.min() < 0:
        raise UserError(
            f"{part}_labels contains {labels.min()}, but classes are counted from 0, so renumber them."
        )

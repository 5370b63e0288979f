"""The data sets by name; to add one, write its loader and add a line."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from eigendrift.data import full_mnist, shipped
from eigendrift.data.samples import Samples
from eigendrift.errors import UserError


@dataclass(frozen=True)
class DatasetSpec:
    """One data set.

    Attributes:
        load: Takes the directory of the user's own copies, if there is one. It imports the packages it needs
            when called, so that the names are at hand wherever the configuration is checked.
        training_samples: Size of the training part, for the same check.
        image_shape: Rows and columns of an image.
        classes: How many.
    """

    load: Callable[[Path | None], Samples]
    training_samples: int
    image_shape: tuple[int, int] = (28, 28)
    classes: int = 10


DATASETS = {
    "mnist5k": DatasetSpec(shipped.mnist5k, 4_000),
    "digits": DatasetSpec(shipped.digits, 1_437, image_shape=(8, 8)),
    "mnist": DatasetSpec(partial(full_mnist.load, "mnist"), 60_000),
    "fashion_mnist": DatasetSpec(partial(full_mnist.load, "fashion_mnist"), 60_000),
}


def load(name: str, data_dir: Path | None = None) -> Samples:
    """Load a data set.

    Args:
        name: one of `DATASETS`.
        data_dir: holds the user's own copies of the data sets that no package ships; the environment
            variable EIGENDRIFT_DATA takes precedence.

    Returns:
        The samples, always the same ones in the same order.

    Raises:
        UserError: there is no such data set, or it cannot be had.
    """
    if name not in DATASETS:
        raise UserError(f"The data set {name!r} is unknown, so choose one of {', '.join(DATASETS)}.")
    return DATASETS[name].load(data_dir)

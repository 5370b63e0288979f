"""MNIST and FashionMNIST in full: from the user's directory, else from torchvision's mirrors."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eigendrift.data import directory, download, idx
from eigendrift.data.samples import Samples, scaled
from eigendrift.errors import UserError

# sha256 of the unpacked files: mirrors may pack them anew, so digests of the .gz files would tell less.
# In the order of the fields of Samples.
DIGESTS = {
    "mnist": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
}


def load(
    name: str, data_dir: str | Path | None = None, *, pause: Callable[[float], None] = time.sleep
) -> Samples:
    """Load a data set of the MNIST family in full.

    Once a directory is named, by EIGENDRIFT_DATA or else by `data_dir`, no network is touched.

    Args:
        name: mnist or fashion_mnist.
        data_dir: holds a directory of that name, or the one that torchvision makes, with the four IDX files,
            gzipped or not.
        pause: waits that many seconds before downloading is tried again.

    Returns:
        60,000 training and 10,000 test samples of 28 x 28 pixels.

    Raises:
        UserError: the files are missing or not the true ones, or downloading them failed.
    """
    named = directory.data_directory(data_dir)
    arrays = _from_mirrors(name, pause) if named is None else _from_directory(name, named)
    train_images, train_labels, test_images, test_labels = arrays
    return Samples(
        scaled(train_images, 255),
        train_labels.astype(np.int64),
        scaled(test_images, 255),
        test_labels.astype(np.int64),
    )


def _from_directory(name: str, named: Path) -> list[NDArray[np.uint8]]:
    paths = directory.find_files(named, name, list(DIGESTS[name]))
    return [_read_file(name, path, file) for path, file in zip(paths, DIGESTS[name], strict=True)]


def _read_file(name: str, path: Path, file: str) -> NDArray[np.uint8]:
    try:
        return _read(name, file, path.read_bytes())
    except OSError as error:
        raise UserError(f"The file {path} cannot be read ({error.strerror}), so mend that.") from error
    except idx.IdxError as error:
        raise UserError(
            f"The file {path} {error}, so replace it with the original {file} of {name}, gzipped or not."
        ) from error


def _from_mirrors(name: str, pause: Callable[[float], None]) -> list[NDArray[np.uint8]]:
    import torchvision

    mirrors: list[str] = getattr(torchvision.datasets, directory.TORCHVISION_CLASSES[name]).mirrors
    try:
        return [
            download.fetch([f"{mirror}{file}.gz" for mirror in mirrors], partial(_read, name, file), pause)
            for file in DIGESTS[name]
        ]
    except download.DownloadError as error:
        raise UserError(
            f"The data set {name} could not be downloaded ({error}), so connect this machine to the network, "
            f"or name by {directory.VARIABLE} or data_dir a directory that holds "
            f"{directory.layout(name, list(DIGESTS[name]))}."
        ) from error


def _read(name: str, file: str, content: bytes) -> NDArray[np.uint8]:
    dimensions = 3 if "-idx3-" in file else 1
    return idx.read(content, dimensions, DIGESTS[name][file])

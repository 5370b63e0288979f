"""The user's own directory of IDX files: which one it is, and what is in it."""

import os
from pathlib import Path

from eigendrift.errors import UserError

VARIABLE = "EIGENDRIFT_DATA"
# torchvision names the folder of a data set like its class.
TORCHVISION_CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}


def data_directory(configured: str | Path | None) -> Path | None:
    """The directory that holds the user's own copies of data sets, if one is named.

    Args:
        configured: the configuration's `data_dir`.

    Returns:
        The directory that the environment variable EIGENDRIFT_DATA names, else `configured`, with ~
        expanded; None if neither names one (an empty string names none).
    """
    named = os.environ.get(VARIABLE) or configured
    return Path(named).expanduser() if named else None


def find_files(directory: Path, dataset: str, names: list[str]) -> list[Path]:
    """Find the files of a data set, each as it is or gzipped with `.gz` at the end of its name.

    They may be where this project puts them, in `mnist/`, or where torchvision does, in `MNIST/raw/`.

    Args:
        directory: Holds the folders of data sets.
        dataset: Name of the data set.
        names: Names of the files, without `.gz`.

    Returns:
        The path of each file, in the order of `names`.

    Raises:
        UserError: If the directory does not exist, or lacks a file.
    """
    # os.path and not Path, whose tests raise on what may not be looked into.
    if not os.path.isdir(directory):
        what = "is no directory" if os.path.exists(directory) else "does not exist"
        raise UserError(
            f"The data directory {directory} {what}, so create it with the files of {dataset} as "
            f"{layout(dataset, names)}, or name another one by {VARIABLE} or data_dir."
        )
    found = {name: _find_file(directory, dataset, name) for name in names}
    missing = [str(_gzipped(directory / dataset / name)) for name in names if found[name] is None]
    if missing:
        raise UserError(
            f"The data directory {directory} lacks {', '.join(missing)} (unpacked, or in torchvision's "
            f"folder {TORCHVISION_CLASSES[dataset]}/raw, would do as well), so put the original files of "
            f"{dataset} there, or unset {VARIABLE} and data_dir to download them."
        )
    return [path for path in found.values() if path is not None]


def _find_file(directory: Path, dataset: str, name: str) -> Path | None:
    folders = directory / dataset, directory / TORCHVISION_CLASSES[dataset] / "raw"
    paths = (path for folder in folders for path in (folder / name, _gzipped(folder / name)))
    return next(filter(os.path.isfile, paths), None)


def layout(dataset: str, names: list[str]) -> str:
    """Describe how the files of a data set have to lie in a data directory, for messages.

    Args:
        dataset: Name of the data set.
        names: Names of the files, without `.gz`.

    Returns:
        A text such as `mnist/{train-images-idx3-ubyte,train-labels-idx1-ubyte}.gz`.
    """
    return f"{dataset}/{{{','.join(names)}}}.gz"


def _gzipped(path: Path) -> Path:
    return path.with_name(f"{path.name}.gz")

"""The user's own directory of IDX files: which one it is, and what lies in it."""

import os
from pathlib import Path

from eigendrift.errors import UserError

VARIABLE = "EIGENDRIFT_DATA"


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
    """Where the files of a data set lie, each as it is or gzipped with `.gz` at the end of its name.

    Args:
        directory: holds one directory for each data set.
        dataset: name of the data set and of its directory.
        names: of the files, without `.gz`.

    Returns:
        The path of each file, in the order of `names`.

    Raises:
        UserError: the directory does not exist, or a file is missing there.
    """
    # os.path and not Path, whose tests raise on what may not be looked into.
    if not os.path.isdir(directory):
        what = "is no directory" if os.path.exists(directory) else "does not exist"
        raise UserError(
            f"The data directory {directory} {what}, so create it with the files of {dataset} as "
            f"{layout(dataset, names)}, or name another one by {VARIABLE} or data_dir."
        )
    plain = [directory / dataset / name for name in names]
    found = [next(filter(os.path.isfile, (path, _gzipped(path))), None) for path in plain]
    missing = [str(_gzipped(path)) for path, there in zip(plain, found, strict=True) if there is None]
    if missing:
        raise UserError(
            f"The data directory {directory} lacks {', '.join(missing)} (unpacked, without .gz, would do as "
            f"well), so put the original files of {dataset} there, or unset {VARIABLE} and data_dir to "
            "download them."
        )
    return [path for path in found if path is not None]


def layout(dataset: str, names: list[str]) -> str:
    """How the files of a data set must lie in a data directory, for messages.

    Args:
        dataset: name of the data set and of its directory.
        names: of the files, without `.gz`.

    Returns:
        Such as `mnist/{train-images-idx3-ubyte,train-labels-idx1-ubyte}.gz`.
    """
    return f"{dataset}/{{{','.join(names)}}}.gz"


def _gzipped(path: Path) -> Path:
    return path.with_name(f"{path.name}.gz")

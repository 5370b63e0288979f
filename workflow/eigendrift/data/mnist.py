"""MNIST and FashionMNIST in full: from the user's directory, otherwise from torchvision's mirrors."""

import gzip
import http.client
import logging
import math
import os
import struct
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eigendrift.data.samples import Samples, scaled
from eigendrift.digests import digest
from eigendrift.errors import UserError

logger = logging.getLogger(__name__)

Pause = Callable[[float], None]

VARIABLE = "EIGENDRIFT_DATA"
# torchvision names the folder of a data set after its class.
TORCHVISION_CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
# sha256 of the unpacked files, because a mirror may pack the same file in another way. In the order of the fields of
# Samples.
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
# Seconds before the second and the third round over all mirrors.
PAUSES = (2.0, 8.0)
# Seconds of silence; torchvision's own download would wait for a stalled mirror forever.
TIMEOUT = 30.0


class IdxError(ValueError):
    """Content that is not the expected IDX file; the message completes "this content ..."."""


class DownloadError(Exception):
    """No mirror served the file; the message lists the last failure of each."""


def load(name: str, data_dir: str | Path | None = None, *, pause: Pause = time.sleep) -> Samples:
    """Load a data set of the MNIST family in full.

    The network is used only if neither EIGENDRIFT_DATA nor `data_dir` names a directory.

    Args:
        name: mnist or fashion_mnist.
        data_dir: Directory with a folder of that name, or with the folder that torchvision creates, which has the four
            IDX files, gzipped or not.
        pause: Waits for a number of seconds before another attempt to download.

    Returns:
        60,000 training and 10,000 test samples of 28 x 28 pixels.

    Raises:
        UserError: If files are missing or differ from the published ones, or if the download failed.
    """
    directory = data_directory(data_dir)
    files = _from_mirrors(name, pause) if directory is None else _from_directory(name, directory)
    train_images, train_labels, test_images, test_labels = files
    return Samples(
        scaled(train_images, 255), train_labels.astype(np.int64), scaled(test_images, 255), test_labels.astype(np.int64)
    )


def data_directory(configured: str | Path | None) -> Path | None:
    """Return the directory in EIGENDRIFT_DATA, otherwise `configured`, with ~ expanded; None if neither names one."""
    named = os.environ.get(VARIABLE) or configured
    return Path(named).expanduser() if named else None


def find_files(directory: Path, dataset: str, names: list[str]) -> list[Path]:
    """Find the files of a data set, each either unpacked or gzipped, with `.gz` at the end of its name.

    They may be in the folder of this project, `mnist/`, or in torchvision's, `MNIST/raw/`.

    Args:
        directory: Directory with the folders of data sets.
        dataset: Name of the data set.
        names: Names of the files, without `.gz`.

    Returns:
        The path of each file, in the order of `names`.

    Raises:
        UserError: If the directory does not exist, or if a file is missing.
    """
    # os.path, because the methods of Path raise an error if a directory may not be read.
    if not os.path.isdir(directory):
        what = "is not a directory" if os.path.exists(directory) else "does not exist"
        raise UserError(
            f"The data directory {directory} {what}; create it with the files of {dataset} as "
            f"{layout(dataset, names)}, or name another one by {VARIABLE} or data_dir."
        )
    folders = directory / dataset, directory / TORCHVISION_CLASSES[dataset] / "raw"
    found = []
    missing = []
    for name in names:
        paths = (folder / file for folder in folders for file in (name, f"{name}.gz"))
        if path := next(filter(os.path.isfile, paths), None):
            found.append(path)
        else:
            missing.append(f"{folders[0] / name}.gz")
    if missing:
        raise UserError(
            f"The data directory {directory} lacks {', '.join(missing)} (or the same unpacked, or in "
            f"torchvision's folder {TORCHVISION_CLASSES[dataset]}/raw); put the original files of {dataset} "
            f"there, or unset {VARIABLE} and data_dir to download them."
        )
    return found


def layout(dataset: str, names: list[str]) -> str:
    """Return where files belong, such as `mnist/{train-images-idx3-ubyte,train-labels-idx1-ubyte}.gz`."""
    return f"{dataset}/{{{','.join(names)}}}.gz"


def _from_directory(name: str, directory: Path) -> list[NDArray[np.uint8]]:
    arrays = []
    for path, file in zip(find_files(directory, name, list(DIGESTS[name])), DIGESTS[name], strict=True):
        try:
            arrays.append(_read(name, file, path.read_bytes()))
        except OSError as error:
            raise UserError(f"The file {path} cannot be read ({error.strerror}); make it readable.") from error
        except IdxError as error:
            raise UserError(
                f"The file {path} {error}; replace it with the original {file} of {name}, gzipped or not."
            ) from error
    return arrays


def _from_mirrors(name: str, pause: Pause) -> list[NDArray[np.uint8]]:
    import torchvision

    mirrors: list[str] = getattr(torchvision.datasets, TORCHVISION_CLASSES[name]).mirrors
    try:
        return [
            _fetch([f"{mirror}{file}.gz" for mirror in mirrors], partial(_read, name, file), pause)
            for file in DIGESTS[name]
        ]
    except DownloadError as error:
        raise UserError(
            f"The data set {name} could not be downloaded ({error}); connect this machine to the network, or "
            f"name by {VARIABLE} or data_dir a directory with {layout(name, list(DIGESTS[name]))}."
        ) from error


def _read(name: str, file: str, content: bytes) -> NDArray[np.uint8]:
    return read_idx(content, 3 if "-idx3-" in file else 1, DIGESTS[name][file])


def _fetch(urls: Sequence[str], read: Callable[[bytes], NDArray[np.uint8]], pause: Pause) -> NDArray[np.uint8]:
    """Fetch and read a file from the first mirror that serves the right one.

    The content is never written to disk, so an interrupted download leaves nothing behind.

    Raises:
        DownloadError: If every mirror failed in every round.
    """
    failures: dict[str, str] = {}
    for wait in (*PAUSES, None):
        for url in urls:
            try:
                # Some mirrors refuse the default agent of urllib.
                request = urllib.request.Request(url, headers={"User-Agent": "eigendrift"})
                with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                    return read(response.read())
            except urllib.error.HTTPError as error:
                error.close()
                failures[url] = f"answered {error.code} {error.reason}"
            except (OSError, http.client.HTTPException) as error:
                cause = getattr(error, "reason", error)
                failures[url] = f"could not be read ({str(cause) or type(cause).__name__})"
            except ValueError as error:
                failures[url] = str(error)
            logger.warning("%s %s", url, failures[url])
        if wait is not None:
            pause(wait)
    raise DownloadError("; ".join(f"{url} {failure}" for url, failure in failures.items()))


def read_idx(content: bytes, dimensions: int, sha256: str) -> NDArray[np.uint8]:
    """Unpack, parse and verify the content of an IDX file of unsigned bytes.

    The format is two zero bytes, a byte for the number type, a byte for the number of dimensions, each dimension as a
    big-endian 32-bit integer, then the numbers in C order.

    Args:
        content: Content of the file, gzipped or not.
        dimensions: Number of dimensions that the array must have: 3 for images, 1 for labels.
        sha256: Hexadecimal digest that the unpacked content must have.

    Returns:
        uint8 array with the dimensions in the header, read-only.

    Raises:
        IdxError: If the gzip stream is corrupt, or if format, size or digest are wrong.
    """
    # Not by the name, because browsers and servers unpack .gz files and keep the name.
    is_gzipped = content.startswith(b"\x1f\x8b")
    try:
        plain = gzip.decompress(content) if is_gzipped else content
    except EOFError:
        raise IdxError("is a gzip file that ends too early") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise IdxError(f"is a corrupt gzip file ({error})") from None
    # 8 is the number type of unsigned bytes.
    magic = bytes([0, 0, 8, dimensions])
    if not plain.startswith(magic):
        raise IdxError(
            f"starts with {plain[: len(magic)]!r}, but an IDX file of unsigned bytes in {dimensions} "
            f"dimension(s) starts with {magic!r}"
        )
    start = len(magic) + 4 * dimensions
    if len(plain) < start:
        raise IdxError(f"ends after {len(plain)} bytes, within the IDX header of {start} bytes")
    shape = struct.unpack_from(f">{dimensions}I", plain, len(magic))
    expected = start + math.prod(shape)
    if len(plain) != expected:
        raise IdxError(f"has {len(plain)} bytes, but its IDX header of shape {shape} requires {expected}")
    if (found := digest(plain)) != sha256:
        raise IdxError(f"has sha256 {found} unpacked, but {sha256} was expected")
    return np.frombuffer(plain, np.uint8, offset=start).reshape(shape)

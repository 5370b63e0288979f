"""IDX, the format of the MNIST family: unpacking, parsing, and verifying content.

The layout: two zero bytes, a byte for the number type, a byte for the number of dimensions, each dimension
as a big-endian 32-bit integer, then the numbers in C order. Only unsigned bytes occur in the MNIST family.
"""

import gzip
import hashlib
import math
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 8


class IdxError(ValueError):
    """Content that is not the expected IDX file; the message completes "this content ..."."""


def read(content: bytes, dimensions: int, sha256: str) -> NDArray[np.uint8]:
    """Unpack, parse and verify the content of an IDX file.

    Args:
        content: what the file holds, gzipped or not.
        dimensions: how many the array must have: 3 for images, 1 for labels.
        sha256: hexadecimal digest that the unpacked content must have.

    Returns:
        uint8 array with the dimensions that the header names, read-only.

    Raises:
        IdxError: corrupt gzip, another format, wrong size or wrong digest.
    """
    plain = _unpack(content)
    array = _parse(plain, dimensions)
    found = hashlib.sha256(plain).hexdigest()
    if found != sha256:
        raise IdxError(f"has sha256 {found} unpacked, where {sha256} was expected")
    return array


def _unpack(content: bytes) -> bytes:
    # Told by content, not by name, because browsers and servers unpack .gz files and keep the name.
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except EOFError:
        raise IdxError("is a gzip file that ends too early") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise IdxError(f"is a corrupt gzip file ({error})") from None


def _parse(plain: bytes, dimensions: int) -> NDArray[np.uint8]:
    magic = bytes([0, 0, UNSIGNED_BYTE, dimensions])
    if not plain.startswith(magic):
        raise IdxError(
            f"starts with {plain[: len(magic)]!r}, where an IDX file of unsigned bytes in {dimensions} "
            f"dimension(s) starts with {magic!r}"
        )
    start = len(magic) + 4 * dimensions
    if len(plain) < start:
        raise IdxError(f"ends after {len(plain)} bytes, within the IDX header of {start}")
    shape = struct.unpack_from(f">{dimensions}I", plain, len(magic))
    promised = start + math.prod(shape)
    if len(plain) != promised:
        raise IdxError(f"has {len(plain)} bytes, where its IDX header of shape {shape} promises {promised}")
    return np.frombuffer(plain, np.uint8, offset=start).reshape(shape)

"""Reading IDX content: what is understood, and what each kind of damage is called."""

import gzip
import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from idx_helpers import idx_bytes

from eigendrift.data import idx

IMAGES = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
GOOD = idx_bytes(IMAGES)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@settings(deadline=None)  # the machine may be busy
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0)), st.booleans())
def test_reads_what_was_written(array: np.ndarray, packed: bool) -> None:
    content = idx_bytes(array)
    result = idx.read(gzip.compress(content) if packed else content, array.ndim, sha256(content))
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, array)


def test_handmade_bytes() -> None:
    content = bytes.fromhex("00000801 00000003 05 00 04")
    assert idx.read(content, 1, sha256(content)).tolist() == [5, 0, 4]


def test_dimensions_are_big_endian() -> None:
    content = bytes.fromhex("00000801 00000100") + bytes(256)
    assert idx.read(content, 1, sha256(content)).shape == (256,)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(GOOD)[:-12], "ends too early"),
        (gzip.compress(GOOD)[:-6] + b"\0" * 6, "corrupt gzip"),
        (gzip.compress(GOOD)[:10] + b"\xff" * 30, "corrupt gzip"),
        (b"<!DOCTYPE html><html>Sign in to this network</html>", "starts with b'<!DO'"),
        (gzip.compress(b"<!DOCTYPE html>"), "starts with b'<!DO'"),
        (b"", "starts with b''"),
        (idx_bytes(IMAGES[0, 0]), r"starts with b'\\x00\\x00\\x08\\x01'.*3 dimension"),
        (struct.pack(">2xBB3I", 9, 3, 4, 2, 3) + bytes(24), "unsigned bytes"),
        (GOOD[:9], "ends after 9 bytes"),
        (GOOD[:-1], r"has 39 bytes.*\(4, 2, 3\) promises 40"),
        (GOOD + b"\0", "has 41 bytes"),
        (GOOD[:-1] + b"\xff", "has sha256"),
    ],
    # Gzipped content holds the time of day, so names made of it would differ between workers.
    ids=[
        "truncated gzip",
        "gzip with a wrong checksum",
        "gzip with broken blocks",
        "html",
        "gzipped html",
        "empty",
        "labels for images",
        "another number type",
        "header cut",
        "one byte short",
        "one byte long",
        "one byte changed",
    ],
)
def test_damage_has_a_name(content: bytes, words: str) -> None:
    with pytest.raises(idx.IdxError, match=words):
        idx.read(content, 3, sha256(GOOD))

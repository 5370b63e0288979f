"""Checksums by which damage to manifests, stores and tables is noticed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eigendrift.digests import digest, digest_json
from eigendrift.errors import UserError
from eigendrift.stores.files import how_to_rebuild, write_file

CHECKSUM = "checksum"


def with_checksum(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a manifest together with a digest of all of it."""
    return {**content, CHECKSUM: digest_json(content)}


def is_intact(content: Mapping[str, Any]) -> bool:
    """Return whether the content of a manifest matches its checksum."""
    others = {key: value for key, value in content.items() if key != CHECKSUM}
    return content.get(CHECKSUM) == digest_json(others)


def metadata_digest(store: Path) -> str:
    """Return the digest of a zarr store's metadata: attributes, and shape, type and codecs of every array.

    Chunks have checksums of their own.

    Raises:
        OSError: If there is no zarr store.
    """
    return digest((store / "zarr.json").read_bytes())


def chunk_digests(array: Path) -> dict[str, str]:
    """Return the digests of a zarr array's chunks on disk, by their keys, such as ``c/0/0``.

    The checksum inside a chunk does not say which chunk it is.
    """
    chunks = (path for path in sorted((array / "c").rglob("*")) if path.is_file())
    return {path.relative_to(array).as_posix(): digest(path.read_bytes()) for path in chunks}


def checksum_path(path: Path) -> Path:
    """Return the path of the digest of a table or record that a later stage reads: next to the file."""
    return path.with_name(f"{path.name}.sha256")


def write_checksummed(path: Path, content: str) -> None:
    """Write a file, and next to it its digest in the format of ``sha256sum --check``.

    Raises:
        UserError: If the disk is full.
    """
    write_file(path, content)
    write_file(checksum_path(path), _checksum_line(path, content.encode()))


def read_checksummed(path: Path) -> str:
    """Return the content of a file that `write_checksummed` wrote.

    Raises:
        UserError: If the file or its digest is missing, or if the content has changed.
    """
    checksum = checksum_path(path)
    try:
        content = path.read_bytes()
        intact = checksum.read_bytes() == _checksum_line(path, content).encode()
    except OSError:
        intact = False
    if not intact:
        raise UserError(f"{path} or its digest {checksum} is damaged or missing; {how_to_rebuild(path, checksum)}.")
    return content.decode()


def _checksum_line(path: Path, content: bytes) -> str:
    return f"{digest(content)}  {path.name}\n"

"""Digests that tell whole manifests, stores and tables from damaged ones."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eigendrift.errors import UserError
from eigendrift.stores.files import how_to_rebuild, write_file

CHECKSUM = "seal"


def digest_of(content: Any) -> str:
    """Digest plain JSON values; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a manifest with a digest of all of it."""
    return {**content, CHECKSUM: digest_of(content)}


def is_whole(content: Mapping[str, Any]) -> bool:
    """Tell whether a manifest is what was sealed."""
    return content.get(CHECKSUM) == digest_of(
        {key: value for key, value in content.items() if key != CHECKSUM}
    )


def metadata_digest(store: Path) -> str:
    """Digest what a zarr store says of itself: attributes, and shape, type and codecs of every array.

    Chunks carry checksums of their own.

    Raises:
        OSError: There is no zarr store.
    """
    return hashlib.sha256((store / "zarr.json").read_bytes()).hexdigest()


def chunk_digests(array: Path) -> dict[str, str]:
    """Digest the chunks of a zarr array as they lie on disk, by their keys, such as ``c/0/0``.

    The checksum that a chunk carries does not tell whose chunk it is.
    """
    chunks = (path for path in sorted((array / "c").rglob("*")) if path.is_file())
    return {
        path.relative_to(array).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in chunks
    }


def checksum_path(path: Path) -> Path:
    """Return where the digest of a table or record that a later stage reads lies: beside it."""
    return path.with_name(f"{path.name}.sha256")


def write_checksummed(path: Path, content: str) -> None:
    """Write a file, and beside it its digest, as ``sha256sum --check`` reads it.

    Raises:
        UserError: There is no room for it.
    """
    write_file(path, content)
    write_file(checksum_path(path), _checksum_of(path, content.encode()))


def read_checksummed(path: Path) -> str:
    """Return the content of a file that `write_checksummed` wrote.

    Raises:
        UserError: It or its digest is missing, or it is not what was written.
    """
    seal = checksum_path(path)
    try:
        content = path.read_bytes()
        whole = seal.read_bytes() == _checksum_of(path, content).encode()
    except OSError:
        whole = False
    if not whole:
        raise UserError(
            f"{path} is damaged or missing, or its digest in {seal} is; {how_to_rebuild(path, seal)}."
        )
    return content.decode()


def _checksum_of(path: Path, content: bytes) -> str:
    return f"{hashlib.sha256(content).hexdigest()}  {path.name}\n"

"""Checksums by which damage to tables and records is noticed."""

from pathlib import Path

from eigendrift.digests import digest
from eigendrift.errors import UserError
from eigendrift.stores.files import how_to_rebuild, write_file


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

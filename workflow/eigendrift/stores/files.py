"""Files and directories that are written completely or not at all."""

import errno
import json
import os
import platform
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from eigendrift import __version__
from eigendrift.errors import UserError

NUMERICAL_PACKAGES = ("numpy", "scipy", "torch", "zarr")
FULL = (errno.ENOSPC, errno.EDQUOT)
# What a directory, or a file of a few bytes, takes in most file systems.
BLOCK = 4096


def manifest_path(store: Path) -> Path:
    """Return the path of a store's manifest: next to the store, ending in .json."""
    return store.with_suffix(".json")


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that compute the numbers and are installed here."""
    return {
        "eigendrift": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in NUMERICAL_PACKAGES if find_spec(package)},
    }


def json_text(content: Any) -> str:
    """Return the text of a JSON file."""
    return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file. A reader sees the old file or the new one, never a part."""
    write_file(path, json_text(content))


def write_file(path: Path, content: str | bytes | memoryview, *, lasting: bool = True) -> None:
    """Write a file. A reader sees the old file or the new one, never a part.

    Args:
        path: Path of the file.
        content: Bytes, or text, which is written in UTF-8.
        lasting: Whether to wait until the file would survive a crash of the machine, which takes time.

    Raises:
        UserError: If the disk is full.
    """
    encoded = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.partial")
    with room_for(path, len(encoded)):
        try:
            with temporary.open("wb") as file:
                file.write(encoded)
                file.flush()
                if lasting:
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def how_to_rebuild(*paths: Path, what: str = "it") -> str:
    """Return the end of a sentence that says how to rebuild files and stores."""
    return f"to rebuild {what}, run `rm -rf {shlex.join(map(str, paths))}` and then snakemake again"


@contextmanager
def room_for(path: Path, size: int) -> Iterator[None]:
    """Turn the error of a full disk into one that names the file or store that did not fit.

    Args:
        path: The file or store that is written in the scope.
        size: Bytes that it takes at most.

    Raises:
        UserError: If the file system is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        free = shutil.disk_usage(next(parent for parent in path.absolute().parents if parent.exists())).free
        raise UserError(
            f"There is no room for {path}, which takes up to {_amount(size)}: its file system has "
            f"{_amount(free)} left; free some space and run snakemake again to resume from what is finished."
        ) from None


def _amount(size: int) -> str:
    """Return a number of bytes for readers."""
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size / 2**10:,.1f} KiB"


def make_directory(path: Path) -> None:
    """Create a directory and its parents unless they exist.

    Raises:
        UserError: If the disk is full.
    """
    with room_for(path, BLOCK):
        path.mkdir(parents=True, exist_ok=True)


def publish_directory(built: Path, final: Path) -> None:
    """Move a finished directory to its final place and replace what was there."""
    replaced = final.with_name(f".{final.name}.replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if final.exists():
        # Deleting a directory takes several steps, and a kill would leave a part of it in the final place.
        final.rename(replaced)
    built.rename(final)
    shutil.rmtree(replaced, ignore_errors=True)

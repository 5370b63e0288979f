"""Files and directories that appear whole or not at all."""

import json
import os
import platform
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from eigendrift import __version__

NUMERICAL_PACKAGES = ("numpy", "scipy", "torch", "zarr")


def manifest_path(store: Path) -> Path:
    """Return where the manifest of a store lies: beside it, with the ending .json."""
    return store.with_suffix(".json")


def package_versions() -> dict[str, str]:
    """Return the versions of what computes the numbers, as far as the stage's environment has it."""
    return {
        "eigendrift": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in NUMERICAL_PACKAGES if find_spec(package)},
    }


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.partial")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, allow_nan=False, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def publish_directory(built: Path, final: Path) -> None:
    """Move a finished directory to its final place, in place of what stood there."""
    replaced = final.with_name(f".{final.name}.replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if final.exists():
        # A directory cannot be deleted at once: a kill would leave a part of it in the final place.
        final.rename(replaced)
    built.rename(final)
    shutil.rmtree(replaced, ignore_errors=True)

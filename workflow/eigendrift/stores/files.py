"""Files and directories that appear whole or not at all."""

import json
import os
import shutil
from pathlib import Path
from typing import Any


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
    if final.exists():
        shutil.rmtree(final)
    built.rename(final)

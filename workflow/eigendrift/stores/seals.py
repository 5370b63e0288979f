"""Digests that tell a whole manifest and a whole store from damaged ones."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SEAL = "seal"


def digest_of(content: Any) -> str:
    """Digest plain JSON values; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a manifest with a digest of all of it."""
    return {**content, SEAL: digest_of(content)}


def is_whole(content: Mapping[str, Any]) -> bool:
    """Tell whether a manifest is what was sealed."""
    return content.get(SEAL) == digest_of({key: value for key, value in content.items() if key != SEAL})


def metadata_digest(store: Path) -> str:
    """Digest what a zarr store says of itself: attributes, and shape, type and codecs of every array.

    Chunks carry checksums of their own.

    Raises:
        OSError: There is no zarr store.
    """
    return hashlib.sha256((store / "zarr.json").read_bytes()).hexdigest()

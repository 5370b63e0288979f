"""SHA-256 digests of bytes and of JSON values."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

Bytes = bytes | memoryview


def digest(content: Bytes) -> str:
    """Return the SHA-256 digest of some bytes, in hexadecimal."""
    return digest_parts([content])


def digest_parts(parts: Iterable[Bytes]) -> str:
    """Return the digest of the parts one after another, which need not be in memory at once."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()


def digest_json(content: Any) -> str:
    """Return the digest of plain JSON values; the order of keys does not matter."""
    return digest(json.dumps(content, sort_keys=True).encode())

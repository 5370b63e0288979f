"""One order for the keys of a configuration."""

from typing import Any


def ordered(value: Any) -> Any:
    """Return a configuration with its keys in alphabetical order at every level; lists keep theirs.

    Settings become parameters of jobs and parts of manifests, where another order would look like a change.
    """
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [ordered(item) for item in value]
    return value

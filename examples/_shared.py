"""A helper for plug-ins: files whose names start with '_' are not loaded as plug-ins."""


def halves(count: int) -> int:
    """Return the larger half of a number."""
    return count - count // 2

"""What two plug-ins share: a name that starts with '_' makes no plug-in of its own."""


def halves(count: int) -> int:
    """Return the larger half of a number."""
    return count - count // 2

"""Figures that `make test-system` prints at its end, such as how many kills were survived."""

FIGURES: dict[str, int] = {}


def count(what: str, number: int = 1) -> None:
    FIGURES[what] = FIGURES.get(what, 0) + number

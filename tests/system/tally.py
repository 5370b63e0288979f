"""What `make test-system` prints at its end: figures, such as how many kills were survived, and texts."""

FIGURES: dict[str, int] = {}
SHOWN: list[str] = []


def count(what: str, number: int = 1) -> None:
    FIGURES[what] = FIGURES.get(what, 0) + number


def show(text: str) -> None:
    SHOWN.append(text)

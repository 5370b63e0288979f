"""Numbers and texts that `make test-all` prints at the end, such as the number of survived kills."""

FIGURES: dict[str, int] = {}
SHOWN: list[str] = []


def count(what: str, number: int = 1) -> None:
    FIGURES[what] = FIGURES.get(what, 0) + number


def show(text: str) -> None:
    SHOWN.append(text)

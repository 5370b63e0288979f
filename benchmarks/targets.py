"""Targets for eigendrift, and whether they are met."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby

from benchmarks.methods import EIGENDRIFT, EIGENDRIFT_TOGETHER, METHODS, PYHESSIAN
from benchmarks.rows import Row

# How many times faster than the fastest peer eigendrift should be, if both are accurate and complete.
FASTER_THAN_PEERS = {"small": 3.0, "large": 1.7}
# The same target for many checkpoints together on a GPU, compared with peers that decompose one at a time.
FASTER_TOGETHER = {"small": 10.0}
FASTER_THAN_PYHESSIAN = {"small": 10.0}
OF_THE_BOUND = {"small": 0.6, "large": 0.8}

PEERS = [method.name for method in METHODS if method.attainable and method not in (EIGENDRIFT, EIGENDRIFT_TOGETHER)]
WITH_OWN_PRODUCTS = [method.name for method in METHODS if method.name in PEERS and not method.borrows]


@dataclass(frozen=True)
class Target:
    """One target on one checkpoint and k.

    Attributes:
        problem: Name of the problem.
        k: Eigenpairs.
        text: What the target is.
        wanted: The value to reach.
        value: The measured value; None if there is none.
        is_bound: Whether the true value may be larger because a peer was stopped.
    """

    problem: str
    k: int
    text: str
    wanted: float
    value: float | None
    is_bound: bool = False

    @property
    def verdict(self) -> str:
        """Whether the target is met."""
        if self.value is None:
            return "no value"
        if self.value >= self.wanted:
            return "met"
        return "not decided" if self.is_bound else "not met"


def judge_targets(rows: Iterable[Row]) -> list[Target]:
    """Return every target on every checkpoint that it is set for, with its measured value."""
    targets = []
    for (problem, k), group in groupby(rows, key=lambda row: (row.problem, row.k)):
        cell = list(group)
        network = problem.split("-")[0]
        measured = {row.method for row in cell}
        for text, wanted, method, measure in _MEASURES:
            if network in wanted and method in measured:
                targets.append(Target(problem, k, text, wanted[network], *measure(cell)))
    return targets


def _over_fastest(cell: list[Row], names: list[str], method: str = EIGENDRIFT.name) -> tuple[float | None, bool]:
    """Return how many times faster a method is than the fastest accurate and complete one among ``names``."""
    finished = [row.seconds for row in cell if row.method in names and row.seconds and _full(row)]
    stopped = [row.at_least for row in cell if row.method in names and row.at_least]
    return _speed_up(_of(method, cell), finished, stopped)


def _over_pyhessian(cell: list[Row]) -> tuple[float | None, bool]:
    """Return how many times faster eigendrift is than PyHessian, even if PyHessian's result is inaccurate."""
    theirs = [row for row in cell if row.method == PYHESSIAN.name]
    finished = [row.seconds for row in theirs if row.seconds]
    return _speed_up(_of(EIGENDRIFT.name, cell), finished, [row.at_least for row in theirs if row.at_least])


def _speed_up(own: Row, finished: list[float], stopped: list[float]) -> tuple[float | None, bool]:
    if own.seconds is None or not _full(own) or not finished + stopped:
        return None, False
    fastest = min(finished + stopped)
    return fastest / own.seconds, fastest not in finished


def _share_of_bound(cell: list[Row]) -> tuple[float | None, bool]:
    own = _of(EIGENDRIFT.name, cell)
    return (own.of_bound if _full(own) else None), False


def _of(method: str, cell: list[Row]) -> Row:
    return next(row for row in cell if row.method == method)


def _full(row: Row) -> bool:
    return row.accurate and row.complete


Measure = Callable[[list[Row]], tuple[float | None, bool]]
# The text of each target, the value to reach by network, the method that is judged, and how it is measured.
_MEASURES: tuple[tuple[str, dict[str, float], str, Measure], ...] = (
    (
        "times faster than the fastest peer",
        FASTER_THAN_PEERS,
        EIGENDRIFT.name,
        lambda cell: _over_fastest(cell, PEERS),
    ),
    (
        "times faster than the fastest peer with its own products",
        FASTER_THAN_PEERS,
        EIGENDRIFT.name,
        lambda cell: _over_fastest(cell, WITH_OWN_PRODUCTS),
    ),
    (
        "times faster per checkpoint, many together, than the fastest peer with its own products",
        FASTER_TOGETHER,
        EIGENDRIFT_TOGETHER.name,
        lambda cell: _over_fastest(cell, WITH_OWN_PRODUCTS, EIGENDRIFT_TOGETHER.name),
    ),
    (
        "times faster than PyHessian at its looser result",
        FASTER_THAN_PYHESSIAN,
        EIGENDRIFT.name,
        _over_pyhessian,
    ),
    ("of the bound", OF_THE_BOUND, EIGENDRIFT.name, _share_of_bound),
)

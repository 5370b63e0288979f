"""What ours is meant to reach, and whether it does."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby

from benchmarks.methods import METHODS, OURS, OURS_TOGETHER, PYHESSIAN
from benchmarks.rows import Row

# How many times faster than the fastest peer, at the same residual and complete.
FASTER_THAN_PEERS = {"small": 3.0, "large": 1.7}
# The same with many checkpoints together, on a GPU, over those that take them one by one.
FASTER_TOGETHER = {"small": 10.0}
FASTER_THAN_PYHESSIAN = {"small": 10.0}
OF_THE_BOUND = {"small": 0.6, "large": 0.8}

PEERS = [method.name for method in METHODS if method.attainable and method not in (OURS, OURS_TOGETHER)]
WHOLLY_OTHER = [method.name for method in METHODS if method.name in PEERS and not method.borrows]


@dataclass(frozen=True)
class Target:
    """One target on one checkpoint and k.

    Attributes:
        problem: Name of the problem.
        k: Eigenpairs.
        text: What is meant to be.
        wanted: The value to reach.
        value: The value; None if there is none.
        is_bound: Whether the true value may be larger, because a peer was stopped.
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
    """Judge all targets on all checkpoints that they are set for."""
    targets = []
    for (problem, k), group in groupby(rows, key=lambda row: (row.problem, row.k)):
        cell = list(group)
        network = problem.split("-")[0]
        measured = {row.method for row in cell}
        for text, wanted, ours, measure in _MEASURES:
            if network in wanted and ours in measured:
                targets.append(Target(problem, k, text, wanted[network], *measure(cell)))
    return targets


def _over_fastest(cell: list[Row], names: list[str], ours: str = OURS.name) -> tuple[float | None, bool]:
    """Return how many times faster one of ours is than the fastest of some methods that gave the same."""
    finished = [row.seconds for row in cell if row.method in names and row.seconds and _full(row)]
    stopped = [row.at_least for row in cell if row.method in names and row.at_least]
    return _speed_up(_of(ours, cell), finished, stopped)


def _over_pyhessian(cell: list[Row]) -> tuple[float | None, bool]:
    """Return how many times faster ours is than PyHessian, however loose its result."""
    theirs = [row for row in cell if row.method == PYHESSIAN.name]
    finished = [row.seconds for row in theirs if row.seconds]
    return _speed_up(_of(OURS.name, cell), finished, [row.at_least for row in theirs if row.at_least])


def _speed_up(ours: Row, finished: list[float], stopped: list[float]) -> tuple[float | None, bool]:
    if ours.seconds is None or not _full(ours) or not finished + stopped:
        return None, False
    fastest = min(finished + stopped)
    return fastest / ours.seconds, fastest not in finished


def _share_of_bound(cell: list[Row]) -> tuple[float | None, bool]:
    ours = _of(OURS.name, cell)
    return (ours.of_bound if _full(ours) else None), False


def _of(method: str, cell: list[Row]) -> Row:
    return next(row for row in cell if row.method == method)


def _full(row: Row) -> bool:
    return row.accurate and row.complete


Measure = Callable[[list[Row]], tuple[float | None, bool]]
# What is meant, the value to reach by network, the method of ours that is judged, and how.
_MEASURES: tuple[tuple[str, dict[str, float], str, Measure], ...] = (
    (
        "times faster than the fastest peer",
        FASTER_THAN_PEERS,
        OURS.name,
        lambda cell: _over_fastest(cell, PEERS),
    ),
    (
        "times faster than the fastest that does not compute with our products",
        FASTER_THAN_PEERS,
        OURS.name,
        lambda cell: _over_fastest(cell, WHOLLY_OTHER),
    ),
    (
        "times faster for each checkpoint, many together, than those with products of their own",
        FASTER_TOGETHER,
        OURS_TOGETHER.name,
        lambda cell: _over_fastest(cell, WHOLLY_OTHER, OURS_TOGETHER.name),
    ),
    (
        "times faster than PyHessian at its looser result",
        FASTER_THAN_PYHESSIAN,
        OURS.name,
        _over_pyhessian,
    ),
    ("of the bound", OF_THE_BOUND, OURS.name, _share_of_bound),
)

"""Growth of eigendrift's time with the network, the sample and the number of pairs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.compare import Settings, report
from benchmarks.methods import EIGENDRIFT
from benchmarks.problems import Checkpoint, Problem, make_checkpoint
from benchmarks.worker import Failure, Worker


@dataclass(frozen=True)
class Series:
    """Three series of measurements. Each series varies one quantity and keeps the others fixed.

    Attributes:
        base: The problem. Each series varies at most one of its properties.
        count: k in the series that do not vary it.
        widths: Widths of both hidden layers, in the first series.
        samples: Sizes of the Hessian's sample, in the second series.
        counts: Values of k, in the third series.
    """

    base: Problem
    count: int
    widths: tuple[int, ...]
    samples: tuple[int, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class GrowthRow:
    """One measurement of eigendrift.

    Attributes:
        axis: The quantity that is varied: ``parameters``, ``samples`` or ``k``.
        network: Widths of all layers.
        parameters: Number of parameters, N.
        dataset: Name of the data set.
        samples: Size of the Hessian's sample.
        k: Number of eigenpairs requested.
        repeats: Number of runs.
        seconds: Median over the runs; None if a run was stopped or failed.
        products: Hessian-vector products used.
    """

    axis: str
    network: str
    parameters: int
    dataset: str
    samples: int
    k: int
    repeats: int = 0
    seconds: float | None = None
    products: int | None = None


def full_series(dataset: str, samples: int) -> Series:
    """Return the series of the full benchmark, with samples of up to all ``samples`` images of ``dataset``."""
    return Series(
        base=Problem("growth", dataset, (32, 32), 4_000),
        count=3,
        widths=(8, 16, 32, 64, 128, 256, 512),
        samples=tuple(size for size in (1_000, 2_000, 4_000, 15_000, 60_000) if size <= samples),
        counts=(1, 2, 3, 5, 8, 15, 30),
    )


QUICK_SERIES = Series(
    base=Problem("growth", "digits", (4, 4), 200, steps=50),
    count=2,
    widths=(8,),
    samples=(100,),
    counts=(1, 2),
)


def measure_growth(series: Series, folder: Path, settings: Settings) -> list[GrowthRow]:
    """Measure all series, one after another."""
    rows = []
    for axis, problem, counts in _steps(series):
        checkpoint = make_checkpoint(problem, folder)
        worker = Worker(checkpoint, EIGENDRIFT.name, settings.device, settings.threads)
        try:
            rows += [_measure(axis, checkpoint, count, worker, settings) for count in counts]
        finally:
            worker.stop()
    return rows


def _steps(series: Series) -> Iterator[tuple[str, Problem, tuple[int, ...]]]:
    for width in series.widths:
        yield "parameters", replace(series.base, hidden=(width, width)), (series.count,)
    for samples in series.samples:
        yield "samples", replace(series.base, samples=samples), (series.count,)
    yield "k", series.base, series.counts


def _measure(axis: str, checkpoint: Checkpoint, count: int, worker: Worker, settings: Settings) -> GrowthRow:
    problem = checkpoint.problem
    row = GrowthRow(axis, checkpoint.network, checkpoint.parameters, problem.dataset, problem.samples, count)
    runs = [worker.run(count, settings.limit) for _ in range(settings.repeats)]
    seconds = [run.seconds for run in runs if not isinstance(run, Failure)]
    last = runs[-1]
    if isinstance(last, Failure) or len(seconds) < len(runs):
        return row
    at = f"N = {row.parameters:,}, {row.samples:,} samples, k = {count}"
    report(f"growth with {axis}, {at}: {median(seconds):.3g} s")
    return replace(row, repeats=len(runs), seconds=median(seconds), products=last.answer.products)

"""Comparison of all methods on one checkpoint, with interleaved runs."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TypeGuard

import torch

from benchmarks.bound import matrix_product_rate, product_operations
from benchmarks.judge import Judge, Reference, Verdict
from benchmarks.methods import EIGENDRIFT, METHODS, Method
from benchmarks.problems import Checkpoint
from benchmarks.rows import Row, with_ratios
from benchmarks.worker import MIB, Failure, Run, Worker

Results = dict[str, list[Run | Failure]]


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        device: ``cpu`` or ``cuda``.
        threads: CPU threads of each method.
        repeats: Runs of each method.
        budget: Seconds after which a method is not repeated.
        limit: Seconds after which a run is stopped.
        together: Whether to also time the method that decomposes several checkpoints together, which is meant for GPUs.
    """

    device: str
    threads: int
    repeats: int
    budget: float
    limit: float
    together: bool


def compare(checkpoint: Checkpoint, counts: Sequence[int], settings: Settings) -> list[Row]:
    """Return the rows of all methods that apply to a checkpoint, for numbers of pairs in ascending order."""
    methods = [
        method
        for method in METHODS
        if checkpoint.parameters <= method.largest and (settings.together or method.checkpoints == 1)
    ]
    report(f"{checkpoint.problem.name}: float64 reference")
    judge = Judge(checkpoint, torch.device(settings.device))
    reference = judge.reference(max(counts))
    workers = {name: _worker(checkpoint, name, settings) for name in (method.name for method in methods)}
    stopped: dict[str, Failure] = {}
    rows = []
    try:
        for worker in workers.values():
            worker.wait()
        for count in counts:
            rates: list[float] = []
            results = _measure(workers, count, settings, stopped, rates)
            stopped |= {name: last for name, (*_, last) in results.items() if _is_over(last)}
            solved = [solved_row(checkpoint, method, count, results[method.name]) for method in methods]
            judged = [_judged(row, results[row.method], judge, reference) if row.repeats else row for row in solved]
            operations = product_operations(checkpoint.widths, checkpoint.problem.samples)
            rows += with_ratios(judged, operations, median(rates))
    finally:
        for worker in workers.values():
            worker.stop()
    return rows


def interleave(names: Sequence[str], solve: Callable[[str], Run | Failure], repeats: int, budget: float) -> Results:
    """Run all methods in rounds, so that a disturbance of the machine affects all of them equally.

    A method drops out when it fails, or when another run as long as its last would exceed its budget of seconds.
    """
    results: Results = {name: [] for name in names}
    for _ in range(repeats):
        for name in names:
            done = results[name]
            if not done or _may_go_on(done, budget):
                done.append(solve(name))
    return results


def _may_go_on(done: list[Run | Failure], budget: float) -> bool:
    spent = sum(run.seconds for run in done)
    return spent + done[-1].seconds <= budget and not isinstance(done[-1], Failure)


def _is_over(result: Run | Failure) -> TypeGuard[Failure]:
    return isinstance(result, Failure) and result.seconds < float("inf")


def _worker(checkpoint: Checkpoint, method: str, settings: Settings) -> Worker:
    return Worker(checkpoint, method, settings.device, settings.threads)


def _measure(
    workers: dict[str, Worker],
    count: int,
    settings: Settings,
    stopped: dict[str, Failure],
    rates: list[float],
) -> Results:
    """Time all methods, and measure the machine's rate before each run of eigendrift."""

    def solve(name: str) -> Run | Failure:
        if name == EIGENDRIFT.name:
            rates.append(matrix_product_rate(torch.device(settings.device), settings.threads))
        # More pairs take longer, so a method that was stopped for fewer pairs is not tried again.
        result = stopped[name] if name in stopped else workers[name].run(count, settings.limit)
        shown = result.reason if isinstance(result, Failure) else f"{result.seconds:.3g} s"
        report(f"k = {count}, {name}: {shown}")
        return result

    return interleave(list(workers), solve, settings.repeats, settings.budget)


def solved_row(checkpoint: Checkpoint, method: Method, count: int, results: list[Run | Failure]) -> Row:
    """Return the row of a method before its answers are judged, with the seconds per checkpoint."""
    problem = checkpoint.problem
    row = Row(
        problem=problem.name,
        network=checkpoint.network,
        parameters=checkpoint.parameters,
        dataset=problem.dataset,
        samples=problem.samples,
        k=count,
        method=method.name,
        version=method.version,
    )
    runs = [result for result in results if isinstance(result, Run)]
    failure = next((result for result in results if isinstance(result, Failure)), None)
    if failure is not None:
        # A method that fails once is unreliable, so its other runs do not count.
        at_least = failure.seconds / method.checkpoints if _is_over(failure) else None
        return replace(row, note=failure.reason, at_least=at_least)
    seconds = [run.seconds / method.checkpoints for run in runs]
    return replace(
        row,
        repeats=len(runs),
        seconds=median(seconds),
        fastest=min(seconds),
        slowest=max(seconds),
        products=runs[-1].answer.products,
        memory_mib=max(run.memory for run in runs) / MIB,
    )


def _judged(row: Row, results: list[Run | Failure], judge: Judge, reference: Reference) -> Row:
    """Add the verdict on the last run, which represents all runs: they start from the same random vectors."""
    last = results[-1]
    assert isinstance(last, Run)
    verdict: Verdict = judge.verdict(last.answer, reference)
    if verdict.reference_is_incomplete:
        report(f"{row.problem}, k = {row.k}: {row.method} found a pair that the float64 reference misses")
    return replace(
        row,
        residual=verdict.residual,
        shortfall=verdict.missing,
        overlap=verdict.overlap,
        accurate=verdict.accurate,
        complete=verdict.complete,
        note="found a pair that the reference misses" if verdict.reference_is_incomplete else "",
    )


def report(message: str) -> None:
    """Print a progress message to stderr."""
    print(message, file=sys.stderr, flush=True)

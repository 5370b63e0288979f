"""Rows of the benchmark's table."""

from dataclasses import dataclass, replace

from benchmarks.methods import EIGENDRIFT


@dataclass(frozen=True)
class Row:
    """One row of the table, for a method, a checkpoint and a number of eigenpairs; missing values are None.

    Attributes:
        problem: Name of the problem.
        network: Widths of all layers.
        parameters: Number of parameters, N.
        dataset: Name of the data set.
        samples: Size of the Hessian's sample.
        k: Number of eigenpairs requested.
        method: Name of the method.
        version: Version of the method's library.
        repeats: Number of runs.
        seconds: Median time over the runs; None if a run was stopped.
        fastest: Time of the fastest run.
        slowest: Time of the slowest run.
        at_least: Seconds after which a run was stopped.
        products: Hessian-vector products used.
        residual: `benchmarks.judge.Verdict.residual`.
        shortfall: `benchmarks.judge.Verdict.missing`.
        overlap: `benchmarks.judge.Verdict.overlap`.
        accurate: Whether the residual meets the tolerance.
        complete: Whether these are the k leading pairs.
        memory_mib: Peak memory in addition to the network, the sample and the libraries.
        rate: Floating-point operations per second of matrix products, measured between the runs.
        bound: Seconds that eigendrift's number of products takes at this rate.
        fewest_bound: Seconds that the fewest products of any accurate and complete method take at this rate.
        times_eigendrift: Seconds of the method divided by eigendrift's seconds.
        of_bound: ``bound`` divided by the seconds of the method.
        of_fewest_bound: ``fewest_bound`` divided by the seconds of the method.
        note: Why there is no value.
    """

    problem: str
    network: str
    parameters: int
    dataset: str
    samples: int
    k: int
    method: str
    version: str
    repeats: int = 0
    seconds: float | None = None
    fastest: float | None = None
    slowest: float | None = None
    at_least: float | None = None
    products: int | None = None
    residual: float | None = None
    shortfall: float | None = None
    overlap: float | None = None
    accurate: bool = False
    complete: bool = False
    memory_mib: float | None = None
    rate: float | None = None
    bound: float | None = None
    fewest_bound: float | None = None
    times_eigendrift: float | None = None
    of_bound: float | None = None
    of_fewest_bound: float | None = None
    note: str = ""


def with_ratios(rows: list[Row], operations: int, rate: float) -> list[Row]:
    """Return rows with ratios, which compare the methods of one checkpoint and k with each other and the machine.

    Args:
        rows: One row for each method; one of the methods must be eigendrift.
        operations: Floating-point operations of one product.
        rate: Floating-point operations per second of matrix products.
    """
    own = next(row for row in rows if row.method == EIGENDRIFT.name)
    counted = [row.products for row in rows if row.accurate and row.complete and row.products]
    bound = own.products * operations / rate if own.products else None
    fewest = min(counted) * operations / rate if counted else None
    return [
        replace(
            row,
            rate=rate,
            bound=bound,
            fewest_bound=fewest,
            times_eigendrift=_ratio(row.seconds, own.seconds),
            of_bound=_ratio(bound, row.seconds),
            of_fewest_bound=_ratio(fewest, row.seconds),
        )
        for row in rows
    ]


def _ratio(numerator: float | None, denominator: float | None) -> float | None:
    return None if numerator is None or denominator is None else numerator / denominator

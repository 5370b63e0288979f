"""The lines of the table."""

from dataclasses import dataclass, replace

from benchmarks.methods import OURS


@dataclass(frozen=True)
class Row:
    """One line of the table: a method, a checkpoint, a number of eigenpairs. None where there is no value.

    Attributes:
        problem: Name of the problem.
        network: Widths of all layers.
        parameters: N.
        dataset: Data set.
        samples: That the Hessian is over.
        k: Eigenpairs asked for.
        method: Name of the method.
        version: Of its library.
        repeats: Runs that the median is over.
        seconds: Median over the repeats; of a stopped run none.
        fastest: Smallest of them.
        slowest: Largest of them.
        at_least: Seconds after which a run was stopped.
        products: Hessian-vector products used.
        residual: See `benchmarks.judge.Verdict`.
        shortfall: See there, ``missing``.
        overlap: See there.
        accurate: Whether the residual meets the tolerance.
        complete: Whether these are the k leading pairs.
        memory_mib: Peak memory beside network, sample and libraries.
        rate: Floating-point operations per second of matrix products, measured between the repeats.
        bound: Seconds that the products of our method take at that rate.
        fewest_bound: The same of the fewest products that any accurate and complete method used.
        times_ours: Seconds over those of ours.
        of_bound: ``bound`` over seconds.
        of_fewest_bound: ``fewest_bound`` over seconds.
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
    times_ours: float | None = None
    of_bound: float | None = None
    of_fewest_bound: float | None = None
    note: str = ""


def with_ratios(rows: list[Row], operations: int, rate: float) -> list[Row]:
    """Compare the methods of one checkpoint and k with each other and with the machine.

    Args:
        rows: One for each method, ours among them.
        operations: Floating-point operations of one product.
        rate: Floating-point operations per second of matrix products.
    """
    ours = next(row for row in rows if row.method == OURS.name)
    counted = [row.products for row in rows if row.accurate and row.complete and row.products]
    bound = ours.products * operations / rate if ours.products else None
    fewest = min(counted) * operations / rate if counted else None
    return [
        replace(
            row,
            rate=rate,
            bound=bound,
            fewest_bound=fewest,
            times_ours=_ratio(row.seconds, ours.seconds),
            of_bound=_ratio(bound, row.seconds),
            of_fewest_bound=_ratio(fewest, row.seconds),
        )
        for row in rows
    ]


def _ratio(numerator: float | None, denominator: float | None) -> float | None:
    return None if numerator is None or denominator is None else numerator / denominator

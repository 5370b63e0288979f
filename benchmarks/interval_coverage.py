"""Coverage of confidence intervals: the share of samples whose interval of the mean contains the true mean.

Run `python -m benchmarks.interval_coverage`, which takes about two minutes. The docstring of
`eigendrift.claims.statistics` shows the output, which is the reason for the method used there.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import numpy as np
from scipy.stats import bootstrap
from scipy.stats import t as student

from eigendrift.claims.statistics import bootstrap_interval

CONFIDENCE = 0.95
RESAMPLES = 10_000
SIZES = (4, 5, 6, 8, 10)
# Effects are means of logarithms. A normal distribution is the favorable case, a skewed one is the unfavorable case.
DISTRIBUTIONS: Mapping[str, tuple[Callable[[np.random.Generator, int], np.ndarray], float]] = {
    "normal": (lambda random, n: random.normal(size=n), 0.0),
    "exponential": (lambda random, n: random.exponential(size=n), 1.0),
}


def _bootstrap_of_scipy(method: Literal["percentile", "BCa"]) -> Callable[[np.ndarray], tuple[float, float]]:
    def interval(values: np.ndarray) -> tuple[float, float]:
        found = bootstrap(
            (values,),
            np.mean,
            confidence_level=CONFIDENCE,
            n_resamples=RESAMPLES,
            method=method,
            rng=np.random.default_rng(0),
        ).confidence_interval
        return float(found.low), float(found.high)

    return interval


def _studentized(values: np.ndarray) -> tuple[float, float]:
    return bootstrap_interval(values, CONFIDENCE, RESAMPLES) or (-np.inf, np.inf)


def _student(values: np.ndarray) -> tuple[float, float]:
    error = values.std(ddof=1) / np.sqrt(len(values))
    half = student.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * error
    return float(values.mean() - half), float(values.mean() + half)


METHODS: Mapping[str, Callable[[np.ndarray], tuple[float, float]]] = {
    "percentile": _bootstrap_of_scipy("percentile"),
    "BCa": _bootstrap_of_scipy("BCa"),
    "studentized": _studentized,
    "Student's t": _student,
}


def coverage(method: str, distribution: str, n: int, samples: int) -> tuple[float, float]:
    """Measure the coverage of an interval.

    Args:
        method: A name from `METHODS`.
        distribution: A name from `DISTRIBUTIONS`.
        n: Number of values in a sample.
        samples: Number of samples; all methods get the same samples.

    Returns:
        The share of samples whose interval contains the true mean, and the median width of the intervals.
    """
    draw, mean = DISTRIBUTIONS[distribution]
    random = np.random.default_rng(n)
    low, high = np.array([METHODS[method](draw(random, n)) for _ in range(samples)]).T
    return float(((low <= mean) & (mean <= high)).mean()), float(np.median(high - low))


def table(samples: int) -> Iterator[str]:
    """Yield the lines of a table with the coverage and, in parentheses, the median width."""
    yield "distribution  n  " + "".join(f"{name:<14}" for name in METHODS).rstrip()
    for distribution in DISTRIBUTIONS:
        for n in SIZES:
            cells = []
            for method in METHODS:
                share, width = coverage(method, distribution, n, samples)
                cells.append(f"{share:.3f} ({width:.1f})".ljust(14))
            yield f"{distribution:<12} {n:>2}  {''.join(cells).rstrip()}"


if __name__ == "__main__":
    for line in table(samples=2000):
        print(line, flush=True)

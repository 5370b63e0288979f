"""Comparisons of null models with untrained networks and with runs, and the tests behind them.

Two verdicts on each null model: whether it holds before training, and whether training leaves it.
"""

import warnings
from collections.abc import Mapping
from functools import cache
from math import comb, inf
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

from eigendrift.null.models import NULL_MODELS
from eigendrift.validation.values import MOMENTS, OBSERVED

BY = ["statistic", "rank"]
POWER = 0.8
# Largest shift that is tried, in standard deviations, and number of bisection steps.
LARGEST = 8.0
STEPS = 8
CENTRAL = 0.95


def untrained(null_model: str) -> str:
    """Return the name of the networks that a null model gives without training."""
    return f"untrained {null_model}" if NULL_MODELS[null_model].of_training else null_model


def validate(values: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Compare the Hessian of untrained networks with each null model.

    Args:
        values: See `read_values`.
        settings: ``names`` of null models; ``significance``, ``largest_shift`` and ``resamples``, as in the
            configuration.

    Returns:
        A row for each data set, null model and statistic: moments of both, the Kolmogorov–Smirnov test, its ``level``
        (the significance divided among the statistics of that null model and data set), the shift that the test detects
        with 80 % power, and the verdict. The verdict is ``different`` if p is below the level; ``alike`` if it is not,
        although the test would have detected ``largest_shift``; and
        ``cannot tell`` otherwise.
    """
    rows = []
    for dataset, null_model in _pairs(values, settings):
        null_values = values[values["networks"] == untrained(null_model)]
        samples = _paired(
            values[(values["networks"] == OBSERVED) & (values["dataset"] == dataset)],
            null_values[null_values["dataset"] == dataset],
        )
        level = settings["significance"] / max(1, len(samples))
        for key, rows_of_both in samples.items():
            one, other = map(_numbers, rows_of_both)
            statistic, p = two_samples(one, other)
            shift = detectable_shift(len(one), len(other), level, settings["resamples"])
            otherwise = "alike" if shift <= settings["largest_shift"] else "cannot tell"
            rows.append(
                {
                    "dataset": dataset,
                    "null_model": null_model,
                    **dict(zip(BY, key, strict=True)),
                    **_moments("observed", one),
                    **_moments("null", other),
                    "ks": statistic,
                    "p": p,
                    "level": level,
                    "detectable_shift": shift,
                    "verdict": "different" if p < level else otherwise,
                }
            )
    return pd.DataFrame(rows).convert_dtypes()


def departures(values: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Compare runs with each null model, at their start and at their end.

    At the start, the null model is applied to untrained networks. At the end, null models of trained networks use the
    draws of the run's optimizer.

    Displacements between runs are displacements between neighbours in a ring of seeds. Two of them may share a run,
    while the test assumes independence, so its p is somewhat too small there.

    Args:
        values: See `read_values`.
        settings: As for `validate`.

    Returns:
        A row for each data set, null model, optimizer, moment, statistic and seed: the value, the central
        95 % of the null model, whether the value lies inside, and its two-sided conformal p. Each row also describes
        all seeds as one sample: the share inside, the Kolmogorov–Smirnov test against the null model at ``level``, and
        the verdict. The verdict is ``outside`` if p is below the level, ``cannot tell`` if p could not be below it with
        samples of these sizes, and ``inside`` otherwise.
    """
    rows = []
    for dataset, null_model in _pairs(values, settings):
        of_dataset = values[values["dataset"] == dataset]
        optimizers = of_dataset.loc[of_dataset["networks"].isin([*MOMENTS]), "optimizer"].unique()
        for moment, optimizer in ((m, o) for m in MOMENTS for o in optimizers):
            runs = of_dataset[(of_dataset["networks"] == moment) & (of_dataset["optimizer"] == optimizer)]
            networks = untrained(null_model) if moment == "start" else null_model
            null = of_dataset[of_dataset["networks"] == networks]
            samples = _paired(runs, null[null["optimizer"].isin([optimizer, ""])])
            level = settings["significance"] / max(1, len(samples))
            known = {"dataset": dataset, "null_model": null_model, "optimizer": optimizer, "moment": moment}
            rows += [
                known | dict(zip(BY, key, strict=True)) | row
                for key, (seeds, draws) in samples.items()
                for row in _rows_of_seeds(seeds, _numbers(draws), level)
            ]
    return pd.DataFrame(rows).convert_dtypes()


def _rows_of_seeds(runs: pd.DataFrame, null: np.ndarray, level: float) -> list[dict[str, Any]]:
    low, high = np.quantile(null, [(1 - CENTRAL) / 2, (1 + CENTRAL) / 2])
    values = _numbers(runs)
    inside = (low <= values) & (values <= high)
    _, p = two_samples(values, null)
    otherwise = "cannot tell" if smallest_p(len(values), len(null)) >= level else "inside"
    together = {
        "seeds": len(values),
        "draws": len(null),
        "share_inside": float(inside.mean()),
        "p_together": p,
        "level": level,
        "verdict": "outside" if p < level else otherwise,
    }
    return [
        {
            "seed": seed,
            "value": value,
            "low": float(low),
            "high": float(high),
            "inside": bool(within),
            "p": conformal_p(value, null),
            **together,
        }
        for seed, value, within in zip(runs["number"], values, inside, strict=True)
    ]


def _pairs(values: pd.DataFrame, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(dataset, name) for dataset in values["dataset"].unique() for name in settings["names"]]


def _paired(one: pd.DataFrame, other: pd.DataFrame) -> dict[tuple[Any, ...], tuple[pd.DataFrame, pd.DataFrame]]:
    """Return the rows of both by statistic and rank, where both have rows."""
    second = dict(iter(other.groupby(BY, sort=False)))
    return {key: (rows, second[key]) for key, rows in one.groupby(BY, sort=False) if key in second}


def _numbers(rows: pd.DataFrame) -> np.ndarray:
    return rows["value"].to_numpy(float)


def _moments(name: str, sample: np.ndarray) -> dict[str, float]:
    return {
        f"{name}_n": len(sample),
        f"{name}_mean": float(sample.mean()),
        f"{name}_standard_deviation": float(sample.std(ddof=1)) if len(sample) > 1 else float("nan"),
    }


def two_samples(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return statistic and two-sided p of the Kolmogorov–Smirnov test; 0 and 1 if a sample is empty.

    Args:
        one: float64 (n,), independent values.
        other: float64 (m,), independent values.
    """
    if not (len(one) and len(other)):
        return 0.0, 1.0
    with warnings.catch_warnings():
        # Where the exact p is too small for float64, scipy uses the asymptotic p and warns.
        warnings.filterwarnings("ignore", message="ks_2samp: Exact calculation", category=RuntimeWarning)
        result = ks_2samp(one, other)
    return float(result.statistic), float(result.pvalue)


def smallest_p(n: int, m: int) -> float:
    """Return the smallest p of the test, which samples without overlap have: 2 / C(n + m, n)."""
    return min(1.0, 2 / comb(n + m, n))


@cache
def detectable_shift(n: int, m: int, level: float, resamples: int) -> float:
    """Return the shift between two normal samples that the test detects with 80 % power.

    Args:
        n: Size of one sample.
        m: Size of the other sample.
        level: p below which a difference is detected.
        resamples: Number of seeded pairs of samples that the power is simulated with.

    Returns:
        The shift in standard deviations, to about 0.05; infinite if no shift can be detected.
    """
    if smallest_p(n, m) >= level:
        return inf
    random = np.random.default_rng(0)
    ones, others = random.normal(size=(resamples, n)), random.normal(size=(resamples, m))

    def power(shift: float) -> float:
        detected = [two_samples(x, y + shift)[1] < level for x, y in zip(ones, others, strict=True)]
        return float(np.mean(detected))

    low, high = 0.0, LARGEST
    if power(high) < POWER:
        return inf
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def conformal_p(value: float, null: np.ndarray) -> float:
    """Return the two-sided p of one value among draws of a null model, at least 2 / (n + 1).

    p = min(1, 2 min(1 + #{null ≤ value}, 1 + #{null ≥ value}) / (n + 1)) is valid for any distribution.
    """
    rank = min(1 + (null <= value).sum(), 1 + (null >= value).sum())
    return float(min(1.0, 2 * rank / (len(null) + 1)))

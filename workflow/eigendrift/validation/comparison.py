"""Two verdicts on null models: whether each holds before training, and whether training leaves it."""

import warnings
from collections.abc import Mapping
from functools import cache
from itertools import product
from math import comb, inf
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

from eigendrift.null.models import NULL_MODELS
from eigendrift.validation.values import MOMENTS, OBSERVED

BY = ["statistic", "rank"]
POWER = 0.8
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
    for dataset, null_model in product(values["dataset"].unique(), settings["names"]):
        own = values[values["dataset"] == dataset]
        samples = _paired(own[own["networks"] == OBSERVED], own[own["networks"] == untrained(null_model)])
        level = settings["significance"] / max(1, len(samples))
        for key, rows_of_both in samples.items():
            one, other = (sample["value"].to_numpy(float) for sample in rows_of_both)
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
    tables = []
    for dataset, null_model in product(values["dataset"].unique(), settings["names"]):
        of_dataset = values[values["dataset"] == dataset]
        optimizers = of_dataset.loc[of_dataset["networks"].isin([*MOMENTS]), "optimizer"].unique()
        for moment, optimizer in product(MOMENTS, optimizers):
            runs = of_dataset[(of_dataset["networks"] == moment) & (of_dataset["optimizer"] == optimizer)]
            networks = untrained(null_model) if moment == "start" else null_model
            null = of_dataset[of_dataset["networks"] == networks]
            samples = _paired(runs, null[null["optimizer"].isin([optimizer, ""])])
            level = settings["significance"] / max(1, len(samples))
            known = {"dataset": dataset, "null_model": null_model, "optimizer": optimizer, "moment": moment}
            tables += [
                pd.DataFrame(known | dict(zip(BY, key, strict=True)) | _columns_of_seeds(*both, level))
                for key, both in samples.items()
            ]
    return pd.concat(tables or [pd.DataFrame()], ignore_index=True).convert_dtypes()


def _columns_of_seeds(runs: pd.DataFrame, draws: pd.DataFrame, level: float) -> dict[str, Any]:
    values, null = runs["value"].to_numpy(float), draws["value"].to_numpy(float)
    low, high = np.quantile(null, [(1 - CENTRAL) / 2, (1 + CENTRAL) / 2])
    inside = (low <= values) & (values <= high)
    _, p = two_samples(values, null)
    otherwise = "cannot tell" if smallest_p(len(values), len(null)) >= level else "inside"
    return {
        "seed": runs["number"].to_numpy(),
        "value": values,
        "low": low,
        "high": high,
        "inside": inside,
        "p": [conformal_p(value, null) for value in values],
        "seeds": len(values),
        "draws": len(null),
        "share_inside": inside.mean(),
        "p_together": p,
        "level": level,
        "verdict": "outside" if p < level else otherwise,
    }


def _paired(one: pd.DataFrame, other: pd.DataFrame) -> dict[tuple[Any, ...], tuple[pd.DataFrame, pd.DataFrame]]:
    """Return the rows of both by statistic and rank, where both have rows."""
    second = dict(iter(other.groupby(BY, sort=False)))
    return {key: (rows, second[key]) for key, rows in one.groupby(BY, sort=False) if key in second}


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

    def power(shift: float) -> np.floating[Any]:
        return np.mean([two_samples(x, y + shift)[1] < level for x, y in zip(ones, others, strict=True)])

    # The largest shift that is tried, in standard deviations.
    low, high = 0.0, 8.0
    if power(high) < POWER:
        return inf
    for _ in range(8):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def conformal_p(value: float, null: np.ndarray) -> float:
    """Return the two-sided p of one value among draws of a null model, at least 2 / (n + 1).

    p = min(1, 2 min(1 + #{null ≤ value}, 1 + #{null ≥ value}) / (n + 1)) is valid for any distribution.
    """
    rank = min(1 + (null <= value).sum(), 1 + (null >= value).sum())
    return float(min(1.0, 2 * rank / (len(null) + 1)))

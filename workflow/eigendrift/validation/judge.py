"""Two verdicts on each null model: whether it holds before training, and whether training leaves it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from eigendrift.null.models import NULL_MODELS
from eigendrift.validation.samples import (
    CENTRAL,
    conformal_p,
    detectable_shift,
    smallest_p,
    two_samples,
)
from eigendrift.validation.values import MOMENTS, OBSERVED

BY = ["statistic", "rank"]


def untrained(null_model: str) -> str:
    """Return the networks that a null model is, if there is no training."""
    return f"untrained {null_model}" if NULL_MODELS[null_model].of_training else null_model


def validate(values: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Compare the Hessian of untrained networks with each null model.

    Args:
        values: See `read_values`.
        settings: ``names`` of null models; ``significance``, ``largest_shift`` and ``resamples``, as in the
            configuration.

    Returns:
        A row for each data set, null model and statistic: moments of both, the Kolmogorov–Smirnov test, its
        ``level`` (the significance shared among the statistics of that null model and data set), the shift
        that it detects with 80 % power, and the verdict: ``different`` if p is below the level, ``alike`` if
        it is not although the largest shift that may be overlooked would have shown, else ``cannot tell``.
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
            seen = "alike" if shift <= settings["largest_shift"] else "cannot tell"
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
                    "verdict": "different" if p < level else seen,
                }
            )
    return pd.DataFrame(rows).convert_dtypes()


def departures(values: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Compare runs with each null model, at their start and at their end.

    At the start that is the null model without training. At the end, null models of trained networks are
    those of the run's optimizer.

    Displacements between runs are those of neighbours in a ring of seeds. Two of them may share a run, while
    the test takes them for independent, so its p is somewhat too small there.

    Args:
        values: See `read_values`.
        settings: As for `validate`.

    Returns:
        A row for each data set, null model, optimizer, moment, statistic and seed: the value, the central
        95 % of the null model, whether it lies inside, and its two-sided conformal p. Also, of all seeds as
        one sample: the share inside, the Kolmogorov–Smirnov test against the null model at ``level``, and the
        verdict: ``outside`` if p is below the level, ``inside`` if it is not, ``cannot tell`` if no samples
        of these sizes could have been.
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
                for row in _against(seeds, _numbers(draws), level)
            ]
    return pd.DataFrame(rows).convert_dtypes()


def _against(runs: pd.DataFrame, null: np.ndarray, level: float) -> list[dict[str, Any]]:
    low, high = np.quantile(null, [(1 - CENTRAL) / 2, (1 + CENTRAL) / 2])
    values = _numbers(runs)
    inside = (low <= values) & (values <= high)
    _, p = two_samples(values, null)
    told = "cannot tell" if smallest_p(len(values), len(null)) >= level else "inside"
    together = {
        "seeds": len(values),
        "draws": len(null),
        "share_inside": float(inside.mean()),
        "p_together": p,
        "level": level,
        "verdict": "outside" if p < level else told,
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


def _paired(
    one: pd.DataFrame, other: pd.DataFrame
) -> dict[tuple[Any, ...], tuple[pd.DataFrame, pd.DataFrame]]:
    """Return the rows of both by statistic and rank, as far as both have any."""
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

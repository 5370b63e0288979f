"""Whether a null model bears the claims that hold runs against it.

A comparison with a null model says something of training only where the model describes untrained networks,
and where training leads out of it. Otherwise the claim falls: it is undecided, wherever its interval lies.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from eigendrift.stores.tables import read_table

# What both claims on a null model measure, and whom they are about, as the tables of the validation have it.
STATISTIC = "log10 IPR"
OPTIMIZER = "adam"
DIFFERENT, OUTSIDE, CANNOT_TELL = "different", "outside", "cannot tell"


@dataclass(frozen=True)
class NullValidity:
    """What the validation says of the inverse participation ratio on one data set, by rank from the first.

    Attributes:
        null_model: Name of the null model.
        before: Whether untrained networks are alike, different, or it cannot tell.
        after: Whether Adam's runs end inside or outside the null model, or it cannot tell.
    """

    null_model: str
    before: tuple[str, ...]
    after: tuple[str, ...]

    def verdict(self, verdict: str, reason: str, ranks: int) -> tuple[str, str]:
        """Return what is left of a verdict, and why.

        Args:
            verdict: Of the interval and the test.
            reason: For it.
            ranks: How many leading eigenvectors the effect is a mean over.
        """
        before, after = self.before[:ranks], self.after[:ranks]
        if verdict not in ("supported", "contradicted"):
            return verdict, reason
        if DIFFERENT in before:
            return "undecided", (
                f"{reason}, but the null model '{self.null_model}' is different from untrained networks in "
                "its inverse participation ratio (null_validation.csv)"
            )
        if verdict == "supported" and OUTSIDE not in after:
            return "undecided", (
                f"{reason}, but Adam's runs are not shown to leave the null model '{self.null_model}' "
                "(null_departure.csv)"
            )
        return verdict, reason

    def notes(self, dataset: str) -> list[str]:
        """Say what readers must know of the null model on a data set."""
        told = set(self.before)
        if DIFFERENT in told:
            state = "is different from untrained networks in its inverse participation ratio"
        elif CANNOT_TELL in told or not told:
            state = "has too few draws to tell whether it is like untrained networks"
        else:
            return []
        return [f"{dataset}: the null model {self.null_model} {state}"]


def read_null_validity(
    validation: Path, departure: Path, null_model: str, datasets: Iterable[str]
) -> dict[str, NullValidity]:
    """Read what the validation says of a null model, by data set.

    Args:
        validation: null_validation.csv.
        departure: null_departure.csv.
        null_model: Name of the null model.
        datasets: Which data sets.

    Raises:
        UserError: A table is missing or damaged.
    """
    before, after = (
        table[(table["null_model"] == null_model) & (table["statistic"] == STATISTIC)]
        for table in map(read_table, (validation, departure))
    )
    after = after[(after["optimizer"] == OPTIMIZER) & (after["moment"] == "end")]
    return {
        dataset: NullValidity(null_model, _by_rank(before, dataset), _by_rank(after, dataset))
        for dataset in datasets
    }


def _by_rank(table: pd.DataFrame, dataset: str) -> tuple[str, ...]:
    # One verdict for all seeds of a rank.
    rows = table[table["dataset"] == dataset].drop_duplicates("rank").sort_values("rank")
    return tuple(rows["verdict"])

"""Whether a null model can carry the claims that compare runs with it.

A comparison with a null model says something about training only if the model describes untrained networks and if
training leads out of it. Otherwise the claim is undecided, wherever its interval lies.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from eigendrift.stores.tables import read_table


@dataclass(frozen=True)
class NullValidity:
    """What the validation says about the inverse participation ratio on one data set, by rank from the first.

    Attributes:
        null_model: Name of the null model.
        before: Whether untrained networks are alike or different, or the test cannot tell.
        after: Whether Adam's runs end inside or outside the null model, or the test cannot tell.
    """

    null_model: str
    before: tuple[str, ...]
    after: tuple[str, ...]

    def restrict(self, verdict: str, reason: str, ranks: int) -> tuple[str, str]:
        """Return the verdict on an effect of the leading ranks that the null model allows, and the reason."""
        if verdict not in ("supported", "contradicted"):
            return verdict, reason
        if "different" in self.before[:ranks]:
            return "undecided", (
                f"{reason}, but the null model '{self.null_model}' is different from untrained networks in "
                "its inverse participation ratio (null_validation.csv)"
            )
        if verdict == "supported" and "outside" not in self.after[:ranks]:
            return "undecided", (
                f"{reason}, but Adam's runs are not shown to leave the null model '{self.null_model}' "
                "(null_departure.csv)"
            )
        return verdict, reason

    def notes(self, dataset: str) -> list[str]:
        """Return what readers must know about the null model on a data set."""
        if "different" in self.before:
            state = "is different from untrained networks in its inverse participation ratio"
        elif "cannot tell" in self.before or not self.before:
            state = "has too few draws to tell whether it is like untrained networks"
        else:
            return []
        return [f"{dataset}: the null model {self.null_model} {state}"]


def read_null_validity(
    validation: Path, departure: Path, null_model: str, datasets: Iterable[str]
) -> dict[str, NullValidity]:
    """Return what the validation says about a null model, by data set.

    Args:
        validation: null_validation.csv.
        departure: null_departure.csv.
        null_model: Name of the null model.
        datasets: Names of the data sets.

    Raises:
        UserError: If a table is missing or damaged.
    """
    # Both claims that use a null model are about Adam's inverse participation ratio.
    before, after = (
        table[(table["null_model"] == null_model) & (table["statistic"] == "log10 IPR")]
        for table in map(read_table, (validation, departure))
    )
    after = after[(after["optimizer"] == "adam") & (after["moment"] == "end")]
    return {
        dataset: NullValidity(null_model, _by_rank(before, dataset), _by_rank(after, dataset)) for dataset in datasets
    }


def _by_rank(table: pd.DataFrame, dataset: str) -> tuple[str, ...]:
    # All seeds of a rank have the same verdict.
    rows = table[table["dataset"] == dataset].drop_duplicates("rank").sort_values("rank")
    return tuple(rows["verdict"])

"""Draws from a null model."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from eigendrift.eigenpairs.decompose import keep_records, record_columns
from eigendrift.eigenpairs.landscape import Record, undefined_record
from eigendrift.errors import UserError
from eigendrift.null.inputs import NullInputs
from eigendrift.null.models import NULL_MODELS
from eigendrift.null.sampling import observed
from eigendrift.stores.writing import Column

logger = logging.getLogger(__name__)

OBSERVED = "observed"


def drawn_by(name: str) -> Callable[[NullInputs, Sequence[int]], list[Record]]:
    """Return what draws from a null model, or from the observed untrained networks."""
    return observed if name == OBSERVED else NULL_MODELS[name].draw


def draw_null(inputs: NullInputs, label: str) -> dict[str, Column]:
    """Draw from the null model that the inputs's settings name, or of the observed untrained networks.

    Args:
        inputs: What draws are made from; its progress keeps those that an interrupted job has finished.
        label: Name of the job in messages.

    Returns:
        The arrays of a null store. Draws whose training diverged are NaN and not converged.

    Raises:
        UserError: A plug-in's draws are no records of a null store.
    """
    draw_from, draws = drawn_by(inputs.settings["null_model"]), inputs.settings["draws"]

    def draw(group: range) -> list[Record]:
        return checked(draw_from(inputs, group), inputs, len(group))

    keep_records(inputs.progress, draws, inputs.landscape.together, draw, label)
    return record_columns(inputs.progress, draws) | {
        "draw": np.arange(draws),
        "optimizer": np.array([inputs.optimizer_of(draw) for draw in range(draws)]),
    }


def checked(records: Any, inputs: NullInputs, draws: int) -> list[Record]:
    """Return draws that are records of a null store, one for each number.

    Raises:
        UserError: They are something else.
    """
    settings = inputs.settings
    expected = undefined_record(settings["eigenpairs"]["count"], inputs.landscape.size)
    sizes = {name: array.shape for name, array in expected.items()}
    wrong = None
    if not isinstance(records, list | tuple) or len(records) != draws:
        found = len(records) if isinstance(records, list | tuple) else type(records).__name__
        wrong = f"{found} for {draws} draws, expected a list of a record for each"
    elif not all(isinstance(record, Mapping) for record in records):
        wrong = "something else than records, which are dicts of arrays"
    elif any({name: np.shape(array) for name, array in record.items()} != sizes for record in records):
        wrong = f"a record that has other arrays than one of a null store, {sizes}"
    if wrong:
        raise UserError(
            f"The null model '{settings['null_model']}' draws {wrong}; mend its function draw, which usually "
            "returns what inputs.landscape.eigenpairs_at_each does."
        )
    return list(records)


def summarize_draws(columns: Mapping[str, Column]) -> dict[str, Any]:
    """Return what a reader of a null store must know.

    Returns:
        ``parameters``: N. ``diverged``: draws that have no Hessian, because their training diverged.
    """
    without = ~np.asarray(columns["converged"]).any(1) & (np.asarray(columns["matvecs"]) == 0)
    diverged = [int(draw) for draw in np.flatnonzero(without)]
    if diverged:
        logger.warning("Draws without a Hessian: %s.", ", ".join(map(str, diverged)))
    return {"parameters": int(columns["eigenvector"][0].shape[1]), "diverged": diverged}

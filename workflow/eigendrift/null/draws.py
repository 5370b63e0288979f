"""Draws from a null model."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from eigendrift.eigenpairs.decompose import keep_records, record_columns
from eigendrift.eigenpairs.landscape import Record
from eigendrift.null.models import observed
from eigendrift.null.origin import Origin
from eigendrift.null.registry import NULL_MODELS
from eigendrift.stores.writing import Column

logger = logging.getLogger(__name__)

OBSERVED = "observed"


def drawn_by(name: str) -> Callable[[Origin, Sequence[int]], list[Record]]:
    """Return what draws from a null model, or from the observed untrained networks."""
    return observed if name == OBSERVED else NULL_MODELS[name].draw


def draw_null(origin: Origin, label: str) -> dict[str, Column]:
    """Draw from the null model that the origin's settings name, or of the observed untrained networks.

    Args:
        origin: What draws are made from; its progress keeps those that an interrupted job has finished.
        label: Name of the job in messages.

    Returns:
        The arrays of a null store. Draws whose training diverged are NaN and not converged.
    """
    draw_from, draws = drawn_by(origin.settings["null_model"]), origin.settings["draws"]

    def draw(group: range) -> list[Record]:
        return draw_from(origin, group)

    keep_records(origin.progress, draws, origin.landscape.together, draw, label)
    return record_columns(origin.progress, draws) | {
        "draw": np.arange(draws),
        "optimizer": np.array([origin.optimizer_of(draw) for draw in range(draws)]),
    }


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

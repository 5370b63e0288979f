"""Independent draws from a null model."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from eigendrift.eigenpairs.decompose import keep_records, record_columns
from eigendrift.eigenpairs.landscape import Landscape, Record
from eigendrift.null.models import NULL_MODELS
from eigendrift.stores.progress import Progress
from eigendrift.stores.writing import Column


def draw_null(
    settings: Mapping[str, Any], landscape: Landscape, progress: Progress, label: str
) -> dict[str, Column]:
    """Draw from a null model.

    Args:
        settings: ``null_model``, ``draws``, ``model`` and ``eigenpairs``, as in the configuration.
        landscape: The network and sample that it is a null model of.
        progress: Keeps the records of finished draws.
        label: Name of the job in messages.

    Returns:
        The arrays of a null store.
    """
    draw_from = NULL_MODELS[settings["null_model"]]
    draws = settings["draws"]

    def draw(group: range) -> list[Record]:
        count = settings["eigenpairs"]["count"]
        return draw_from(landscape, settings["model"]["initialization"], count, group)

    keep_records(progress, draws, landscape.together, draw, label)
    return record_columns(progress, draws) | {"draw": np.arange(draws)}

"""Independent draws from a null model."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from eigendrift.eigenpairs.decompose import Landscape, record_columns
from eigendrift.null.models import NULL_MODELS
from eigendrift.stores.progress import Progress
from eigendrift.stores.writing import Column
from eigendrift.tracking import tracked


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
    first = progress.completed()
    with tracked(label, draws, done=first) as tracker:
        for draw in range(first, draws):
            record = draw_from(
                landscape, settings["model"]["initialization"], settings["eigenpairs"]["count"], draw
            )
            progress.save(draw, record)
            tracker.reach(draw + 1)
    return record_columns(progress, draws) | {"draw": np.arange(draws)}

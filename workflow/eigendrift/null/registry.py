"""Null models by name: what each keeps and destroys. Knows nothing of torch before one is drawn from."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from eigendrift.extensions.kinds import NullModel
from eigendrift.extensions.registry import known

Records = list[dict[str, np.ndarray]]


def _made_by(name: str) -> Callable[[Any, Sequence[int]], Records]:
    """Return a function of `eigendrift.null.models`, which is imported when it is called."""

    def draw(origin: Any, draws: Sequence[int]) -> Records:
        # By name, so that what reads the facts below does not depend on all that draws are made with.
        records: Records = getattr(import_module("eigendrift.null.models"), name)(origin, draws)
        return records

    return draw


NULL_MODELS = known(
    NullModel,
    NullModel(
        name="isotropic",
        draw=_made_by("isotropic"),
        draws="{} draws of random directions",
        keeps="the number of parameters",
        destroys="architecture, data and training",
    ),
    NullModel(
        name="reinitialized",
        draw=_made_by("reinitialized"),
        draws="the Hessian at {} fresh initialisations",
        keeps="architecture, data and the distribution of initial weights",
        destroys="all that training does",
    ),
    NullModel(
        name="permuted",
        draw=_made_by("permuted"),
        draws="the Hessian at the final weights of the main experiment's runs, permuted within each weight "
        "matrix and bias vector, {} draws shared among the optimizers",
        keeps="architecture, data and each layer's trained weights as a set",
        destroys="how they are arranged",
        of_training=True,
        needs_ends=True,
    ),
    NullModel(
        name="shuffled_labels",
        draw=_made_by("shuffled_labels"),
        draws="the Hessian at the end of {} trainings, shared among the optimizers, on labels shuffled among "
        "the training samples, and over these samples",
        keeps="architecture, initialisation, images, class frequencies, optimizer and length of training",
        destroys="what there is to learn about the images",
        of_training=True,
    ),
)

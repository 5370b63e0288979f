"""Null models by name: each draws leading eigenvectors that know nothing of training."""

from collections.abc import Callable, Sequence
from copy import deepcopy

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector

from eigendrift.eigenpairs.landscape import Landscape, Record, undefined_record
from eigendrift.numerics import generator
from eigendrift.training.models import initialize

# A null model makes draws, records of a null store, from the landscape, the name of the network's
# initialisation, the number of eigenpairs, and the numbers of the draws.
NullModel = Callable[[Landscape, str, int, Sequence[int]], list[Record]]


def reinitialized(
    landscape: Landscape, initialization: str, count: int, draws: Sequence[int]
) -> list[Record]:
    """Draw the Hessian's leading eigenpairs at fresh draws from the initialisation.

    Keeps the architecture, the data and the distribution of the initial weights; destroys all that training
    does. ``count`` is the landscape's own.
    """
    # A CPU generator cannot draw on another device.
    model = deepcopy(landscape.model).cpu()
    weights = []
    for draw in draws:
        initialize(model, initialization, generator("null", "reinitialized", draw))
        weights.append(parameters_to_vector(model.parameters()).detach().numpy())
    return landscape.eigenpairs_at_each(weights, [generator("null", "start", draw) for draw in draws])


def isotropic(landscape: Landscape, initialization: str, count: int, draws: Sequence[int]) -> list[Record]:
    """Draw ``count`` orthonormal vectors uniformly: directions without any structure, and no spectrum.

    Keeps the number of parameters alone; destroys architecture, data and training.
    """
    return [_uniform_frame(landscape.size, count, generator("null", "isotropic", draw)) for draw in draws]


def _uniform_frame(size: int, count: int, random: torch.Generator) -> Record:
    frame = torch.randn(size, count, dtype=torch.float64, generator=random)
    orthonormal, upper = torch.linalg.qr(frame)
    # Without the signs of the diagonal, QR does not draw uniformly (Mezzadri 2007).
    orthonormal *= upper.diagonal().sign()
    record = undefined_record(count, size)
    return record | {
        "eigenvector": orthonormal.T.contiguous().numpy().astype(np.float32),
        "converged": np.ones(count, bool),
    }


NULL_MODELS: dict[str, NullModel] = {"isotropic": isotropic, "reinitialized": reinitialized}

"""Null models by name: each draws leading eigenvectors that know nothing of training."""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector

from eigendrift.eigenpairs.decompose import Landscape, Record, undefined_record
from eigendrift.numerics import generator
from eigendrift.training.models import initialize

# A null model makes one draw, a record of a null store, from the landscape, the name of the network's
# initialisation, the number of eigenpairs, and the number of the draw.
NullModel = Callable[[Landscape, str, int, int], Record]


def reinitialized(landscape: Landscape, initialization: str, count: int, draw: int) -> Record:
    """Draw the Hessian's leading eigenpairs at a fresh draw from the initialisation.

    Keeps the architecture, the data and the distribution of the initial weights; destroys all that training
    does. ``count`` is the landscape's own.
    """
    # A CPU generator cannot draw on another device.
    model = deepcopy(landscape.model).cpu()
    initialize(model, initialization, generator("null", "reinitialized", draw))
    weights = parameters_to_vector(model.parameters()).detach().numpy()
    return landscape.eigenpairs_at(weights, generator("null", "start", draw))


def isotropic(landscape: Landscape, initialization: str, count: int, draw: int) -> Record:
    """Draw ``count`` orthonormal vectors uniformly: directions without any structure, and no spectrum.

    Keeps the number of parameters alone; destroys architecture, data and training.
    """
    random = generator("null", "isotropic", draw)
    frame = torch.randn(landscape.size, count, dtype=torch.float64, generator=random)
    orthonormal, upper = torch.linalg.qr(frame)
    # Without the signs of the diagonal, QR does not draw uniformly (Mezzadri 2007).
    orthonormal *= upper.diagonal().sign()
    record = undefined_record(count, landscape.size)
    return record | {
        "eigenvector": orthonormal.T.contiguous().numpy().astype(np.float32),
        "converged": np.ones(count, bool),
    }


NULL_MODELS: dict[str, NullModel] = {"isotropic": isotropic, "reinitialized": reinitialized}

"""A small data set, network and trainings to draw from."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from eigendrift.data.samples import Samples
from eigendrift.eigenpairs.landscape import Landscape
from eigendrift.null.inputs import NullInputs
from eigendrift.stores.progress import Progress

CPU = torch.device("cpu")
MODEL = {"hidden_widths": [4], "activation": "relu", "initialization": "glorot_normal"}
SOLVER = {"count": 3, "samples": "all", "chunk_size": 100, "tolerance": 1e-5, "max_products": 500, "basis_size": 20}
# Weights and biases of both layers.
TENSORS = [36, 4, 12, 3]
SIZE = sum(TENSORS)
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"name": "sgd", "learning_rate": 0.1},
    "adam": {"name": "adam", "learning_rate": 0.01, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8},
}
TRAININGS = [
    {"dataset": "small", "model": MODEL, "optimizer": optimizer, "batch_size": 8, "steps": 30}
    for optimizer in OPTIMIZERS.values()
]


def small_samples() -> Samples:
    images = np.random.default_rng(0).random((40, 3, 3), np.float32)
    labels = np.arange(40) % 3
    return Samples(images, labels, images[:5], labels[:5])


SAMPLES = small_samples()


def inputs_of(
    directory: Path, name: str, draws: int = 4, *, trained: bool = True, seeds: int = 2, together: int | None = None
) -> NullInputs:
    """Inputs of a null model; only null models of trained networks have trainings and final weights."""
    directory.mkdir(exist_ok=True)
    own = TRAININGS if trained and name in ("permuted", "shuffled_labels") else []
    random = np.random.default_rng(1)
    ends = [[random.normal(size=SIZE).astype(np.float32) for _ in range(seeds)] for _ in own]
    settings = {"null_model": name, "draws": draws, "model": MODEL, "eigenpairs": SOLVER, "trainings": own}
    landscape = Landscape(SAMPLES, MODEL, SOLVER, CPU, together)
    return NullInputs(SAMPLES, landscape, settings, CPU, Progress(directory), ends)

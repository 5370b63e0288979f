"""A small data set and small runs on it."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eigendrift.data.samples import Samples
from eigendrift.stores.progress import Progress
from eigendrift.training.trajectory import Trajectory, train

CPU = torch.device("cpu")
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"name": "sgd", "learning_rate": 0.1},
    "momentum": {"name": "momentum", "learning_rate": 0.05, "momentum": 0.9},
    "adam": {"name": "adam", "learning_rate": 0.01, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8},
    "adamw": {
        "name": "adamw",
        "learning_rate": 0.01,
        "beta1": 0.9,
        "beta2": 0.99,
        "epsilon": 1e-8,
        "weight_decay": 0.1,
    },
    "rmsprop": {"name": "rmsprop", "learning_rate": 0.01, "beta2": 0.99, "epsilon": 1e-8},
    "sam": {"name": "sam", "learning_rate": 0.1, "momentum": 0.5, "radius": 0.05},
    "muon": {"name": "muon", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 0.01},
}
# Rates at which the loss overflows after a few steps. Most rates, however large, do not do that: the loss becomes huge,
# the units die, and it stays finite.
EXPLODING = {"sgd": ([5, 5, 5], 1e6), "momentum": ([5, 5, 5], 1e6), "adam": ([5, 5], 1e12)}


def small_samples(train: int = 50, test: int = 20) -> Samples:
    generator = np.random.default_rng(0)
    images = generator.random((train + test, 3, 4), dtype=np.float32)
    labels = (images.mean(axis=(1, 2)) * 300).astype(np.int64) % 3
    labels[:3] = [0, 1, 2]
    return Samples(images[:train], labels[:train], images[train:], labels[train:])


SAMPLES = small_samples()


def settings_of(optimizer: str, **changes: Any) -> dict[str, Any]:
    return {
        "dataset": "small",
        "model": {
            "name": "mlp",
            "hidden_widths": [5],
            "activation": "tanh",
            "initialization": "glorot_uniform",
        },
        "optimizer": OPTIMIZERS[optimizer],
        "batch_size": 8,
        "seed": 0,
        "steps": 20,
        "checkpoints": {"count": 21, "spacing": "linear"},
    } | changes


def exploding(optimizer: str, count: int = 5) -> dict[str, Any]:
    """Settings of a run of 60 steps that diverges."""
    widths, rate = EXPLODING[optimizer]
    settings = settings_of(optimizer, seed=2, steps=60, checkpoints={"count": count, "spacing": "linear"})
    settings["optimizer"] = OPTIMIZERS[optimizer] | {"learning_rate": rate}
    settings["model"] = {
        "name": "mlp",
        "hidden_widths": widths,
        "activation": "gelu",
        "initialization": "kaiming_uniform",
    }
    return settings


def run(
    settings: dict[str, Any],
    directory: Path,
    progress: Callable[[Path], Progress] = Progress,
    device: torch.device = CPU,
) -> Trajectory:
    directory.mkdir(parents=True, exist_ok=True)
    return train(SAMPLES, settings, device, progress(directory), "test")


def arrays(trajectory: Trajectory) -> dict[str, np.ndarray]:
    return {name: np.array(list(column)) for name, column in trajectory.columns.items()}


def assert_same_bits(left: Trajectory, right: Trajectory) -> None:
    assert left.diverged_at == right.diverged_at
    first, second = arrays(left), arrays(right)
    assert list(first) == list(second)
    for name in first:
        assert first[name].dtype == second[name].dtype
        assert first[name].tobytes() == second[name].tobytes(), name


def parameters(flat: torch.Tensor, widths: list[int]) -> list[torch.Tensor]:
    """Cut flat weights into matrices and biases, layer after layer."""
    shapes = [shape for fan_in, fan_out in itertools.pairwise(widths) for shape in ((fan_out, fan_in), (fan_out,))]
    pieces = flat.split([int(np.prod(shape)) for shape in shapes])
    return [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]


def scores(flat: torch.Tensor, images: np.ndarray) -> torch.Tensor:
    """The network of `settings_of`, written out in float64."""
    W1, b1, W2, b2 = parameters(flat, [12, 5, 3])
    x = torch.from_numpy(images).double().flatten(1)
    return torch.tanh(x @ W1.T + b1) @ W2.T + b2


def loss(flat: torch.Tensor, images: np.ndarray, labels: np.ndarray) -> torch.Tensor:
    logits = scores(flat, images)
    return (logits.logsumexp(1) - logits[torch.arange(len(labels)), torch.from_numpy(labels)]).mean()

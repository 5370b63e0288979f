"""A trained network and its dense Hessian; a small landscape, and weights along a trajectory through it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from eigenpairs_helpers import CPU, MODEL, SAMPLES, SETTINGS, dense_hessian, perceptron, seeded, trained_on_digits
from torch import nn
from torch.nn.functional import cross_entropy

from eigendrift.data.samples import Samples
from eigendrift.eigenpairs.landscape import Landscape
from eigendrift.stores.progress import Progress


@pytest.fixture(scope="module")
def network() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    return trained_on_digits()


@pytest.fixture(scope="module")
def dense(network: tuple[nn.Module, torch.Tensor, torch.Tensor]) -> np.ndarray:
    return dense_hessian(network[0], cross_entropy, *network[1:]).numpy()


@pytest.fixture(scope="module")
def samples() -> Samples:
    random = np.random.default_rng(0)
    images = random.random((40, 3, 3), np.float32)
    labels = np.arange(40) % 3
    images[np.arange(40), labels, labels] += 1
    return Samples(images / 2, labels, images[:5] / 2, labels[:5])


@pytest.fixture
def landscape(samples: Samples) -> Landscape:
    return Landscape(samples, MODEL, SETTINGS, CPU)


@pytest.fixture
def weights(landscape: Landscape) -> np.ndarray:
    """Four checkpoints; the run diverged before the third."""
    draws = np.random.default_rng(1).normal(0, 0.7, (4, landscape.size)).astype(np.float32)
    draws[2] = np.nan
    return draws


@pytest.fixture
def progress(tmp_path: Path) -> Callable[[str], Progress]:
    def make(name: str) -> Progress:
        (tmp_path / name).mkdir(exist_ok=True)
        return Progress(tmp_path / name)

    return make


@pytest.fixture
def model() -> nn.Module:
    return perceptron()


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(SAMPLES, 3, dtype=torch.float64, generator=seeded(2))


@pytest.fixture
def targets() -> torch.Tensor:
    return torch.arange(SAMPLES) % 3

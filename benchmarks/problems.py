"""Problems of the benchmark: trained networks, and the samples that define their Hessians."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from benchmarks.bound import computing_with
from eigendrift.data.datasets import load
from eigendrift.data.mnist import DIGESTS, VARIABLE, data_directory, layout
from eigendrift.data.samples import SCALINGS, Samples, hessian_sample
from eigendrift.errors import UserError
from eigendrift.numerics import generator
from eigendrift.training.optimizers import OPTIMIZERS
from eigendrift.training.torch_networks import build_model
from eigendrift.training.trajectory import BatchOrder

SEED = 0
# The setting is the default study's SGD after a quarter of its steps.
OPTIMIZER = "sgd"
LEARNING_RATE = 0.05
BATCH_SIZE = 64
STEPS = 2_000
# The default study has this many checkpoints. Methods that decompose several at once get them, evenly spaced.
CHECKPOINTS = 41
SCALING = "standardized"
MODEL = {"activation": "relu", "initialization": "glorot_uniform"}


@dataclass(frozen=True)
class Problem:
    """A network trained on a data set, and the number of samples of the Hessian.

    Attributes:
        name: The problem's name on the command line.
        dataset: One of the library's data sets; the network is trained on its whole training part.
        hidden: Widths of the hidden layers.
        samples: Size of the Hessian's sample.
        steps: Training steps.
    """

    name: str
    dataset: str
    hidden: tuple[int, ...]
    samples: int
    steps: int = STEPS


PROBLEMS = (
    Problem("digits", "digits", (32, 32), 1_437),
    Problem("small-4000", "mnist5k", (32, 32), 4_000),
    Problem("small-60000", "mnist", (32, 32), 60_000),
    Problem("large-4000", "mnist5k", (256, 256), 4_000),
    Problem("large-60000", "mnist", (256, 256), 60_000),
)
QUICK_PROBLEMS = (Problem("digits", "digits", (8,), 200, steps=50),)


@dataclass(frozen=True)
class Checkpoint:
    """Files with a problem's weights and sample, so that every method gets the same bits.

    Attributes:
        problem: The problem.
        folder: Folder with ``inputs.npy``, ``targets.npy`` and ``trajectory.npy``.
        widths: Widths of all layers, from the inputs to the classes.
    """

    problem: Problem
    folder: Path
    widths: tuple[int, ...]

    @property
    def network(self) -> str:
        """The network's widths, such as ``784-32-32-10``."""
        return "-".join(map(str, self.widths))

    @property
    def parameters(self) -> int:
        """The number of weights and biases, N."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(self.widths))

    def load(
        self, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
        """Return the network in evaluation mode, the inputs and the labels."""
        inputs, targets = (torch.from_numpy(np.load(self.folder / f"{name}.npy")) for name in ("inputs", "targets"))
        model = _network(self.problem.hidden, inputs, self.widths[-1]).to(device, dtype)
        vector_to_parameters(self.trajectory()[-1].to(device, dtype), model.parameters())
        return model.eval(), inputs.to(device, dtype), targets.to(device)

    def trajectory(self) -> torch.Tensor:
        """Return the weights along training, float32 (checkpoint, N); the last row is the network's weights."""
        # The file is memory-mapped because most methods need only the last weights.
        return torch.from_numpy(np.load(self.folder / "trajectory.npy", mmap_mode="c"))


def make_checkpoint(problem: Problem, folder: Path) -> Checkpoint:
    """Train a problem's network and write the files that methods need below ``folder``."""
    samples = _samples(problem.dataset)
    chosen = hessian_sample(samples.train_labels, problem.samples)
    target = folder / "-".join(map(str, (problem.dataset, *problem.hidden, problem.samples)))
    target.mkdir(parents=True, exist_ok=True)
    np.save(target / "inputs.npy", samples.train_images[chosen])
    np.save(target / "targets.npy", samples.train_labels[chosen])
    np.save(target / "trajectory.npy", _trained(problem.dataset, problem.hidden, problem.steps))
    pixels = samples.train_images[0].size
    return Checkpoint(problem, target, (pixels, *problem.hidden, samples.classes))


def unavailable(dataset: str) -> str | None:
    """Return why a data set is unavailable and how to provide it, or None if it is available.

    Nothing is downloaded.
    """
    if dataset in DIGESTS:
        if data_directory(None) is None:
            return f"set {VARIABLE} to a directory that holds {layout(dataset, list(DIGESTS[dataset]))}"
        try:
            _samples(dataset)
        except UserError as error:
            return str(error)
    return None


@lru_cache(maxsize=2)
def _samples(dataset: str) -> Samples:
    return SCALINGS[SCALING](load(dataset))


@lru_cache
def _trained(dataset: str, hidden: tuple[int, ...], steps: int) -> np.ndarray:
    """Return the flat weights along mini-batch training on the CPU, float32 (checkpoint, N).

    Training uses one thread. Small batches gain nothing from more threads, and with one thread the bits do not depend
    on the machine's number of cores.
    """
    samples = _samples(dataset)
    images, labels = torch.from_numpy(samples.train_images), torch.from_numpy(samples.train_labels)
    model = _network(hidden, images, samples.classes)
    optimizer = OPTIMIZERS[OPTIMIZER].build(model.parameters(), {"learning_rate": LEARNING_RATE})
    order = BatchOrder(len(labels), BATCH_SIZE, SEED, torch.device("cpu"))
    kept = np.linspace(0, steps, CHECKPOINTS, dtype=int).tolist()
    trajectory = []
    with computing_with(1):
        for step in range(steps):
            if step in kept:
                trajectory.append(parameters_to_vector(model.parameters()).detach())
            batch = order.indices(step)
            optimizer.zero_grad()
            cross_entropy(model(images[batch]), labels[batch]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return torch.stack([*trajectory, parameters_to_vector(model.parameters()).detach()]).numpy()


def _network(hidden: tuple[int, ...], images: torch.Tensor, classes: int) -> nn.Module:
    _, rows, columns = images.shape
    settings = {**MODEL, "hidden_widths": hidden}
    return build_model(settings, (rows, columns), classes, generator("weights", SEED))

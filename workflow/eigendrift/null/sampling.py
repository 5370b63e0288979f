"""Null models: each makes leading eigenvectors that lack something of those that training makes.

Each function takes a `NullInputs` and the numbers of the draws, and returns one record of a null store for each
draw. Draws of null models of trained networks are shared among the optimizers of the main experiment. Without
trainings (``NullInputs.optimizers`` is 0), the null model is applied to untrained networks, which validates it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector

from eigendrift.data.samples import Samples
from eigendrift.eigenpairs.landscape import Landscape, Record, undefined_record
from eigendrift.null.inputs import NullInputs
from eigendrift.numerics import generator
from eigendrift.training.torch_networks import build_model


def starts_of(draws: Sequence[int]) -> list[torch.Generator]:
    """Return a generator of the eigensolver's start vectors for each draw, all in the same state."""
    # The rounding of eigenpairs depends on the start vectors. If each draw had other start vectors, two draws
    # of the same network would differ in the last bits, and `metrics.copies` would not find the copy.
    # GPUs solve several networks in the same operations, where rounding may depend on what else is solved.
    return [generator("null", "start") for _ in draws]


def isotropic(inputs: NullInputs, draws: Sequence[int]) -> list[Record]:
    """Draw orthonormal vectors uniformly: directions without any structure, and no spectrum.

    Keeps the number of parameters alone; destroys architecture, data and training.
    """
    count, size = inputs.settings["eigenpairs"]["count"], inputs.landscape.size
    return [
        undefined_record(count, size)
        | {
            "eigenvector": uniform_frame(size, count, generator("null", "isotropic", draw)),
            "converged": np.ones(count, bool),
        }
        for draw in draws
    ]


def uniform_frame(size: int, count: int, random: torch.Generator) -> np.ndarray:
    """Draw orthonormal rows uniformly, float32 (count, size)."""
    frame = torch.randn(size, count, dtype=torch.float64, device="cpu", generator=random)
    orthonormal, upper = torch.linalg.qr(frame)
    # Without the signs of the diagonal, QR does not draw uniformly (Mezzadri 2007).
    orthonormal *= upper.diagonal().sign()
    return np.asarray(orthonormal.T.contiguous().numpy().astype(np.float32))


def reinitialized(inputs: NullInputs, draws: Sequence[int]) -> list[Record]:
    """Draw the Hessian's leading eigenpairs at fresh draws from the initialisation.

    Keeps the architecture, the data and the distribution of the initial weights; destroys all that training
    does.
    """
    rows, columns = inputs.samples.train_images.shape[1:]
    weights = []
    for draw in draws:
        random = generator("null", "reinitialized", draw)
        model = build_model(inputs.settings["model"], (rows, columns), inputs.samples.classes, random)
        weights.append(parameters_to_vector(model.parameters()).detach().numpy())
    return inputs.landscape.eigenpairs_at_each(weights, starts_of(draws))


def permuted(inputs: NullInputs, draws: Sequence[int]) -> list[Record]:
    """Draw the Hessian's leading eigenpairs at final weights of the main experiment, permuted within layers.

    Keeps the architecture, the data and the set of each parameter tensor's trained values, so their scale and
    distribution; destroys how they are arranged. Weight matrices and bias vectors are permuted each among
    themselves. Several draws may permute the weights of one run, each in its own way.
    """
    sizes = [parameter.numel() for parameter in inputs.landscape.model.parameters()]
    weights = [
        permute_within(inputs.end_of(draw), sizes, generator("null", "permuted", draw)) for draw in draws
    ]
    return inputs.landscape.eigenpairs_at_each(weights, starts_of(draws))


def permute_within(weights: np.ndarray, sizes: Sequence[int], random: torch.Generator) -> np.ndarray:
    """Permute flat weights within each parameter tensor.

    Args:
        weights: float32 (N,), in ``model.parameters()`` order.
        sizes: Elements of each parameter tensor; they add up to N.
        random: CPU generator.
    """
    parts = np.split(weights, np.cumsum(sizes)[:-1])
    orders = (torch.randperm(len(part), device="cpu", generator=random).numpy() for part in parts)
    return np.concatenate([part[order] for part, order in zip(parts, orders, strict=True)])


def shuffled_labels(inputs: NullInputs, draws: Sequence[int]) -> list[Record]:
    """Draw the Hessian's leading eigenpairs at the end of a training on labels shuffled among its samples.

    The Hessian is over the shuffled samples as well. Keeps architecture, initial weights, images, order of
    the batches, class frequencies, optimizer and length of training; destroys what there is to learn about
    the images. All optimizers of a seed start alike and see the same shuffled labels.
    """
    return [_at_shuffled_labels(inputs, draw) for draw in draws]


def _at_shuffled_labels(inputs: NullInputs, draw: int) -> Record:
    shuffle = generator("null", "shuffled_labels", inputs.seed_of(draw))
    samples = with_shuffled_labels(inputs.samples, shuffle)
    weights = inputs.trained_on(samples, draw)
    landscape = Landscape(
        samples, inputs.settings["model"], inputs.settings["eigenpairs"], inputs.device, together=1
    )
    (start,) = starts_of([draw])
    return landscape.eigenpairs_at(weights, start)


def with_shuffled_labels(samples: Samples, random: torch.Generator) -> Samples:
    """Permute the labels among the training samples; images and test samples stay as they are.

    Args:
        samples: Data set.
        random: CPU generator.
    """
    labels = samples.train_labels
    return replace(samples, train_labels=labels[torch.randperm(len(labels), generator=random).numpy()])


def observed(inputs: NullInputs, draws: Sequence[int]) -> list[Record]:
    """Draw the Hessian's leading eigenpairs at the weights that training starts from, seed by seed.

    No null model: what the null models are compared with where there is no training yet.
    """
    weights = [inputs.initial(draw) for draw in draws]
    return inputs.landscape.eigenpairs_at_each(weights, starts_of(draws))

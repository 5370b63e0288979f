"""Draws from null models, whose leading eigenvectors lack something that training creates.

Each null model is a function that takes a `NullInputs` and the numbers of the draws, and returns one record of a null
store for each draw. Without trainings (``NullInputs.optimizers`` is 0), the null model is applied to untrained
networks, which validates it. `eigendrift.null.models` lists what each null model keeps and destroys.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector

from eigendrift.data.samples import Samples
from eigendrift.eigenpairs.decompose import keep_records, record_columns
from eigendrift.eigenpairs.landscape import Landscape, Record, undefined_record
from eigendrift.errors import UserError
from eigendrift.null.inputs import NullInputs
from eigendrift.null.models import NULL_MODELS
from eigendrift.numerics import generator
from eigendrift.stores.writing import Column
from eigendrift.training.torch_networks import build_model

logger = logging.getLogger(__name__)

# Name of the untrained networks that the null models are compared with.
OBSERVED = "observed"


def draw_null(inputs: NullInputs, label: str) -> dict[str, Column]:
    """Return draws from the null model of the settings, or from the observed untrained networks.

    Args:
        inputs: What draws are made from. Its progress keeps the draws that an interrupted job has finished.
        label: Name of the job in messages.

    Returns:
        The arrays of a null store. Draws whose training diverged are NaN and not converged.

    Raises:
        UserError: If the draws of a plug-in are not records of a null store.
    """
    name, draws = inputs.settings["null_model"], inputs.settings["draws"]
    draw_from = observed if name == OBSERVED else NULL_MODELS[name].draw

    def draw(group: range) -> list[Record]:
        return checked(draw_from(inputs, group), inputs, len(group))

    keep_records(inputs.progress, draws, inputs.landscape.together, draw, label)
    return record_columns(inputs.progress, draws) | {
        "draw": np.arange(draws),
        "optimizer": np.array([inputs.optimizer_of(draw) for draw in range(draws)]),
    }


def checked(records: Any, inputs: NullInputs, draws: int) -> list[Record]:
    """Return draws if they are a list of one record of a null store for each number.

    Raises:
        UserError: If they are something else.
    """
    expected = undefined_record(inputs.settings["eigenpairs"]["count"], inputs.landscape.size)
    sizes = {name: array.shape for name, array in expected.items()}
    found = len(records) if isinstance(records, list | tuple) else type(records).__name__
    wrong = None
    if found != draws:
        wrong = f"{found} for {draws} draws, expected a list of a record for each"
    elif not all(isinstance(record, Mapping) for record in records):
        wrong = "something other than records, which are dicts of arrays"
    elif any({name: np.shape(array) for name, array in record.items()} != sizes for record in records):
        wrong = f"a record whose arrays differ from the arrays of a null store, {sizes}"
    if wrong:
        raise UserError(
            f"The null model '{inputs.settings['null_model']}' draws {wrong}; fix its function draw, which usually "
            "returns what inputs.landscape.eigenpairs_at_each does."
        )
    return list(records)


def summarize_draws(columns: Mapping[str, Column]) -> dict[str, Any]:
    """Return what readers of a null store must know.

    Returns:
        ``parameters``: N. ``diverged``: draws that have no Hessian because their training diverged.
    """
    without = ~np.asarray(columns["converged"]).any(1) & (np.asarray(columns["matvecs"]) == 0)
    diverged = np.flatnonzero(without).tolist()
    if diverged:
        logger.warning("Draws without a Hessian: %s.", ", ".join(map(str, diverged)))
    return {"parameters": int(columns["eigenvector"][0].shape[1]), "diverged": diverged}


def starts_of(draws: Sequence[int]) -> list[torch.Generator]:
    """Return a generator of the eigensolver's start vectors for each draw, all in the same state."""
    # The rounding of eigenpairs depends on the start vectors. If each draw had other start vectors, two draws of the
    # same network would differ in the last bits, and `metrics.copies` would not find the copy.
    # On GPUs several networks are solved in the same operations, where rounding may differ between them.
    return [generator("null", "start") for _ in draws]


def isotropic(inputs: NullInputs, draws: Sequence[int]) -> list[Record]:
    """Draw orthonormal vectors uniformly, which are directions without any structure or spectrum."""
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
    """Draw the Hessian's leading eigenpairs at fresh draws from the initialization."""
    rows, columns = inputs.samples.train_images.shape[1:]
    weights = []
    for draw in draws:
        random = generator("null", "reinitialized", draw)
        model = build_model(inputs.settings["model"], (rows, columns), inputs.samples.classes, random)
        weights.append(parameters_to_vector(model.parameters()).detach().numpy())
    return inputs.landscape.eigenpairs_at_each(weights, starts_of(draws))


def permuted(inputs: NullInputs, draws: Sequence[int]) -> list[Record]:
    """Draw the Hessian's leading eigenpairs at final weights of the main experiment, permuted within layers.

    Each weight matrix and each bias vector is permuted separately. Several draws may permute the weights of one run,
    each in its own way.
    """
    sizes = [parameter.numel() for parameter in inputs.landscape.model.parameters()]
    weights = [permute_within(inputs.end_of(draw), sizes, generator("null", "permuted", draw)) for draw in draws]
    return inputs.landscape.eigenpairs_at_each(weights, starts_of(draws))


def permute_within(weights: np.ndarray, sizes: Sequence[int], random: torch.Generator) -> np.ndarray:
    """Permute flat weights within each parameter tensor.

    Args:
        weights: float32 (N,), in ``model.parameters()`` order.
        sizes: Elements of each parameter tensor; the sum is N.
        random: CPU generator.
    """
    parts = np.split(weights, np.cumsum(sizes)[:-1])
    orders = (torch.randperm(len(part), device="cpu", generator=random).numpy() for part in parts)
    return np.concatenate([part[order] for part, order in zip(parts, orders, strict=True)])


def shuffled_labels(inputs: NullInputs, draws: Sequence[int]) -> list[Record]:
    """Draw the Hessian's leading eigenpairs at the end of a training on labels shuffled among its samples.

    The Hessian is over the shuffled samples as well. All optimizers of a seed start alike and see the same shuffled
    labels.
    """
    records = []
    model, solver = inputs.settings["model"], inputs.settings["eigenpairs"]
    for draw, start in zip(draws, starts_of(draws), strict=True):
        shuffle = generator("null", "shuffled_labels", inputs.seed_of(draw))
        samples = with_shuffled_labels(inputs.samples, shuffle)
        landscape = Landscape(samples, model, solver, inputs.device, together=1)
        records.append(landscape.eigenpairs_at(inputs.trained_on(samples, draw), start))
    return records


def with_shuffled_labels(samples: Samples, random: torch.Generator) -> Samples:
    """Permute the labels among the training samples; images and test samples stay as they are."""
    labels = samples.train_labels
    return replace(samples, train_labels=labels[torch.randperm(len(labels), generator=random).numpy()])


def observed(inputs: NullInputs, draws: Sequence[int]) -> list[Record]:
    """Draw the Hessian's leading eigenpairs at the weights that training starts from, seed by seed.

    This is not a null model: null models without training are compared with these networks.
    """
    weights = [inputs.initial(draw) for draw in draws]
    return inputs.landscape.eigenpairs_at_each(weights, starts_of(draws))

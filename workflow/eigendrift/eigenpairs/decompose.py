"""Eigenpairs of a network's Hessian, at one point and along a trajectory."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import vector_to_parameters

from eigendrift.data.samples import Samples
from eigendrift.data.selection import hessian_sample
from eigendrift.eigenpairs.lanczos import MISS_PROBABILITY, leading_eigenpairs
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.errors import UserError
from eigendrift.numerics import generator
from eigendrift.stores.progress import Progress
from eigendrift.stores.writing import Column
from eigendrift.tracking import tracked
from eigendrift.training.models import build_model

logger = logging.getLogger(__name__)

Record = dict[str, np.ndarray]


@dataclass(frozen=True)
class Decomposition:
    """Eigenpairs at every checkpoint of a run.

    Attributes:
        columns: The arrays of an eigenpairs store; checkpoints without finite weights are NaN.
        summary: ``pairs``; ``unconverged``, those that are NaN, miss the tolerance or may not be the leading
            ones; ``uncertain``, checkpoints whose search for missing pairs left more doubt than is aimed for,
            because eigenvalues lie close to the last one; ``products``, Hessian-vector products used in all.
    """

    columns: dict[str, Column]
    summary: dict[str, int]


class Landscape:
    """The loss of one network on one fixed sample, whose Hessian can be taken at any weights."""

    def __init__(
        self,
        samples: Samples,
        model_settings: Mapping[str, Any],
        settings: Mapping[str, Any],
        device: torch.device,
    ) -> None:
        """Put network and sample on the device.

        Args:
            samples: Data set; the Hessian is over its training part.
            model_settings: The network, as in the configuration.
            settings: ``count``, ``samples``, ``chunk_size``, ``tolerance``, ``max_products`` and
                ``basis_size``, as in the configuration.
            device: Where to compute.

        Raises:
            UserError: More samples or eigenpairs are asked for than there are.
        """
        chosen = hessian_sample(samples.train_labels, settings["samples"])
        self._inputs = torch.from_numpy(samples.train_images[chosen]).to(device)
        self._targets = torch.from_numpy(samples.train_labels[chosen]).to(device)
        rows, columns = samples.train_images.shape[1:]
        unused = generator("placeholder")
        self.model: nn.Module = build_model(model_settings, (rows, columns), samples.classes, unused).to(
            device
        )
        self.model.eval()
        self.size = sum(parameter.numel() for parameter in self.model.parameters())
        self._settings = settings
        if settings["count"] > self.size:
            raise UserError(
                f"Config key 'eigenpairs.count' is {settings['count']}, but the network has only {self.size} "
                "parameters; lower it."
            )

    def eigenpairs_at(self, weights: np.ndarray, start: torch.Generator) -> Record:
        """Return the leading eigenpairs as a record of an eigenpairs or null store.

        Args:
            weights: float32 (N,) flat weights, in ``model.parameters()`` order.
            start: Generator of the solver's random vectors.

        Returns:
            The record; that of `undefined_record` where the weights or the Hessian are not finite.
        """
        undefined = undefined_record(self._settings["count"], self.size)
        if not np.isfinite(weights).all():
            return undefined
        # A copy: the network's parameters become views of it.
        flat = torch.tensor(weights, device=self._inputs.device)
        vector_to_parameters(flat, self.model.parameters())
        operator = hessian_operator(
            self.model, cross_entropy, self._inputs, self._targets, self._settings["chunk_size"]
        )
        try:
            pairs = leading_eigenpairs(
                operator,
                self._settings["count"],
                generator=start,
                tolerance=self._settings["tolerance"],
                max_products=self._settings["max_products"],
                basis_size=self._settings["basis_size"],
            )
        except FloatingPointError as error:
            logger.warning("The Hessian overflows: %s.", error)
            return undefined
        return {
            "eigenvalue": pairs.eigenvalues.numpy(),
            "eigenvector": pairs.eigenvectors.cpu().numpy(),
            "residual": pairs.residuals.numpy(),
            "converged": pairs.converged.numpy(),
            "gap": pairs.gaps.numpy(),
            "next_eigenvalue": np.array(pairs.next_eigenvalue),
            "miss_probability": np.array(pairs.miss_probability),
            "matvecs": np.array(pairs.products),
            "search_matvecs": np.array(pairs.search_products),
        }


def undefined_record(count: int, size: int) -> Record:
    """Return the record of weights that have no Hessian: NaN, not converged, no products."""
    return {
        **{name: np.full(count, np.nan) for name in ("eigenvalue", "residual", "gap")},
        "eigenvector": np.full((count, size), np.nan, np.float32),
        "converged": np.zeros(count, bool),
        "next_eigenvalue": np.array(np.nan),
        "miss_probability": np.array(np.nan),
        "matvecs": np.array(0),
        "search_matvecs": np.array(0),
    }


def decompose(
    landscape: Landscape,
    weights: Column,
    steps: np.ndarray,
    progress: Progress,
    seed: int,
    label: str,
) -> Decomposition:
    """Take the leading eigenpairs at every checkpoint of a run.

    Each checkpoint starts from its own random vectors, so an error cannot travel along the trajectory and an
    interrupted job resumes with the same bits.

    Args:
        landscape: The loss whose Hessian is meant.
        weights: float32 (checkpoint, N), flat weights; NaN where the run had diverged.
        steps: int64 (checkpoint,), steps taken before each checkpoint.
        progress: Keeps the records of finished checkpoints.
        seed: Number of the initialisation; the solver's random vectors depend on it.
        label: Name of the run in messages.
    """
    first = progress.completed()
    with tracked(label, len(steps), done=first) as tracker:
        for index in range(first, len(steps)):
            start = generator("eigenpairs", seed, int(steps[index]))
            record = landscape.eigenpairs_at(np.asarray(weights[index]), start)
            progress.save(index, record)
            tracker.reach(index + 1, f"λ1 {record['eigenvalue'][0]:.3g}")
    columns = record_columns(progress, len(steps))
    columns["step"] = np.asarray(steps)
    converged, doubt = np.asarray(columns["converged"]), np.asarray(columns["miss_probability"])
    summary = {
        "pairs": converged.size,
        "unconverged": int((~converged).sum()),
        "uncertain": int((doubt > MISS_PROBABILITY).sum()),
        "products": int(np.sum(columns["matvecs"])),
    }
    logger.info("%s: %s", label, ", ".join(f"{value} {name}" for name, value in summary.items()))
    return Decomposition(columns, summary)


def record_columns(progress: Progress, length: int) -> dict[str, Column]:
    """Collect records into the arrays of a store, ``rank`` included; eigenvectors stay on disk."""
    example = progress.load(0)
    columns: dict[str, Column] = {
        name: progress.column(name, length)
        if name == "eigenvector"
        else np.array(list(progress.column(name, length)))
        for name in example
    }
    columns["rank"] = np.arange(1, len(example["eigenvalue"]) + 1)
    return columns

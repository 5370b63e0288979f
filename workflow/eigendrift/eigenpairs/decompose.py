"""Eigenpairs of a network's Hessian along a trajectory."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray as xr

from eigendrift.data.samples import Samples
from eigendrift.eigenpairs.lanczos import MISS_PROBABILITY
from eigendrift.eigenpairs.landscape import Landscape, Record
from eigendrift.numerics import generator
from eigendrift.stores.progress import Progress
from eigendrift.stores.writing import Column
from eigendrift.tracking import tracked
from eigendrift.training.optimizers import OPTIMIZERS, preconditioners_along

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decomposition:
    """Eigenpairs at every checkpoint of a run.

    Attributes:
        columns: The arrays of an eigenpairs store; checkpoints without finite weights are NaN.
        summary: Numbers of ``pairs``; of ``unconverged`` pairs, which are NaN, miss the tolerance or may not be the
            leading ones; of ``uncertain`` checkpoints, whose search for missing pairs ran out of products because other
            eigenvalues are close to the last one; and of Hessian-vector ``products``.
    """

    columns: dict[str, Column]
    summary: dict[str, Any]


def decompose_run(
    trajectory: xr.Dataset,
    samples: Samples,
    settings: Mapping[str, Any],
    device: torch.device,
    progress: Progress,
    label: str,
) -> Decomposition:
    """Compute the leading eigenpairs at every n-th checkpoint of a trajectory store.

    Args:
        trajectory: The store.
        samples: The data set of the training.
        settings: ``training``; ``eigenpairs``, the settings of the solver; ``every``, which is n; and
            ``preconditioned``, whether the Hessian is P^(−1/2) H P^(−1/2), P the optimizer's diagonal.
        device: Where to compute.
        progress: Keeps the records of finished checkpoints.
        label: Name of the run in messages.

    Returns:
        The eigenpairs; ``shapes`` in the summary are the shapes of the parameters.
    """
    training = settings["training"]
    # An array of a store is read a checkpoint at a time.
    checkpoints: Any = trajectory.isel(checkpoint=slice(None, None, settings["every"]))
    steps = checkpoints["step"].values
    preconditioner = OPTIMIZERS[training["optimizer"]["name"]].preconditioner
    diagonals = None
    if settings["preconditioned"] and preconditioner:
        moments, gradients = checkpoints["second_moment"], checkpoints["gradient"]
        diagonals = preconditioners_along(preconditioner, training["optimizer"], moments, gradients, steps)
    landscape = Landscape(samples, training["model"], settings["eigenpairs"], device)
    pairs = decompose(landscape, checkpoints["weights"], steps, progress, training["seed"], label, diagonals)
    return replace(pairs, summary={**pairs.summary, "shapes": landscape.shapes})


def decompose(
    landscape: Landscape,
    weights: Column,
    steps: np.ndarray,
    progress: Progress,
    seed: int,
    label: str,
    preconditioner_at: Callable[[int], np.ndarray] | None = None,
) -> Decomposition:
    """Return the leading eigenpairs at every checkpoint of a run.

    Each checkpoint starts from its own random vectors, so an error cannot spread along the trajectory, and an
    interrupted job resumes with the same bits.

    Args:
        landscape: The loss whose Hessian is decomposed.
        weights: float32 (checkpoint, N), flat weights; NaN after the run has diverged.
        steps: int64 (checkpoint,), steps taken before each checkpoint.
        progress: Keeps the records of finished checkpoints.
        seed: Seed of the run, on which the solver's random vectors depend.
        label: Name of the run in messages.
        preconditioner_at: Returns the diagonal P at a checkpoint, (N,), for the eigenpairs of
            P^(−1/2) H P^(−1/2); None for the eigenpairs of H.
    """

    def at(group: range) -> list[Record]:
        starts = [generator("eigenpairs", seed, int(steps[index])) for index in group]
        diagonals = [preconditioner_at(index) for index in group] if preconditioner_at else None
        flat = [np.asarray(weights[index]) for index in group]
        return landscape.eigenpairs_at_each(flat, starts, diagonals)

    keep_records(
        progress, len(steps), landscape.together, at, label, lambda record: f"λ1 {record['eigenvalue'][0]:.3g}"
    )
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


def keep_records(
    progress: Progress,
    length: int,
    together: int,
    compute: Callable[[range], list[Record]],
    label: str,
    note: Callable[[Record], str] = lambda record: "",
) -> None:
    """Compute and keep the records that an earlier, interrupted job has not kept.

    Args:
        progress: Keeps the records.
        length: Number of all records.
        together: Number of consecutive records that are computed at once.
        compute: Returns the records with given indices. Their bits may depend on all of the indices, so a whole group
            is computed again if any of its records is missing.
        label: Name of the job in messages.
        note: Returns what to show of a record.
    """
    done = progress.completed()
    with tracked(label, length, done=done) as tracker:
        for first in range(0, length, together):
            group = range(first, min(first + together, length))
            if group[-1] < done:
                continue
            for index, record in zip(group, compute(group), strict=True):
                if index >= done:
                    progress.save(index, record)
                    tracker.reach(index + 1, note(record))


def record_columns(progress: Progress, length: int) -> dict[str, Column]:
    """Return the arrays of a store from records, with ``rank``; eigenvectors stay on disk."""
    example = progress.load(0)
    return {
        "eigenvector": progress.column("eigenvector", length),
        **progress.stacked(example.keys() - {"eigenvector"}, length),
        "rank": np.arange(1, len(example["eigenvalue"]) + 1),
    }

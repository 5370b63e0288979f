"""Everything that figures and claims need of one run."""

from typing import Any

import numpy as np
import xarray as xr

from eigendrift.metrics.alignment import alignment, weight_change_alignment
from eigendrift.metrics.anatomy import anatomy, layers_in
from eigendrift.metrics.displacement import (
    displacement,
    overlaps,
    subspace_displacement,
    tracked_displacement,
    weight_displacement,
)
from eigendrift.metrics.localization import inverse_participation_ratio

COPIED = ("step", "train_loss", "train_accuracy", "test_loss", "test_accuracy")


def measure_run(trajectory: xr.Dataset, eigenpairs: xr.Dataset) -> dict[str, np.ndarray]:
    """Measure displacement, localization and alignment along a run.

    Args:
        trajectory: A trajectory store.
        eigenpairs: An eigenpairs store of the same run; its checkpoints, which may be fewer, are measured.

    Returns:
        The arrays of a metrics store. Pairs that are not converged are NaN.
    """
    trajectory = _where_solved(trajectory, eigenpairs)
    converged = eigenpairs["converged"].values
    vectors = np.where(converged[..., None], eigenpairs["eigenvector"].values, np.nan)
    overlap = overlaps(vectors)
    weights = trajectory["weights"].values
    shapes = eigenpairs.attrs["summary"]["shapes"]
    return {
        **{name: trajectory[name].values for name in COPIED},
        "rank": eigenpairs["rank"].values,
        "layer": np.arange(1, len(layers_in(shapes)) + 1),
        "eigenvalue": np.where(converged, eigenpairs["eigenvalue"].values, np.nan),
        "gap": np.where(converged, eigenpairs["gap"].values, np.nan),
        "displacement": displacement(overlap),
        "tracked_displacement": tracked_displacement(overlap),
        "subspace_displacement": subspace_displacement(overlap),
        "weight_displacement": weight_displacement(weights),
        "weight_change_alignment": weight_change_alignment(weights, vectors),
        "inverse_participation_ratio": inverse_participation_ratio(vectors),
        **anatomy(vectors, shapes),
        "gradient_alignment": alignment(trajectory["gradient"].values, vectors),
        "update_alignment": alignment(trajectory["update"].values, vectors),
        "final_overlap": np.abs(np.einsum("sii->si", overlap[:, :, -1, :])),
    }


def measure_preconditioned(eigenpairs: xr.Dataset) -> dict[str, np.ndarray]:
    """Measure displacement and localization of the preconditioned Hessian's eigenvectors.

    Args:
        eigenpairs: The eigenpairs store of a run's preconditioned Hessian.

    Returns:
        The arrays of a store of preconditioned metrics. Pairs that are not converged are NaN.
    """
    converged = eigenpairs["converged"].values
    vectors = np.where(converged[..., None], eigenpairs["eigenvector"].values, np.nan)
    overlap = overlaps(vectors)
    return {
        "step": eigenpairs["step"].values,
        "rank": eigenpairs["rank"].values,
        "eigenvalue": np.where(converged, eigenpairs["eigenvalue"].values, np.nan),
        "displacement": displacement(overlap),
        "tracked_displacement": tracked_displacement(overlap),
        "subspace_displacement": subspace_displacement(overlap),
        "inverse_participation_ratio": inverse_participation_ratio(vectors),
    }


def summarize_run(trajectory: xr.Dataset, eigenpairs: xr.Dataset) -> dict[str, Any]:
    """Return what a reader of a run's metrics must know.

    Returns:
        ``parameters``: N. ``shapes``: of every parameter tensor. ``diverged_at``: step, or None.
        ``unconverged``: pairs left out at checkpoints before a divergence.
    """
    reached = np.isfinite(_where_solved(trajectory, eigenpairs)["train_loss"].values)
    return {
        "parameters": eigenpairs.sizes["parameter"],
        "shapes": eigenpairs.attrs["summary"]["shapes"],
        "diverged_at": trajectory.attrs["summary"]["diverged_at"],
        "unconverged": int((~eigenpairs["converged"].values[reached]).sum()),
    }


def _where_solved(trajectory: xr.Dataset, eigenpairs: xr.Dataset) -> xr.Dataset:
    """Return the checkpoints of a trajectory at which eigenpairs were computed."""
    solved = np.isin(trajectory["step"].values, eigenpairs["step"].values)
    return trajectory.isel(checkpoint=np.flatnonzero(solved))

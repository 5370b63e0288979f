"""Everything that figures and claims need from one run, or from the draws of one null model."""

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
from eigendrift.metrics.draws import pairs_of
from eigendrift.metrics.localization import inverse_participation_ratio

COPIED = ("step", "train_loss", "train_accuracy", "test_loss", "test_accuracy")


def measure_run(trajectory: xr.Dataset, eigenpairs: xr.Dataset) -> dict[str, np.ndarray]:
    """Measure displacement, localization and alignment along a run.

    Args:
        trajectory: A trajectory store.
        eigenpairs: An eigenpairs store of the same run. Its checkpoints, which may be fewer, are measured.

    Returns:
        The arrays of a metrics store. Pairs that are not converged are NaN.
    """
    trajectory = _where_solved(trajectory, eigenpairs)
    vectors = _converged(eigenpairs, "eigenvector")
    overlap = overlaps(vectors)
    weights = trajectory["weights"].values
    return {
        **{name: trajectory[name].values for name in COPIED},
        **_measure_pairs(eigenpairs, vectors, overlap),
        **_measure_anatomy(eigenpairs, vectors),
        "gap": _converged(eigenpairs, "gap"),
        "weight_displacement": weight_displacement(weights),
        "weight_change_alignment": weight_change_alignment(weights, vectors),
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
    vectors = _converged(eigenpairs, "eigenvector")
    measured = _measure_pairs(eigenpairs, vectors, overlaps(vectors))
    return {"step": eigenpairs["step"].values, **measured}


def measure_baseline(draws: xr.Dataset) -> dict[str, np.ndarray]:
    """Measure the distributions of the statistics over the draws of a null model.

    Draws of one optimizer are independent, so every pair of them is a draw of the displacement between unrelated
    Hessians. Draws of two optimizers may share their start, so they are not paired.

    Args:
        draws: A null store.

    Returns:
        The arrays of a baseline store. Pairs that are not converged are NaN.
    """
    vectors = _converged(draws, "eigenvector")
    overlap = overlaps(vectors)
    one, other = pairs_of(draws["optimizer"].values)
    return {
        **{name: draws[name].values for name in ("draw", "rank", "optimizer")},
        **_measure_anatomy(draws, vectors),
        "eigenvalue": _converged(draws, "eigenvalue"),
        "inverse_participation_ratio": inverse_participation_ratio(vectors),
        "displacement": displacement(overlap)[one, other],
        "subspace_displacement": subspace_displacement(overlap)[one, other],
    }


def _converged(pairs: xr.Dataset, name: str) -> np.ndarray:
    """Return an array of eigenpairs, with NaN where a pair is not converged."""
    array, converged = pairs[name].values, pairs["converged"].values
    return np.where(converged[..., None] if array.ndim > converged.ndim else converged, array, np.nan)


def _measure_pairs(eigenpairs: xr.Dataset, vectors: np.ndarray, overlap: np.ndarray) -> dict[str, np.ndarray]:
    """Return the metrics that a run shares with its preconditioned Hessian."""
    return {
        "rank": eigenpairs["rank"].values,
        "eigenvalue": _converged(eigenpairs, "eigenvalue"),
        "displacement": displacement(overlap),
        "tracked_displacement": tracked_displacement(overlap),
        "subspace_displacement": subspace_displacement(overlap),
        "inverse_participation_ratio": inverse_participation_ratio(vectors),
    }


def _measure_anatomy(pairs: xr.Dataset, vectors: np.ndarray) -> dict[str, np.ndarray]:
    shapes = pairs.attrs["summary"]["shapes"]
    return {"layer": np.arange(1, len(layers_in(shapes)) + 1), **anatomy(vectors, shapes)}


def summarize_run(trajectory: xr.Dataset, eigenpairs: xr.Dataset) -> dict[str, Any]:
    """Return what a reader of a run's metrics must know.

    Returns:
        ``parameters``: N. ``shapes``: shape of every parameter tensor. ``diverged_at``: step, or None.
        ``unconverged``: number of pairs that are left out at checkpoints before a divergence.
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

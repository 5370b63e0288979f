"""What displacement and localization amount to under a null model."""

import numpy as np
import xarray as xr

from eigendrift.metrics.anatomy import anatomy, layers_in
from eigendrift.metrics.displacement import displacement, overlaps, subspace_displacement
from eigendrift.metrics.localization import inverse_participation_ratio


def measure_baseline(draws: xr.Dataset) -> dict[str, np.ndarray]:
    """Turn the draws of a null model into distributions of the statistics.

    Draws of one optimizer are independent, so every pair of them is a draw of the displacement between
    unrelated Hessians. Draws of two optimizers may share their start, and are not paired.

    Args:
        draws: A null store.

    Returns:
        The arrays of a baseline store. Pairs that are not converged are NaN.
    """
    converged = draws["converged"].values
    vectors = np.where(converged[..., None], draws["eigenvector"].values, np.nan)
    overlap = overlaps(vectors)
    one, other = pairs_of(draws["optimizer"].values)
    shapes = draws.attrs["summary"]["shapes"]
    return {
        "draw": draws["draw"].values,
        "rank": draws["rank"].values,
        "optimizer": draws["optimizer"].values,
        "layer": np.arange(1, len(layers_in(shapes)) + 1),
        "eigenvalue": np.where(converged, draws["eigenvalue"].values, np.nan),
        "inverse_participation_ratio": inverse_participation_ratio(vectors),
        **anatomy(vectors, shapes),
        "displacement": displacement(overlap)[one, other],
        "subspace_displacement": subspace_displacement(overlap)[one, other],
    }


def pairs_of(optimizers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of draws that displacements are measured between, two int64 (pair,) indices of draws.

    Args:
        optimizers: int64 (draw,), the array ``optimizer`` of a null or baseline store.
    """
    one, other = np.triu_indices(len(optimizers), k=1)
    alike = optimizers[one] == optimizers[other]
    return one[alike], other[alike]


def draws_for(baseline: xr.Dataset, optimizer: str) -> xr.Dataset:
    """Return the draws of a null model that belong to an optimizer, and the pairs of them.

    Args:
        baseline: A baseline store.
        optimizer: Its name. All draws are returned where the null model knows no optimizer, or not this one.
    """
    trainings = baseline.attrs.get("settings", {}).get("trainings", [])
    names = [training["optimizer"]["name"] for training in trainings]
    if optimizer not in names:
        return baseline
    own = baseline["optimizer"].values == names.index(optimizer)
    one, _ = pairs_of(baseline["optimizer"].values)
    return baseline.isel(draw=np.flatnonzero(own), pair=np.flatnonzero(own[one]))

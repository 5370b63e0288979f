"""What displacement and localization amount to under a null model."""

import numpy as np
import xarray as xr

from eigendrift.metrics.anatomy import anatomy, layers_in
from eigendrift.metrics.displacement import displacement, overlaps, subspace_displacement
from eigendrift.metrics.draws import pairs_of
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

"""What displacement and localization amount to under a null model."""

import numpy as np
import xarray as xr

from eigendrift.metrics.displacement import displacement, overlaps, subspace_displacement
from eigendrift.metrics.localization import inverse_participation_ratio


def measure_baseline(draws: xr.Dataset) -> dict[str, np.ndarray]:
    """Turn the draws of a null model into distributions of the statistics.

    Draws are independent, so every pair of them is one draw of the displacement between unrelated Hessians.

    Args:
        draws: A null store.

    Returns:
        The arrays of a baseline store. Pairs that are not converged are NaN.
    """
    converged = draws["converged"].values
    vectors = np.where(converged[..., None], draws["eigenvector"].values, np.nan)
    overlap = overlaps(vectors)
    one, other = np.triu_indices(len(vectors), k=1)
    return {
        "draw": draws["draw"].values,
        "rank": draws["rank"].values,
        "eigenvalue": np.where(converged, draws["eigenvalue"].values, np.nan),
        "inverse_participation_ratio": inverse_participation_ratio(vectors),
        "displacement": displacement(overlap)[one, other],
        "subspace_displacement": subspace_displacement(overlap)[one, other],
    }

"""The draws of a null model, and the pairs of draws between which displacements are measured."""

import numpy as np
import xarray as xr


def pairs_of(optimizers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of draws between which displacements are measured, two int64 (pair,) index arrays.

    Args:
        optimizers: int64 (draw,), the array ``optimizer`` of a null or baseline store.
    """
    one, other = np.triu_indices(len(optimizers), k=1)
    alike = optimizers[one] == optimizers[other]
    return one[alike], other[alike]


def draws_for(baseline: xr.Dataset, optimizer: str) -> xr.Dataset:
    """Return the draws of a null model that belong to an optimizer, and their pairs.

    Args:
        baseline: A baseline store.
        optimizer: Name of the optimizer. If no draw belongs to it, all draws are returned.
    """
    trainings = baseline.attrs.get("settings", {}).get("trainings", [])
    names = [training["optimizer"]["name"] for training in trainings]
    if optimizer not in names:
        return baseline
    return select_draws(baseline, baseline["optimizer"].values == names.index(optimizer))


def select_draws(baseline: xr.Dataset, kept: np.ndarray) -> xr.Dataset:
    """Return some of the draws of a null model, and the pairs whose draws are both among them.

    Args:
        baseline: A baseline store.
        kept: bool (draw,).
    """
    one, other = pairs_of(baseline["optimizer"].values)
    return baseline.isel(draw=np.flatnonzero(kept), pair=np.flatnonzero(kept[one] & kept[other]))

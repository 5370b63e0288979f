"""Logarithms of quantities that spread over factors."""

import numpy as np
import xarray as xr


def log10(values: xr.DataArray) -> xr.DataArray:
    """Return the decimal logarithm where there is one, NaN elsewhere, as for a negative eigenvalue."""
    logarithms: xr.DataArray = xr.apply_ufunc(np.log10, values.where(values > 0))
    return logarithms

"""Logarithms of what may have none."""

import numpy as np
import xarray as xr

from eigendrift.metrics.logarithms import log10


def test_what_is_not_positive_has_no_logarithm() -> None:
    values = xr.DataArray([100.0, 0.1, 0, -10, np.nan], {"rank": [1, 2, 3, 4, 5]})
    xr.testing.assert_allclose(log10(values), values.copy(data=[2, -1, np.nan, np.nan, np.nan]))

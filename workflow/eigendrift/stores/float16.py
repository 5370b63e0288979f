"""Half precision on disk: float16 of numbers between −1 and 1, such as the entries of unit vectors.

The entries of a unit vector are about N^(−1/2), for large networks near 2⁻¹⁴, below which float16 loses
digits. So it holds 2¹⁵ times each number: all 11 digits from 2⁻²⁹ up, and 1 does not overflow. The factor is
a power of two, so that rounding is the only error. The array's attribute ``scale_factor`` has its inverse, by
which xarray undoes it, too.
"""

import numpy as np

DTYPE = "float16"
SCALE_FACTOR = 2.0**-15


def packed(values: np.ndarray) -> np.ndarray:
    """Return what the disk holds, float16, of float32 values from −1 to 1; NaN stays NaN."""
    return (values / np.float32(SCALE_FACTOR)).astype(DTYPE)


def unpacked(stored: np.ndarray) -> np.ndarray:
    """Return the float32 values, rounded, that the disk holds."""
    return stored.astype(np.float32) * np.float32(SCALE_FACTOR)

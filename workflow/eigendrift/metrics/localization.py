"""The inverse participation ratio, which measures how concentrated a vector is on few parameters."""

import numpy as np
from numpy.typing import ArrayLike

from eigendrift.metrics.arrays import as_array, at_safe_scale, blocks


@np.errstate(all="ignore")
def inverse_participation_ratio(vectors: ArrayLike) -> np.ndarray:
    """Return Σ_j v_j⁴ of unit vectors, whose inverse is the effective number of parameters.

    Murphy et al. 2011, European Physical Journal D 65.

    Args:
        vectors: (…, parameter), of any length; NaN or zero where undefined.

    Returns:
        float64 (…), from 1/N (evenly spread) to 1 (a single parameter); NaN where undefined.

    >>> inverse_participation_ratio(np.array([[0.5, 0.5, 0.5, 0.5], [0, 1, 0, 0]]))
    array([0.25, 1.  ])
    """
    array = at_safe_scale(as_array(vectors))
    second, fourth = np.zeros((2, *array.shape[:-1]))
    for block in blocks(array):
        squares = block**2
        second += squares.sum(-1)
        fourth += (squares**2).sum(-1)
    return np.asarray(fourth / np.where(second == 0, np.nan, second) ** 2)


def isotropic_inverse_participation_ratio(parameters: int) -> float:
    """Return the mean inverse participation ratio of an isotropic unit vector, 3 / (N + 2).

    Raises:
        ValueError: If ``parameters`` is below 1.
    """
    if parameters < 1:
        raise ValueError(f"parameters is {parameters}, expected at least 1")
    return 3 / (parameters + 2)

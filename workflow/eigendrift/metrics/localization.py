"""How few parameters carry a vector."""

import numpy as np


def inverse_participation_ratio(vectors: np.ndarray) -> np.ndarray:
    """Return Σ_j v_j⁴ of unit vectors, whose inverse is the effective number of parameters.

    Murphy et al. 2011, European Physical Journal D 65.

    Args:
        vectors: (…, parameter), normalized anew; NaN where undefined.

    Returns:
        float64 (…), from 1/N (evenly spread) to 1 (a single parameter).
    """
    squares = np.square(vectors, dtype=np.float64)
    return np.asarray((squares**2).sum(-1) / squares.sum(-1) ** 2)


def isotropic_inverse_participation_ratio(parameters: int) -> float:
    """Return the mean inverse participation ratio of an isotropic unit vector, 3 / (N + 2)."""
    return 3 / (parameters + 2)

"""What adaptive optimizers divide a step by, and up to which curvature an optimizer is stable.

Knows nothing of torch: the workflow asks which optimizers are adaptive.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np


def _adam(
    settings: Mapping[str, Any], second_moment: np.ndarray, gradient: np.ndarray, step: int
) -> np.ndarray:
    beta1, beta2 = settings["beta1"], settings["beta2"]
    moment = beta2 * second_moment + (1 - beta2) * gradient**2
    root = np.sqrt(moment / (1 - beta2 ** (step + 1)))
    return np.asarray((1 - beta1 ** (step + 1)) * (root + settings["epsilon"]))


# Of every adaptive optimizer; all others divide by nothing.
PRECONDITIONERS: dict[str, Callable[[Mapping[str, Any], np.ndarray, np.ndarray, int], np.ndarray]] = {
    "adam": _adam
}


def preconditioner(
    settings: Mapping[str, Any], second_moment: np.ndarray, gradient: np.ndarray, step: int
) -> np.ndarray:
    r"""Return P, the diagonal of the step that starts here: :math:`\Delta\theta = -\eta P^{-1} m`.

    Of Adam, with m the running mean of gradients and t steps taken before (Cohen et al. 2022, "Adaptive
    gradient methods at the edge of stability"),

    .. math::  P = (1 - \beta_1^{t+1}) \Big( \sqrt{v_{t+1} / (1 - \beta_2^{t+1})} + \epsilon \Big), \quad
               v_{t+1} = \beta_2 v_t + (1 - \beta_2) g_t^2 .

    At step 0, where :math:`v_0 = 0`, it is the diagonal of the very first step,
    :math:`(1 - \beta_1)(|g_0| + \epsilon)`: tiny where the first batch has no gradient.

    Args:
        settings: Of the optimizer, as in the configuration, with ``name``.
        second_moment: v before the step, not bias-corrected, (N,), in nat².
        gradient: Mini-batch gradient g of the step, (N,), in nat.
        step: Steps taken before, t.

    Returns:
        float64 (N,), above 0, in nat; NaN where the run had diverged.

    Raises:
        KeyError: The optimizer is not adaptive.
    """
    wide = second_moment.astype(np.float64), gradient.astype(np.float64)
    return PRECONDITIONERS[settings["name"]](settings, *wide, step)


def preconditioners_along(
    settings: Mapping[str, Any],
    second_moments: Sequence[np.ndarray],
    gradients: Sequence[np.ndarray],
    steps: np.ndarray,
) -> Callable[[int], np.ndarray]:
    """Return what gives the `preconditioner` of each checkpoint of a run, by its index.

    Args:
        settings: Of the optimizer, as in the configuration, with ``name``.
        second_moments: (checkpoint, N), as for `preconditioner`.
        gradients: (checkpoint, N), likewise.
        steps: int64 (checkpoint,).
    """
    return lambda index: preconditioner(
        settings, np.asarray(second_moments[index]), np.asarray(gradients[index]), int(steps[index])
    )


def stability_threshold(settings: Mapping[str, Any]) -> float:
    r"""Return the largest λ1 at which full-batch steps on a quadratic loss stay stable.

    Gradient descent: :math:`2 / \eta`; with heavy-ball momentum β: :math:`2 (1 + \beta) / \eta`; of an
    adaptive optimizer, for λ1 of the preconditioned Hessian with P held fixed:
    :math:`2 (1 + \beta_1) / ((1 - \beta_1) \eta)`, which for β1 = 0.9 is 38/η (Cohen et al. 2021, 2022).

    Args:
        settings: Of the optimizer, as in the configuration.
    """
    rate = float(settings["learning_rate"])
    if settings["name"] in PRECONDITIONERS:
        decay = float(settings["beta1"])
        return 2 * (1 + decay) / ((1 - decay) * rate)
    return 2 * (1 + float(settings.get("momentum", 0))) / rate

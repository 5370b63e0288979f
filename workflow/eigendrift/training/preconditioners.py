"""What adaptive optimizers divide a step by. Knows nothing of torch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from eigendrift.errors import UserError
from eigendrift.extensions.kinds import Preconditioner


def of_adam(
    settings: Mapping[str, Any], second_moment: np.ndarray, gradient: np.ndarray, step: int
) -> np.ndarray:
    r"""Return P of Adam and AdamW.

    With m the running mean of gradients and t steps taken before (Cohen et al. 2022, "Adaptive gradient
    methods at the edge of stability"),

    .. math::  P = (1 - \beta_1^{t+1}) \Big( \sqrt{v_{t+1} / (1 - \beta_2^{t+1})} + \epsilon \Big), \quad
               v_{t+1} = \beta_2 v_t + (1 - \beta_2) g_t^2 .

    At step 0, where :math:`v_0 = 0`, it is the diagonal of the very first step,
    :math:`(1 - \beta_1)(|g_0| + \epsilon)`: tiny where the first batch has no gradient.
    """
    beta1, beta2 = settings["beta1"], settings["beta2"]
    moment = beta2 * second_moment + (1 - beta2) * gradient**2
    root = np.sqrt(moment / (1 - beta2 ** (step + 1)))
    return np.asarray((1 - beta1 ** (step + 1)) * (root + settings["epsilon"]))


def of_rmsprop(
    settings: Mapping[str, Any], second_moment: np.ndarray, gradient: np.ndarray, step: int
) -> np.ndarray:
    r"""Return P of RMSprop, :math:`\sqrt{v_{t+1}} + \epsilon`, which corrects no bias."""
    moment = settings["beta2"] * second_moment + (1 - settings["beta2"]) * gradient**2
    return np.asarray(np.sqrt(moment) + settings["epsilon"])


def preconditioners_along(
    of_optimizer: Preconditioner,
    settings: Mapping[str, Any],
    second_moments: Sequence[np.ndarray],
    gradients: Sequence[np.ndarray],
    steps: np.ndarray,
) -> Callable[[int], np.ndarray]:
    r"""Return what gives P of each checkpoint of a run, the diagonal of the step that starts there.

    P is float64 (N,), above 0, in nat: :math:`\Delta\theta = -\eta P^{-1} m`; NaN where the run had diverged.

    Args:
        of_optimizer: Of the optimizer, such as `of_adam`.
        settings: Of the optimizer, as in the configuration.
        second_moments: (checkpoint, N), v before the step, not bias-corrected, in nat².
        gradients: (checkpoint, N), mini-batch gradient g of the step, in nat.
        steps: int64 (checkpoint,), steps taken before, t.

    Raises:
        UserError: When it is asked for P, if the optimizer's function returns something else.
    """

    def diagonal(index: int) -> np.ndarray:
        moment, gradient = (np.asarray(of[index]).astype(np.float64) for of in (second_moments, gradients))
        found = of_optimizer(settings, moment, gradient, int(steps[index]))
        _check_diagonal(found, moment, str(settings["name"]))
        return found

    return diagonal


def _check_diagonal(found: object, moment: np.ndarray, optimizer: str) -> None:
    wrong = None
    if not isinstance(found, np.ndarray) or found.shape != moment.shape:
        wrong = f"an array of shape {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
    # Where the run had diverged there is nothing to tell.
    elif np.isfinite(moment).all() and not (found > 0).all():
        wrong = "numbers that are not above 0"
    if wrong:
        raise UserError(
            f"The optimizer '{optimizer}' has a preconditioner that returns {wrong}, expected an array of "
            f"shape {moment.shape} of numbers above 0; mend its function preconditioner."
        )

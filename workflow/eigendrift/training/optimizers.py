"""Optimizers by name, and preconditioners of adaptive ones. torch is imported only to build an optimizer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from eigendrift.errors import UserError
from eigendrift.extensions.kinds import Optimizer, Preconditioner, lazy
from eigendrift.extensions.registry import known

Settings = Mapping[str, Any]
TORCH_OPTIMIZERS = "eigendrift.training.torch_optimizers"

DECAY = {"$ref": "#/$defs/decay"}
ADDED = {
    "description": "Added to the root of the second moment, to avoid a division by zero.",
    "type": "number",
    "exclusiveMinimum": 0,
}
WEIGHT_DECAY = {
    "description": "Decoupled weight decay: each step shrinks the weights by this number times the learning rate.",
    "type": "number",
    "minimum": 0,
}
RADIUS = {**ADDED, "description": "How far each step looks ahead along the gradient, ρ; a length in weight space."}


def _heavy_ball_threshold(settings: Settings) -> float:
    return 2 * (1 + float(settings.get("momentum", 0))) / float(settings["learning_rate"])


def _adam_threshold(settings: Settings) -> float:
    rate, decay = float(settings["learning_rate"]), float(settings["beta1"])
    # Decoupled weight decay multiplies the weights by 1 − η × decay before each step.
    shrunk = 2 - rate * float(settings.get("weight_decay", 0))
    return shrunk * (1 + decay) / ((1 - decay) * rate)


def adam_preconditioner(settings: Settings, second_moment: np.ndarray, gradient: np.ndarray, step: int) -> np.ndarray:
    r"""Return the diagonal P by which Adam and AdamW divide a step.

    With v the running mean of squared gradients g² and t the number of steps taken before (Cohen et al. 2022, "Adaptive
    gradient methods at the edge of stability"),

    .. math::  P = (1 - \beta_1^{t+1}) \Big( \sqrt{v_{t+1} / (1 - \beta_2^{t+1})} + \epsilon \Big), \quad
               v_{t+1} = \beta_2 v_t + (1 - \beta_2) g_t^2 .

    At step 0, with :math:`v_0 = 0`, P is :math:`(1 - \beta_1)(|g_0| + \epsilon)`, which is tiny for parameters without
    a gradient in the first batch.
    """
    beta1, beta2 = settings["beta1"], settings["beta2"]
    moment = beta2 * second_moment + (1 - beta2) * gradient**2
    root = np.sqrt(moment / (1 - beta2 ** (step + 1)))
    return np.asarray((1 - beta1 ** (step + 1)) * (root + settings["epsilon"]))


def rmsprop_preconditioner(
    settings: Settings, second_moment: np.ndarray, gradient: np.ndarray, step: int
) -> np.ndarray:
    r"""Return the diagonal of RMSprop, :math:`P = \sqrt{v_{t+1}} + \epsilon`, without bias correction."""
    moment = settings["beta2"] * second_moment + (1 - settings["beta2"]) * gradient**2
    return np.asarray(np.sqrt(moment) + settings["epsilon"])


OPTIMIZERS = known(
    Optimizer,
    Optimizer(
        name="sgd",
        build=lazy(TORCH_OPTIMIZERS, "sgd"),
        description="Plain stochastic gradient descent.",
        threshold=_heavy_ball_threshold,
    ),
    Optimizer(
        name="momentum",
        build=lazy(TORCH_OPTIMIZERS, "sgd"),
        settings={"momentum": DECAY},
        description="Stochastic gradient descent with heavy-ball momentum.",
        threshold=_heavy_ball_threshold,
    ),
    Optimizer(
        name="adam",
        build=lazy(TORCH_OPTIMIZERS, "adam"),
        settings={"beta1": DECAY, "beta2": DECAY, "epsilon": ADDED},
        description="Adam (Kingma & Ba 2015).",
        second_moment="exp_avg_sq",
        preconditioner=adam_preconditioner,
        threshold=_adam_threshold,
    ),
    Optimizer(
        name="adamw",
        build=lazy(TORCH_OPTIMIZERS, "adamw"),
        settings={"beta1": DECAY, "beta2": DECAY, "epsilon": ADDED, "weight_decay": WEIGHT_DECAY},
        description="Adam with decoupled weight decay (Loshchilov & Hutter 2019).",
        second_moment="exp_avg_sq",
        preconditioner=adam_preconditioner,
        threshold=_adam_threshold,
    ),
    Optimizer(
        name="rmsprop",
        build=lazy(TORCH_OPTIMIZERS, "rmsprop"),
        settings={"beta2": DECAY, "epsilon": ADDED},
        description="RMSprop (Tieleman & Hinton 2012).",
        second_moment="square_avg",
        preconditioner=rmsprop_preconditioner,
        threshold=_heavy_ball_threshold,
    ),
    Optimizer(
        name="sam",
        build=lazy(TORCH_OPTIMIZERS, "sam"),
        settings={"momentum": DECAY, "radius": RADIUS},
        description="Sharpness-aware minimization over heavy-ball SGD (Foret et al. 2021).",
        takes_closure=True,
    ),
    Optimizer(
        name="muon",
        build=lazy(TORCH_OPTIMIZERS, "muon"),
        settings={"momentum": DECAY, "weight_decay": WEIGHT_DECAY},
        description="Muon (Jordan et al. 2024) for matrices, AdamW for biases and all other parameters.",
    ),
)


def is_adaptive(name: str) -> bool:
    """Return whether an optimizer is adaptive, so that its runs have a preconditioned Hessian."""
    return name in OPTIMIZERS and OPTIMIZERS[name].preconditioner is not None


def stability_threshold(settings: Settings) -> float | None:
    r"""Return the largest λ1 at which full-batch steps on a quadratic loss stay stable.

    Gradient descent has :math:`2 / \eta`, and :math:`2 (1 + \beta) / \eta` with heavy-ball momentum β. For adaptive
    optimizers λ1 belongs to the preconditioned Hessian with P held fixed: RMSprop has
    :math:`2 / \eta`, and Adam has :math:`2 (1 + \beta_1) / ((1 - \beta_1) \eta)`, which is 38/η for β1 = 0.9
    (Cohen et al. 2021, 2022). Decoupled weight decay λ replaces 2 by :math:`2 - \eta \lambda`.

    Args:
        settings: Settings of the optimizer, as in the configuration, with ``name``.

    Returns:
        The threshold in nat, or a pure number for an adaptive optimizer; None if the optimizer declares none.
    """
    spec = OPTIMIZERS.get(settings["name"])
    return spec.threshold(settings) if spec and spec.threshold else None


def preconditioners_along(
    preconditioner: Preconditioner,
    settings: Settings,
    second_moments: Sequence[np.ndarray],
    gradients: Sequence[np.ndarray],
    steps: np.ndarray,
) -> Callable[[int], np.ndarray]:
    r"""Return a function that computes P, the diagonal of the step that starts at a checkpoint of a run.

    P is float64 (N,), above 0, in nat: :math:`\Delta\theta = -\eta P^{-1} m`; NaN where the run had diverged. The
    function raises UserError if the optimizer's preconditioner returns anything else.

    Args:
        preconditioner: Function of the optimizer, such as `adam_preconditioner`.
        settings: Settings of the optimizer, as in the configuration.
        second_moments: (checkpoint, N), v before the step, not bias-corrected, in nat².
        gradients: (checkpoint, N), mini-batch gradient g of the step, in nat.
        steps: int64 (checkpoint,), steps taken before, t.
    """

    def diagonal(index: int) -> np.ndarray:
        moment, gradient = (np.asarray(of[index]).astype(np.float64) for of in (second_moments, gradients))
        found: Any = preconditioner(settings, moment, gradient, int(steps[index]))
        is_array = isinstance(found, np.ndarray)
        wrong = None
        if not is_array or found.shape != moment.shape:
            wrong = f"an array of shape {found.shape}" if is_array else type(found).__name__
        # After a divergence P is NaN.
        elif np.isfinite(moment).all() and not (found > 0).all():
            wrong = "numbers that are not above 0"
        if wrong:
            raise UserError(
                f"The preconditioner of the optimizer '{settings['name']}' returns {wrong}, expected an array of shape "
                f"{moment.shape} of numbers above 0; correct the function."
            )
        return np.asarray(found)

    return diagonal

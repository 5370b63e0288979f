"""Optimizers by name: an entry each says everything about one. Knows nothing of torch before one is built."""

from collections.abc import Mapping
from typing import Any

from eigendrift.extensions.kinds import Optimizer
from eigendrift.extensions.lazy import lazy
from eigendrift.extensions.registry import known
from eigendrift.training.preconditioners import of_adam, of_rmsprop

Settings = Mapping[str, Any]
BUILDERS = "eigendrift.training.torch_optimizers"

DECAY = {"$ref": "#/$defs/decay"}
ADDED = {
    "description": "Added to the root of the second moment, so that nothing is divided by zero.",
    "type": "number",
    "exclusiveMinimum": 0,
}
WEIGHT_DECAY = {
    "description": (
        "Share of the weights, times the learning rate, that each step takes away; the loss has no part in "
        "it."
    ),
    "type": "number",
    "minimum": 0,
}
RADIUS = {
    "description": "How far up the gradient each step looks, ρ, as a length in the space of all weights.",
    "type": "number",
    "exclusiveMinimum": 0,
}


def _heavy_ball_threshold(settings: Settings) -> float:
    return 2 * (1 + float(settings.get("momentum", 0))) / float(settings["learning_rate"])


def _adam_threshold(settings: Settings) -> float:
    rate, decay = float(settings["learning_rate"]), float(settings["beta1"])
    # Weight decay, decoupled as AdamW's is, shortens the old weights by 1 − η × decay before each step.
    shrunk = 2 - rate * float(settings.get("weight_decay", 0))
    return shrunk * (1 + decay) / ((1 - decay) * rate)


OPTIMIZERS = known(
    Optimizer,
    Optimizer(
        name="sgd",
        build=lazy(BUILDERS, "sgd"),
        description="Plain stochastic gradient descent.",
        threshold=_heavy_ball_threshold,
    ),
    Optimizer(
        name="momentum",
        build=lazy(BUILDERS, "sgd"),
        settings={"momentum": DECAY},
        description="Stochastic gradient descent with heavy-ball momentum.",
        threshold=_heavy_ball_threshold,
    ),
    Optimizer(
        name="adam",
        build=lazy(BUILDERS, "adam"),
        settings={"beta1": DECAY, "beta2": DECAY, "epsilon": ADDED},
        description="Adam (Kingma & Ba 2015).",
        second_moment="exp_avg_sq",
        preconditioner=of_adam,
        threshold=_adam_threshold,
    ),
    Optimizer(
        name="adamw",
        build=lazy(BUILDERS, "adamw"),
        settings={"beta1": DECAY, "beta2": DECAY, "epsilon": ADDED, "weight_decay": WEIGHT_DECAY},
        description="Adam with decoupled weight decay (Loshchilov & Hutter 2019).",
        second_moment="exp_avg_sq",
        preconditioner=of_adam,
        threshold=_adam_threshold,
    ),
    Optimizer(
        name="rmsprop",
        build=lazy(BUILDERS, "rmsprop"),
        settings={"beta2": DECAY, "epsilon": ADDED},
        description="RMSprop (Tieleman & Hinton 2012).",
        second_moment="square_avg",
        preconditioner=of_rmsprop,
        threshold=_heavy_ball_threshold,
    ),
    Optimizer(
        name="sam",
        build=lazy(BUILDERS, "sam"),
        settings={"momentum": DECAY, "radius": RADIUS},
        description="Sharpness-aware minimization over heavy-ball SGD (Foret et al. 2021).",
        takes_closure=True,
    ),
    Optimizer(
        name="muon",
        build=lazy(BUILDERS, "muon"),
        settings={"momentum": DECAY, "weight_decay": WEIGHT_DECAY},
        description=(
            "Muon (Jordan et al. 2024) for matrices, AdamW for biases and all else that is no matrix."
        ),
    ),
)


def is_adaptive(name: str) -> bool:
    """Tell whether an optimizer is adaptive, so that its runs have a preconditioned Hessian."""
    return name in OPTIMIZERS and OPTIMIZERS[name].preconditioner is not None


def stability_threshold(settings: Settings) -> float | None:
    r"""Return the largest λ1 at which full-batch steps on a quadratic loss stay stable.

    Gradient descent and, of the preconditioned Hessian, RMSprop: :math:`2 / \eta`; with heavy-ball momentum
    β: :math:`2 (1 + \beta) / \eta`; Adam, for λ1 of the preconditioned Hessian with P held fixed:
    :math:`2 (1 + \beta_1) / ((1 - \beta_1) \eta)`, which for β1 = 0.9 is 38/η (Cohen et al. 2021, 2022); with
    decoupled weight decay λ it has :math:`2 - \eta \lambda` in place of 2.

    Args:
        settings: Of the optimizer, as in the configuration, with ``name``.

    Returns:
        In nat, of an adaptive optimizer a pure number; None where the optimizer declares none.
    """
    spec = OPTIMIZERS.get(settings["name"])
    return spec.threshold(settings) if spec and spec.threshold else None

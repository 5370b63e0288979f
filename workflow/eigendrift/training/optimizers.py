"""Optimizers by name: an entry each says everything about one. None imports torch before it is built."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from eigendrift.errors import UserError
from eigendrift.extensions.kinds import Optimizer
from eigendrift.extensions.registry import known
from eigendrift.training.preconditioners import of_adam, of_rmsprop

if TYPE_CHECKING:
    import torch

    Parameters = Iterable[torch.nn.Parameter]

Settings = Mapping[str, Any]

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


def _sgd(parameters: "Parameters", settings: Settings) -> "torch.optim.Optimizer":
    from torch.optim import SGD

    return SGD(parameters, lr=settings["learning_rate"], momentum=settings.get("momentum", 0.0), fused=True)


def _adam(parameters: "Parameters", settings: Settings) -> "torch.optim.Optimizer":
    from torch.optim import Adam

    betas = (settings["beta1"], settings["beta2"])
    return Adam(parameters, lr=settings["learning_rate"], betas=betas, eps=settings["epsilon"], fused=True)


def _adamw(parameters: "Parameters", settings: Settings) -> "torch.optim.Optimizer":
    from torch.optim import AdamW

    return AdamW(
        parameters,
        lr=settings["learning_rate"],
        betas=(settings["beta1"], settings["beta2"]),
        eps=settings["epsilon"],
        weight_decay=settings["weight_decay"],
        fused=True,
    )


def _rmsprop(parameters: "Parameters", settings: Settings) -> "torch.optim.Optimizer":
    from torch.optim import RMSprop

    return RMSprop(parameters, lr=settings["learning_rate"], alpha=settings["beta2"], eps=settings["epsilon"])


def _sam(parameters: "Parameters", settings: Settings) -> "torch.optim.Optimizer":
    from eigendrift.training.sam import SAM

    return SAM(
        parameters, lr=settings["learning_rate"], momentum=settings["momentum"], radius=settings["radius"]
    )


def _muon(parameters: "Parameters", settings: Settings) -> Any:
    import torch

    from eigendrift.training.muon import MuonWithAdamW

    if not hasattr(torch.optim, "Muon"):
        raise UserError(
            f"Config key 'optimizers.muon' asks for torch.optim.Muon, which torch {torch.__version__} does "
            f"not have; "
            "install torch 2.9 or newer, or leave it out."
        )
    return MuonWithAdamW(
        parameters,
        lr=settings["learning_rate"],
        momentum=settings["momentum"],
        weight_decay=settings["weight_decay"],
    )


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
        build=_sgd,
        description="Plain stochastic gradient descent.",
        threshold=_heavy_ball_threshold,
    ),
    Optimizer(
        name="momentum",
        build=_sgd,
        settings={"momentum": DECAY},
        description="Stochastic gradient descent with heavy-ball momentum.",
        threshold=_heavy_ball_threshold,
    ),
    Optimizer(
        name="adam",
        build=_adam,
        settings={"beta1": DECAY, "beta2": DECAY, "epsilon": ADDED},
        description="Adam (Kingma & Ba 2015).",
        second_moment="exp_avg_sq",
        preconditioner=of_adam,
        threshold=_adam_threshold,
    ),
    Optimizer(
        name="adamw",
        build=_adamw,
        settings={"beta1": DECAY, "beta2": DECAY, "epsilon": ADDED, "weight_decay": WEIGHT_DECAY},
        description="Adam with decoupled weight decay (Loshchilov & Hutter 2019).",
        second_moment="exp_avg_sq",
        preconditioner=of_adam,
        threshold=_adam_threshold,
    ),
    Optimizer(
        name="rmsprop",
        build=_rmsprop,
        settings={"beta2": DECAY, "epsilon": ADDED},
        description="RMSprop (Tieleman & Hinton 2012).",
        second_moment="square_avg",
        preconditioner=of_rmsprop,
        threshold=_heavy_ball_threshold,
    ),
    Optimizer(
        name="sam",
        build=_sam,
        settings={"momentum": DECAY, "radius": RADIUS},
        description="Sharpness-aware minimization over heavy-ball SGD (Foret et al. 2021).",
        takes_closure=True,
    ),
    Optimizer(
        name="muon",
        build=_muon,
        settings={"momentum": DECAY, "weight_decay": WEIGHT_DECAY},
        description=(
            "Muon (Jordan et al. 2024) for matrices, AdamW for biases and all else that is no matrix."
        ),
    ),
)


def second_moment(spec: Optimizer, optimizer: "torch.optim.Optimizer") -> "torch.Tensor | None":
    """Return the flat second-moment estimate, zero before the first step; None if there is none."""
    if spec.second_moment is None:
        return None
    import torch

    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = [
        optimizer.state[parameter].get(spec.second_moment, torch.zeros_like(parameter)).flatten()
        for parameter in parameters
    ]
    return torch.cat(moments)


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

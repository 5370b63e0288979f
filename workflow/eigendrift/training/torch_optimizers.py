"""How the optimizers that are declared in `eigendrift.training.optimizers` are made of torch's."""

from collections.abc import Iterable, Mapping
from inspect import signature
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from eigendrift.errors import UserError
from eigendrift.extensions.kinds import Optimizer as Declared
from eigendrift.training.muon import MuonWithAdamW
from eigendrift.training.sam import SAM

Settings = Mapping[str, Any]
# What training asks of an optimizer.
METHODS = ("zero_grad", "step", "state_dict", "load_state_dict")


def sgd(parameters: Iterable[Parameter], settings: Settings) -> Optimizer:
    """Make SGD, with heavy-ball momentum where the settings have it."""
    return SGD(parameters, lr=settings["learning_rate"], momentum=settings.get("momentum", 0.0), fused=True)


def adam(parameters: Iterable[Parameter], settings: Settings) -> Optimizer:
    """Make Adam."""
    betas = (settings["beta1"], settings["beta2"])
    return Adam(parameters, lr=settings["learning_rate"], betas=betas, eps=settings["epsilon"], fused=True)


def adamw(parameters: Iterable[Parameter], settings: Settings) -> Optimizer:
    """Make AdamW."""
    return AdamW(
        parameters,
        lr=settings["learning_rate"],
        betas=(settings["beta1"], settings["beta2"]),
        eps=settings["epsilon"],
        weight_decay=settings["weight_decay"],
        fused=True,
    )


def rmsprop(parameters: Iterable[Parameter], settings: Settings) -> Optimizer:
    """Make RMSprop."""
    return RMSprop(parameters, lr=settings["learning_rate"], alpha=settings["beta2"], eps=settings["epsilon"])


def sam(parameters: Iterable[Parameter], settings: Settings) -> Optimizer:
    """Make `SAM`."""
    return SAM(
        parameters, lr=settings["learning_rate"], momentum=settings["momentum"], radius=settings["radius"]
    )


def muon(parameters: Iterable[Parameter], settings: Settings) -> MuonWithAdamW:
    """Make `MuonWithAdamW`.

    Raises:
        UserError: This torch has no Muon.
    """
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


def built(spec: Declared, parameters: Iterable[Parameter], settings: Settings) -> Optimizer:
    """Make a declared optimizer.

    Args:
        spec: What it declares.
        parameters: Those of the network.
        settings: Its settings, by the configuration.

    Raises:
        UserError: What it builds is no optimizer, or one whose steps take what they would not be given.
    """
    optimizer: Optimizer = spec.build(parameters, settings)
    # Some are made of several, and no optimizer by class.
    has_state = spec.second_moment is None or isinstance(getattr(optimizer, "state", None), Mapping)
    if not (has_state and all(callable(getattr(optimizer, method, None)) for method in METHODS)):
        raise UserError(
            f"The optimizer '{spec.name}' is built as {type(optimizer).__name__}, expected a "
            "torch.optim.Optimizer; mend its function build."
        )
    step = signature(optimizer.step)
    try:
        step.bind(*["closure"] * spec.takes_closure)
    except TypeError:
        given = "a closure" if spec.takes_closure else "nothing"
        raise UserError(
            f"The optimizer '{spec.name}' has a function step{step}, expected one that is given {given}, as "
            f"takes_closure={spec.takes_closure} says; mend one of them."
        ) from None
    return optimizer


def second_moment(
    spec: Declared, optimizer: Optimizer, parameters: Iterable[Parameter], steps: int
) -> torch.Tensor | None:
    """Return the flat second-moment estimate, zero before the first step; None if there is none.

    Args:
        spec: What the optimizer declares.
        optimizer: The optimizer, whose own groups may have the parameters in another order.
        parameters: Those of the network, in its order.
        steps: How many were taken.

    Raises:
        UserError: The optimizer's state has no such estimate.
    """
    if spec.second_moment is None:
        return None
    listed = list(parameters)
    if steps and not any(optimizer.state.get(parameter) for parameter in listed):
        raise UserError(
            f"The optimizer '{spec.name}' declares the second_moment '{spec.second_moment}', and after "
            f"{steps} steps none of its parameters has a state, expected one in optimizer.state; mend either."
        )
    return torch.cat([_moment_of(parameter, spec, optimizer) for parameter in listed])


def _moment_of(parameter: Parameter, spec: Declared, optimizer: Optimizer) -> torch.Tensor:
    state = optimizer.state.get(parameter)
    if not state:
        return torch.zeros_like(parameter).flatten()
    if spec.second_moment not in state:
        raise UserError(
            f"The optimizer '{spec.name}' declares the second_moment '{spec.second_moment}', which the state "
            f"of its parameters does not have, expected one of {', '.join(map(str, state))}; mend its "
            "declaration."
        )
    moment = state[spec.second_moment]
    if not isinstance(moment, torch.Tensor) or moment.shape != parameter.shape:
        found = f"shape {tuple(moment.shape)}" if isinstance(moment, torch.Tensor) else type(moment).__name__
        raise UserError(
            f"The optimizer '{spec.name}' declares the second_moment '{spec.second_moment}', whose state is "
            f"of {found} for a parameter of shape {tuple(parameter.shape)}, expected the parameter's; mend "
            "its declaration."
        )
    return moment.flatten()

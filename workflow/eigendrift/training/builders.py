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
    if not all(callable(getattr(optimizer, method, None)) for method in METHODS):
        raise UserError(
            f"The optimizer '{spec.name}' is built as {type(optimizer).__name__}, expected a "
            "torch.optim.Optimizer; mend its function build."
        )
    parameters_of_step = signature(optimizer.step).parameters.values()
    plain = [one for one in parameters_of_step if one.kind is one.POSITIONAL_OR_KEYWORD]
    wanted = [one.name for one in plain if one.default is one.empty]
    if wanted and not spec.takes_closure:
        raise UserError(
            f"The optimizer '{spec.name}' has steps that must be given {', '.join(wanted)}, expected steps "
            "without arguments; declare takes_closure=True if that is a closure."
        )
    return optimizer


def second_moment(
    spec: Declared, optimizer: Optimizer, parameters: Iterable[Parameter]
) -> torch.Tensor | None:
    """Return the flat second-moment estimate, zero before the first step; None if there is none.

    Args:
        spec: What the optimizer declares.
        optimizer: The optimizer, whose own groups may have the parameters in another order.
        parameters: Those of the network, in its order.

    Raises:
        UserError: The optimizer's state has no such estimate.
    """
    if spec.second_moment is None:
        return None
    return torch.cat([_moment_of(parameter, spec, optimizer) for parameter in parameters])


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
    moment: torch.Tensor = state[spec.second_moment].flatten()
    return moment

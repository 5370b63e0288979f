"""Optimizers by configuration: a line each, with what is adaptive about them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim import SGD, Adam, Optimizer


@dataclass(frozen=True)
class OptimizerSpec:
    """How to make an optimizer.

    Attributes:
        build: Makes it from parameters and the settings of the configuration.
        second_moment: Key of the optimizer's per-parameter state that holds its second-moment estimate; None
            for optimizers that are not adaptive.
    """

    build: Callable[[Iterable[Parameter], Mapping[str, Any]], Optimizer]
    second_moment: str | None = None


def _sgd(parameters: Iterable[Parameter], settings: Mapping[str, Any]) -> Optimizer:
    return SGD(parameters, lr=settings["learning_rate"], momentum=settings.get("momentum", 0.0), fused=True)


def _adam(parameters: Iterable[Parameter], settings: Mapping[str, Any]) -> Optimizer:
    betas = (settings["beta1"], settings["beta2"])
    return Adam(parameters, lr=settings["learning_rate"], betas=betas, eps=settings["epsilon"], fused=True)


OPTIMIZERS = {
    "sgd": OptimizerSpec(_sgd),
    "momentum": OptimizerSpec(_sgd),
    "adam": OptimizerSpec(_adam, second_moment="exp_avg_sq"),
}


def second_moment(spec: OptimizerSpec, optimizer: Optimizer) -> torch.Tensor | None:
    """Return the flat second-moment estimate, zero before the first step; None if there is none."""
    if spec.second_moment is None:
        return None
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = [
        optimizer.state[parameter].get(spec.second_moment, torch.zeros_like(parameter)).flatten()
        for parameter in parameters
    ]
    return torch.cat(moments)

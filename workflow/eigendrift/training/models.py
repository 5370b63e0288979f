"""Networks by configuration."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import nn

from eigendrift.numerics import generator

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}

INITIALIZATIONS: dict[str, Callable[..., torch.Tensor]] = {
    "glorot_uniform": nn.init.xavier_uniform_,
    "glorot_normal": nn.init.xavier_normal_,
    "kaiming_uniform": nn.init.kaiming_uniform_,
}


def build_model(
    settings: Mapping[str, Any], image_shape: tuple[int, int], classes: int, random: torch.Generator
) -> nn.Module:
    """Build a multilayer perceptron and draw its initial weights.

    Args:
        settings: ``hidden_widths``, ``activation`` and ``initialization``, as in the configuration.
        image_shape: Rows and columns of an input image.
        classes: Number of classes.
        random: CPU generator that the weights are drawn from.

    Returns:
        The network on the CPU, float32; weights as ``initialization`` says (Glorot & Bengio 2010 by default),
        biases zero.
    """
    widths = [prod(image_shape), *settings["hidden_widths"]]
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), ACTIVATIONS[settings["activation"]]()]
    model = nn.Sequential(*layers, nn.Linear(widths[-1], classes))
    initialize(model, settings["initialization"], random)
    return model


def initial_model(
    settings: Mapping[str, Any], image_shape: tuple[int, int], classes: int, seed: int
) -> nn.Module:
    """Build the network that all runs of a seed start from, see `build_model`."""
    return build_model(settings, image_shape, classes, generator("weights", seed))


def initialize(model: nn.Module, initialization: str, random: torch.Generator) -> None:
    """Draw all weights of ``model`` anew, in place: matrices as named, vectors zero."""
    draw = INITIALIZATIONS[initialization]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                draw(parameter, generator=random)
            else:
                parameter.zero_()

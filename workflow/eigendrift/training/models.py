"""Networks by configuration."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from eigendrift.errors import UserError
from eigendrift.numerics import generator
from eigendrift.training.networks import MODELS, kind_of, perceptron_widths, pooled_shape

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}

INITIALIZATIONS: dict[str, Callable[..., torch.Tensor]] = {
    "glorot_uniform": nn.init.xavier_uniform_,
    "glorot_normal": nn.init.xavier_normal_,
    "kaiming_uniform": nn.init.kaiming_uniform_,
}


def build_model(
    settings: Mapping[str, Any], image_shape: tuple[int, int], classes: int, random: torch.Generator
) -> nn.Module:
    """Build a network and draw its initial weights.

    Args:
        settings: Of the network, as in the configuration.
        image_shape: Rows and columns of an input image.
        classes: Number of classes.
        random: CPU generator that the weights are drawn from.

    Returns:
        The network on the CPU, float32.
    """
    # Modules that initialize themselves draw from torch's own generator, which nobody else must notice.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random.initial_seed())
        model: nn.Module = MODELS[kind_of(settings)].build(settings, image_shape, classes, random)
    return model


def initial_model(
    settings: Mapping[str, Any], image_shape: tuple[int, int], classes: int, seed: int
) -> nn.Module:
    """Build the network that all runs of a seed start from, see `build_model`."""
    return build_model(settings, image_shape, classes, generator("weights", seed))


def perceptron(
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
    *widths, last = perceptron_widths(settings, image_shape, classes)
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), ACTIVATIONS[settings["activation"]]()]
    model = nn.Sequential(*layers, nn.Linear(widths[-1], last))
    _initialize(model, settings["initialization"], random)
    return model


def convolutional(
    settings: Mapping[str, Any], image_shape: tuple[int, int], classes: int, random: torch.Generator
) -> nn.Module:
    """Build a small convolutional network and draw its initial weights.

    Convolutions keep rows and columns; means over 2 × 2 pixels halve them, whose derivatives, unlike those of
    maxima, are smooth and deterministic on every device. A linear layer follows.

    Args:
        settings: ``channels``, ``kernel_size``, ``activation`` and ``initialization``, as in the
            configuration.
        image_shape: Rows and columns of an input image.
        classes: Number of classes.
        random: CPU generator that the weights are drawn from.

    Returns:
        The network on the CPU, float32, initialized as `perceptron` is.

    Raises:
        UserError: Nothing is left of an image.
    """
    rows, columns = pooled_shape(settings, image_shape)
    if not rows * columns:
        raise UserError(
            f"Config key 'channels' of a network has {len(settings['channels'])} entries, each of which "
            f"halves the image, but an image of {image_shape[0]} × {image_shape[1]} pixels cannot be halved "
            "so often; take fewer."
        )
    layers: list[nn.Module] = [nn.Unflatten(1, (1, image_shape[0]))]
    size = settings["kernel_size"]
    for fan_in, fan_out in pairwise([1, *settings["channels"]]):
        layers += [
            nn.Conv2d(fan_in, fan_out, size, padding=size // 2),
            ACTIVATIONS[settings["activation"]](),
            nn.AvgPool2d(2),
        ]
    features = settings["channels"][-1] * rows * columns
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, classes))
    _initialize(model, settings["initialization"], random)
    return model


def _initialize(model: nn.Module, initialization: str, random: torch.Generator) -> None:
    """Draw all weights of ``model`` anew, in place: matrices and kernels as named, vectors zero."""
    draw = INITIALIZATIONS[initialization]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                draw(parameter, generator=random)
            else:
                parameter.zero_()

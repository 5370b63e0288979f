"""Networks made of torch modules, as declared in `eigendrift.training.networks`."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from eigendrift.errors import UserError
from eigendrift.numerics import generator, seeded
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
        settings: Settings of the network, as in the configuration.
        image_shape: Rows and columns of an input image.
        classes: Number of classes.
        random: CPU generator that the weights are drawn from.

    Returns:
        The network on the CPU, float32.

    Raises:
        UserError: If the result is not a network, or if it has no parameters.
    """
    # Modules that initialize themselves draw from torch's global generator, whose state must not change.
    with seeded(random.initial_seed()):
        model = MODELS[kind_of(settings)].build(settings, image_shape, classes, random)
    if not isinstance(model, nn.Module):
        raise UserError(
            f"The network '{kind_of(settings)}' is built as {type(model).__name__}, expected a "
            "torch.nn.Module; correct its function build."
        )
    if not any(True for _ in model.parameters()):
        raise UserError(f"The network '{kind_of(settings)}' has no parameters to train; correct its function build.")
    return model


def initial_model(settings: Mapping[str, Any], image_shape: tuple[int, int], classes: int, seed: int) -> nn.Module:
    """Build the network from which all runs of a seed start, see `build_model`."""
    return build_model(settings, image_shape, classes, generator("weights", seed))


def check_network(
    model: nn.Module, settings: Mapping[str, Any], image_shape: tuple[int, int], classes: int, images: torch.Tensor
) -> None:
    """Check what the library assumes about a network: only its parameters change during training.

    A trajectory has only parameters, and the Hessian belongs to a network that is rebuilt from them.

    Args:
        model: The network before its first step.
        settings: Settings of the network, as in the configuration.
        image_shape: Rows and columns of an input image.
        classes: Number of classes.
        images: Some images, for a forward pass.

    Raises:
        UserError: If a parameter is frozen or not float32, if the network cannot map images to scores, or if a buffer
            is random or changes in a forward pass.
    """
    kind = kind_of(settings)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or parameter.dtype != torch.float32:
            found = str(parameter.dtype).removeprefix("torch.") if parameter.requires_grad else "frozen"
            raise UserError(
                f"The parameter '{name}' of the network '{kind}' is {found}, but all parameters must be "
                "float32 and trained; register a parameter that is not trained as a buffer."
            )
    try:
        with torch.no_grad():
            scores = model(images)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        what = " ".join(str(error).split())
        raise UserError(
            f"The network '{kind}' fails for images of shape {tuple(images.shape)}, float32 ({what}); correct its "
            "function build, whose argument image_shape is the rows and columns of images, which have no channel axis."
        ) from error
    shape = (len(images), classes)
    is_tensor = isinstance(scores, torch.Tensor)
    if not is_tensor or scores.shape != shape or scores.dtype != torch.float32:
        found = f"{scores.dtype} of shape {tuple(scores.shape)}" if is_tensor else type(scores).__name__
        raise UserError(
            f"The network '{kind}' returns {found.removeprefix('torch.')} for {len(images)} images, expected scores of "
            f"{classes} classes, float32 of shape {shape}; correct its last layer."
        )
    rebuilt = dict(build_model(settings, image_shape, classes, generator("placeholder")).named_buffers())
    for name, buffer in model.named_buffers():
        if name not in rebuilt or not torch.equal(buffer.cpu(), rebuilt[name]):
            raise UserError(
                f"The buffer '{name}' of the network '{kind}' is random or changes in a forward pass, but "
                "only parameters are recorded, so the Hessian would belong to another network; use LayerNorm "
                "or GroupNorm instead of batch norm, and constants for other buffers."
            )


def perceptron(
    settings: Mapping[str, Any], image_shape: tuple[int, int], classes: int, random: torch.Generator
) -> nn.Module:
    """Build a multilayer perceptron, see `build_model`.

    Weights are drawn as ``initialization`` says, and biases are zero.
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
    """Build a small convolutional network, initialized like a `perceptron`, see `build_model`.

    Convolutions keep rows and columns, means over 2 × 2 pixels halve them, and a linear layer follows. Means are smooth
    and their derivatives deterministic on every device, unlike maxima.

    Raises:
        UserError: If there are more halvings than the image allows.
    """
    rows, columns = pooled_shape(settings, image_shape)
    if not rows * columns:
        raise UserError(
            f"Config key 'channels' of a network has {len(settings['channels'])} entries, each of which "
            f"halves the image, but an image of {image_shape[0]} × {image_shape[1]} pixels cannot be halved "
            "so often; list fewer channels."
        )
    layers: list[nn.Module] = [nn.Unflatten(1, (1, image_shape[0]))]
    size = settings["kernel_size"]
    for fan_in, fan_out in pairwise([1, *settings["channels"]]):
        layers += [
            nn.Conv2d(fan_in, fan_out, size, padding=size // 2),
            ACTIVATIONS[settings["activation"]](),
            nn.AvgPool2d(2),
        ]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(settings["channels"][-1] * rows * columns, classes))
    _initialize(model, settings["initialization"], random)
    return model


def _initialize(model: nn.Module, initialization: str, random: torch.Generator) -> None:
    """Draw matrices and kernels in place, as ``initialization`` says, and set vectors to zero."""
    draw = INITIALIZATIONS[initialization]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                draw(parameter, generator=random)
            else:
                parameter.zero_()

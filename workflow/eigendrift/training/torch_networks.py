"""Networks by configuration."""

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
        settings: Of the network, as in the configuration.
        image_shape: Rows and columns of an input image.
        classes: Number of classes.
        random: CPU generator that the weights are drawn from.

    Returns:
        The network on the CPU, float32.

    Raises:
        UserError: What its kind builds is no network, or one without parameters.
    """
    # Modules that initialize themselves draw from torch's own generator, which nobody else must notice.
    with seeded(random.initial_seed()):
        model = MODELS[kind_of(settings)].build(settings, image_shape, classes, random)
    if not isinstance(model, nn.Module):
        raise UserError(
            f"The network '{kind_of(settings)}' is built as {type(model).__name__}, expected a "
            "torch.nn.Module; mend its function build."
        )
    if not any(True for _ in model.parameters()):
        raise UserError(
            f"The network '{kind_of(settings)}' has no parameters, expected some to train; mend its function "
            "build."
        )
    return model


def initial_model(
    settings: Mapping[str, Any], image_shape: tuple[int, int], classes: int, seed: int
) -> nn.Module:
    """Build the network that all runs of a seed start from, see `build_model`."""
    return build_model(settings, image_shape, classes, generator("weights", seed))


def check_network(
    model: nn.Module,
    settings: Mapping[str, Any],
    image_shape: tuple[int, int],
    classes: int,
    images: torch.Tensor,
) -> None:
    """Check what is built on, of which plug-ins know nothing: all but the parameters is the same at any time.

    A trajectory has the parameters alone, and the Hessian is that of a network built anew.

    Args:
        model: The network before its first step.
        settings: Of the network, as in the configuration.
        image_shape: Rows and columns of an input image.
        classes: Number of classes.
        images: Some images, for a forward pass.

    Raises:
        UserError: Names the network and what is wrong.
    """
    kind = kind_of(settings)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or parameter.dtype != torch.float32:
            found = str(parameter.dtype).removeprefix("torch.") if parameter.requires_grad else "frozen"
            raise UserError(
                f"The network '{kind}' has the parameter '{name}', which is {found}, expected float32 "
                "parameters that are all trained; make one that is not trained a buffer."
            )
    try:
        with torch.no_grad():
            scores = model(images)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        what = " ".join(str(error).split())
        raise UserError(
            f"The network '{kind}' cannot take images as float32 of shape {tuple(images.shape)} ({what}), "
            f"expected scores of {classes} classes; mend its function build, which is told the rows and "
            "columns of images: they have no axis of channels."
        ) from error
    _check_scores(scores, kind, (len(images), classes))
    anew = dict(build_model(settings, image_shape, classes, generator("placeholder")).named_buffers())
    for name, buffer in model.named_buffers():
        if name not in anew or not torch.equal(buffer.cpu(), anew[name]):
            raise UserError(
                f"The network '{kind}' has the buffer '{name}', which is drawn at random or changes in a "
                "forward pass of the training, but the parameters alone are recorded, so its Hessian would "
                "be another network's; take LayerNorm or GroupNorm in place of batch norm, and constants for "
                "other buffers."
            )


def _check_scores(scores: object, kind: str, shape: tuple[int, int]) -> None:
    found = type(scores).__name__
    if isinstance(scores, torch.Tensor):
        if scores.shape == shape and scores.dtype == torch.float32:
            return
        found = f"{scores.dtype} of shape {tuple(scores.shape)}".removeprefix("torch.")
    raise UserError(
        f"The network '{kind}' returns {found} for {shape[0]} images, expected scores of {shape[1]} classes, "
        f"float32 of shape {shape}; mend its last layer."
    )


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

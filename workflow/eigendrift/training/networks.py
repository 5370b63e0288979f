"""Kinds of networks by name. torch is imported only to build a network."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Any

from eigendrift.extensions.kinds import Model, lazy
from eigendrift.extensions.registry import known

Settings = Mapping[str, Any]
Shape = tuple[int, int]
TORCH_NETWORKS = "eigendrift.training.torch_networks"

# The kind of a network whose settings name none.
DEFAULT_KIND = "mlp"
POOLED = 2

ACTIVATION = {"description": "Function after each hidden layer.", "enum": ["relu", "tanh", "gelu"]}
INITIALIZATION = {
    "description": "Distribution of the initial weights; biases start at zero.",
    "enum": ["glorot_uniform", "glorot_normal", "kaiming_uniform"],
}


def kind_of(settings: Settings) -> str:
    """Return the kind of a network, given its settings."""
    return str(settings.get("kind", DEFAULT_KIND))


def perceptron_widths(settings: Settings, image_shape: Sequence[int], classes: int) -> list[int]:
    """Return the widths of all layers of a perceptron, starting with the input."""
    return [prod(image_shape), *settings["hidden_widths"], classes]


def parameters_of(widths: Sequence[int]) -> int:
    """Return the number of parameters, N, of a perceptron, given the widths of all its layers."""
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(widths))


def pooled_shape(settings: Settings, image_shape: Shape) -> Shape:
    """Return rows and columns of a convolutional network's last feature maps."""
    rows, columns = (size // POOLED ** len(settings["channels"]) for size in image_shape)
    return rows, columns


def _perceptron_parameters(settings: Settings, image_shape: Shape, classes: int) -> int:
    return parameters_of(perceptron_widths(settings, image_shape, classes))


def _perceptron_title(settings: Settings, image_shape: Shape, classes: int) -> str:
    return f"{'-'.join(map(str, perceptron_widths(settings, image_shape, classes)))} perceptron"


def _convolutional_parameters(settings: Settings, image_shape: Shape, classes: int) -> int:
    channels, area = [1, *settings["channels"]], int(settings["kernel_size"]) ** 2
    convolutions: int = sum((fan_in * area + 1) * fan_out for fan_in, fan_out in pairwise(channels))
    return convolutions + parameters_of([channels[-1] * prod(pooled_shape(settings, image_shape)), classes])


def _convolutional_title(settings: Settings, image_shape: Shape, classes: int) -> str:
    channels, size = "-".join(map(str, settings["channels"])), settings["kernel_size"]
    return f"convolutional network of {channels} channels, {size} × {size} kernels"


MODELS = known(
    Model,
    Model(
        name="mlp",
        build=lazy(TORCH_NETWORKS, "perceptron"),
        settings={
            "hidden_widths": {
                "description": "Widths of the hidden layers, input side first; empty for a linear classifier.",
                "type": "array",
                "items": {"type": "integer", "minimum": 1},
            },
            "activation": ACTIVATION,
            "initialization": INITIALIZATION,
        },
        parameters=_perceptron_parameters,
        title=_perceptron_title,
    ),
    Model(
        name="cnn",
        build=lazy(TORCH_NETWORKS, "convolutional"),
        settings={
            "channels": {
                "description": (
                    "Channels of each convolution, input side first; the activation and the mean over 2 × 2 "
                    "pixels follow each convolution."
                ),
                "type": "array",
                "minItems": 1,
                "items": {"type": "integer", "minimum": 1},
            },
            "kernel_size": {
                "description": "Rows and columns of a convolution's kernel.",
                "title": "an odd integer of at least 1",
                "type": "integer",
                "minimum": 1,
                "not": {"multipleOf": 2},
            },
            "activation": ACTIVATION,
            "initialization": INITIALIZATION,
        },
        parameters=_convolutional_parameters,
        title=_convolutional_title,
    ),
)

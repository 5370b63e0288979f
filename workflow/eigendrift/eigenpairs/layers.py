"""The layers of a multilayer perceptron: recognized, taken apart, differentiated."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import nn
from torch.nn.modules.module import _has_any_global_hook

from eigendrift.eigenpairs.losses import check_labels
from eigendrift.eigenpairs.operator_checks import check_lengths
from eigendrift.training.torch_networks import ACTIVATIONS


@dataclass(frozen=True)
class Part:
    """What belongs to one layer of a block of b flat vectors: views, so that writing to them fills the block.

    Attributes:
        weights: (b, fan-out, fan-in).
        biases: (b, fan-out); None for a layer without.
    """

    weights: torch.Tensor
    biases: torch.Tensor | None


def is_perceptron(model: nn.Module) -> bool:
    """Tell whether a network is linear layers with one known elementwise activation between each two.

    Whatever could make a layer compute anything else, such as hooks or parametrizations, tells against it.
    """
    layers = layers_of(model)
    if _has_any_global_hook():  # type: ignore[no-untyped-call]
        return False
    linear, between = layers[::2], layers[1::2]
    own = [parameter for layer in linear for parameter in layer.parameters()]
    return (
        len(layers) % 2 == 1
        and all(type(layer) is nn.Linear for layer in linear)
        and all(type(layer) in ACTIVATIONS.values() for layer in between)
        and not any(getattr(layer, "inplace", False) for layer in between)
        and all(_is_plain(module) for module in model.modules())
        and all(one is other for one, other in zip_longest(own, model.parameters()))
    )


def fits_perceptron(model: nn.Module, inputs: torch.Tensor) -> bool:
    """Tell whether a sample reaches the first layer of a perceptron as vectors."""
    return inputs.dim() == 2 or (inputs.dim() > 2 and isinstance(next(model.children()), nn.Flatten))  # noqa: PLR2004


def layers_of(model: nn.Module) -> list[nn.Module]:
    """Return the layers of a sequence without a leading nn.Flatten; of anything else, nothing."""
    layers = list(model) if type(model) is nn.Sequential else []
    first = layers[0] if layers else None
    flattens = type(first) is nn.Flatten and first.start_dim == 1 and first.end_dim == -1
    return layers[1:] if flattens else layers


def perceptron_layers(
    model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> list[nn.Module]:
    """Return the layers of a network that `is_perceptron`, after a look at whether a sample fits it.

    Raises:
        TypeError: Inputs or targets are no tensors.
        ValueError: It is none; or the inputs (n, …) have not the number of features that its first layer
            takes, or not the dtype and the device of the weights that it is to have; or the targets (n,) are
            no labels of its classes.
    """
    check_lengths(inputs, targets)
    if not is_perceptron(model):
        raise ValueError("the network is not linear layers with one activation between each two")
    layers = layers_of(model)
    first = next(layers[0].parameters())
    if not fits_perceptron(model, inputs) or inputs[:1].numel() != first.shape[1]:
        raise ValueError(
            f"the inputs have shape {tuple(inputs.shape)}, "
            f"the first layer takes {first.shape[1]} features of each sample"
        )
    if inputs.dtype != weights.dtype or inputs.device != weights.device:
        raise ValueError(
            f"the inputs are {inputs.dtype} on {inputs.device}, "
            f"the weights are {weights.dtype} on {weights.device}"
        )
    check_labels(targets, next(layers[-1].parameters()).shape[0])
    return layers


def _is_plain(module: nn.Module) -> bool:
    """Tell whether a module computes what its class says and nothing else."""
    hooks = (value for name, value in vars(module).items() if name.endswith("_hooks"))
    plain = {"weight", "bias"} if isinstance(module, nn.Linear) else set()
    return not any(hooks) and "forward" not in vars(module) and set(module._parameters) <= plain


def by_layer(block: torch.Tensor, layers: Sequence[nn.Linear]) -> list[Part]:
    """Return what belongs to each layer of a block (b, N) of flat vectors."""
    own = [(layer.weight, layer.bias) for layer in layers]
    sizes = [tensor.numel() for pair in own for tensor in pair if tensor is not None]
    pieces = iter(torch.split(block, sizes, dim=1))
    return [
        Part(next(pieces).view(-1, *weight.shape), None if bias is None else next(pieces))
        for weight, bias in own
    ]


def derivatives(
    activation: nn.Module, at: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Return σ, σ' and σ'' of an elementwise activation at z; None for a σ'' that is zero everywhere."""
    with torch.enable_grad():
        at = at.detach().requires_grad_()
        value = activation(at)
        (slope,) = torch.autograd.grad(value.sum(), at, create_graph=True)
        (bend,) = torch.autograd.grad(slope.sum(), at, materialize_grads=True)
    return value.detach(), slope.detach(), bend if bend.any() else None

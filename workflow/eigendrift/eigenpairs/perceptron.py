"""The Hessian of a multilayer perceptron's cross-entropy, its products written out."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import zip_longest
from math import prod

import torch
from torch import nn
from torch.nn.functional import one_hot

from eigendrift.eigenpairs.hessian import HessianOperator
from eigendrift.eigenpairs.softmax import output_errors, subtract_mean
from eigendrift.training.models import ACTIVATIONS

# Vectors of a block are worked on together while their activations in a layer have at most so many columns:
# wider products are no faster, and memory stays that of a few passes through the network.
COLUMNS = 128
# A processor's caches hold the activations of so many rows; more at once run at the speed of its memory.
CACHED_ROWS = 4_096


@dataclass(frozen=True)
class _Pass:
    """One pass of n rows through the network; the lists of hidden layers are one shorter than those of all.

    Attributes:
        inputs: (n, fan-in) of every layer: the sample, then a = σ(z) of each hidden layer.
        errors: (n, fan-out) of every layer: δ, the derivative of the mean loss by its output z.
        slopes: (n, width) of every hidden layer: σ'(z).
        curvatures: (n, width) of every hidden layer: σ''(z) times the derivative of the mean loss by σ(z);
            None where σ'' vanishes.
        probabilities: (n, classes), softmax of the network's output.
        shares: (n, classes), the probabilities over the number of samples.
        top: int64 (n, 1), the most probable class.
    """

    inputs: list[torch.Tensor]
    errors: list[torch.Tensor]
    slopes: list[torch.Tensor]
    curvatures: list[torch.Tensor | None]
    probabilities: torch.Tensor
    shares: torch.Tensor
    top: torch.Tensor


@dataclass(frozen=True)
class Part:
    """What belongs to one layer of a block of b flat vectors: views, so that writing to them fills the block.

    Attributes:
        weights: (b, fan-out, fan-in).
        biases: (b, fan-out); None for a layer without.
    """

    weights: torch.Tensor
    biases: torch.Tensor | None


class PerceptronHessian(HessianOperator[list[_Pass]]):
    r"""The Hessian of the mean cross-entropy of a multilayer perceptron.

    The R operator (Pearlmutter 1994), :math:`R\{f(\theta)\} = \partial_r f(\theta + r v)|_{r=0}`. With
    :math:`z_l = W_l a_{l-1} + b_l`, :math:`a_l = \sigma(z_l)`, :math:`\delta_l = \partial L / \partial z_l`,
    p the softmax of the output, and V, c the parts of v that belong to W, b

    .. math::
        R\{z_l\} = V_l a_{l-1} + c_l + W_l R\{a_{l-1}\}, \quad R\{a_l\} = \sigma'(z_l) R\{z_l\}

        R\{\delta_L\} = p \, (R\{z_L\} - p^T R\{z_L\}) / n

        R\{\delta_{l-1}\} = \sigma'(z_{l-1}) (W_l^T R\{\delta_l\} + V_l^T \delta_l)
                            + \sigma''(z_{l-1}) R\{z_{l-1}\} W_l^T \delta_l

        R\{\partial L/\partial W_l\} = R\{\delta_l\} a_{l-1}^T + \delta_l R\{a_{l-1}\}^T, \quad
        R\{\partial L/\partial b_l\} = R\{\delta_l\}

    All that does not depend on v is prepared; a block of vectors shares the matrix products with it.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        chunk_size: int | None = None,
    ) -> None:
        """Prepare the operator.

        Args:
            model: A network that `is_perceptron`, on the device and in the dtype that its Hessian is wanted
                for.
            inputs: (n, …) on the model's device.
            targets: int64 (n,) class labels on the model's device.
            chunk_size: Samples that one pass works on; None for all at once.
        """
        # A copy: what is prepared stays of one piece with the weights.
        layers = deepcopy(layers_of(model))
        self._linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
        self._activations = [layer for layer in layers if not isinstance(layer, nn.Linear)]
        self._together = max(1, COLUMNS // max(layer.out_features for layer in self._linear))
        self._memory: dict[tuple[str, int], torch.Tensor] = {}
        super().__init__(model, inputs, targets, chunk_size)

    @torch.no_grad()
    def _prepare(self, inputs: torch.Tensor, targets: torch.Tensor) -> list[_Pass]:
        rows = CACHED_ROWS if inputs.device.type == "cpu" else len(inputs)
        parts = zip(torch.split(inputs, rows), torch.split(targets, rows), strict=True)
        return [self._pass(*part, len(inputs)) for part in parts]

    def _pass(self, inputs: torch.Tensor, targets: torch.Tensor, samples: int) -> _Pass:
        activations, slopes, bends = [inputs.flatten(1)], [], []
        for layer, activation in zip(self._linear, self._activations, strict=False):
            value, slope, bend = derivatives(activation, layer(activations[-1]))
            activations.append(value)
            slopes.append(slope)
            bends.append(bend)
        probabilities = self._linear[-1](activations[-1]).softmax(1)
        labelled = one_hot(targets, probabilities.shape[1]).bool()
        errors = [output_errors(probabilities, labelled) / samples]
        curvatures: list[torch.Tensor | None] = []
        for layer, slope, bend in zip(self._linear[:0:-1], slopes[::-1], bends[::-1], strict=True):
            by_activation = errors[0] @ layer.weight
            curvatures.insert(0, None if bend is None else bend * by_activation)
            errors.insert(0, slope * by_activation)
        top = probabilities.argmax(1, keepdim=True)
        return _Pass(activations, errors, slopes, curvatures, probabilities, probabilities / samples, top)

    @torch.no_grad()
    def _products(self, prepared: list[_Pass], block: torch.Tensor) -> torch.Tensor:
        products = torch.zeros_like(block)
        together = self._together
        for vectors, images in zip(
            torch.split(block, together), torch.split(products, together), strict=True
        ):
            directions, parts = by_layer(vectors, self._linear), by_layer(images, self._linear)
            for rows in prepared:
                outputs, activations = self._forward(rows, directions)
                self._backward(rows, directions, outputs, activations, parts)
        return products

    def _forward(
        self, prepared: _Pass, directions: list[Part]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return R{z} (n, b, fan-out) of every layer and R{a} (n, b, width) of every hidden one.

        Where σ'' vanishes, R{z} is not needed again and R{a} takes its place.
        """
        outputs: list[torch.Tensor] = []
        activations: list[torch.Tensor] = []
        for index, (layer, direction) in enumerate(zip(self._linear, directions, strict=True)):
            given, vectors = prepared.inputs[index], len(direction.weights)
            output = self._buffer("outputs", index, len(given), vectors)
            torch.mm(given, direction.weights.flatten(0, 1).T, out=output.flatten(1))
            if index > 0:
                output.flatten(0, 1).addmm_(activations[-1].flatten(0, 1), layer.weight.T)
            if direction.biases is not None:
                output += direction.biases
            outputs.append(output)
            if index < len(prepared.slopes):
                keep = prepared.curvatures[index] is not None
                into = self._buffer("activations", index, len(given), vectors) if keep else output
                activations.append(torch.mul(output, prepared.slopes[index][:, None], out=into))
        return outputs, activations

    def _backward(
        self,
        prepared: _Pass,
        directions: list[Part],
        outputs: list[torch.Tensor],
        activations: list[torch.Tensor],
        images: list[Part],
    ) -> None:
        """Add R{∂L/∂W} and R{∂L/∂b} of every layer to ``images``."""
        error = outputs[-1]  # becomes R{δ} (n, b, fan-out) of the layer at hand
        top = prepared.top[:, None].expand(-1, error.shape[1], -1)
        subtract_mean(error, prepared.probabilities[:, None], top, dim=2)
        error *= prepared.shares[:, None]
        for index in reversed(range(len(images))):
            image, weights = images[index], directions[index].weights
            image.weights.add_((error.flatten(1).T @ prepared.inputs[index]).view_as(weights))
            if image.biases is not None:
                image.biases.add_(error.sum(0))
            if index == 0:
                return
            given, behind = prepared.errors[index], activations[index - 1]
            mixed = given.T @ behind.flatten(1)
            image.weights.add_(mixed.view(len(mixed), len(weights), -1).transpose(0, 1))
            # R{a} has served; R{δ} of the layer before takes its place.
            torch.mm(error.flatten(0, 1), self._linear[index].weight, out=behind.flatten(0, 1))
            behind.flatten(1).addmm_(given, weights.transpose(0, 1).flatten(1))
            error = behind.mul_(prepared.slopes[index - 1][:, None])
            curvature = prepared.curvatures[index - 1]
            if curvature is not None:
                error.addcmul_(curvature[:, None], outputs[index - 1])

    def _buffer(self, purpose: str, index: int, rows: int, vectors: int) -> torch.Tensor:
        """Return memory (rows, vectors, fan-out) of a layer, kept because fresh memory is slow to touch."""
        shape = (rows, vectors, self._linear[index].out_features)
        flat = self._memory.get((purpose, index))
        if flat is None or flat.numel() < prod(shape):
            flat = self._memory[purpose, index] = torch.empty(
                prod(shape), dtype=self.dtype, device=self.device
            )
        return flat[: prod(shape)].view(shape)


def is_perceptron(model: nn.Module) -> bool:
    """Tell whether a network is linear layers with one known elementwise activation between each two.

    Whatever could make a layer compute anything else, such as hooks or parametrizations, tells against it.
    """
    layers = layers_of(model)
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


def _is_plain(module: nn.Module) -> bool:
    """Tell whether a module computes what its class says and nothing else."""
    hooks = (value for name, value in vars(module).items() if name.endswith("_hooks"))
    plain = {"weight", "bias"} if isinstance(module, nn.Linear) else set()
    return not any(hooks) and "forward" not in vars(module) and set(module._parameters) <= plain


def by_layer(block: torch.Tensor, layers: Sequence[nn.Linear]) -> list[Part]:
    """Return what belongs to each layer of a block (b, N) of flat vectors."""
    parts = []
    end = 0
    for layer in layers:
        start, end = end, end + layer.weight.numel()
        weights = block[:, start:end].view(-1, *layer.weight.shape)
        biases = None
        if layer.bias is not None:
            start, end = end, end + layer.out_features
            biases = block[:, start:end]
        parts.append(Part(weights, biases))
    return parts


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

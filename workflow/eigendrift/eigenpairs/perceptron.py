"""Multilayer perceptrons: their layers, and the Hessian of the cross-entropy with products written out."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import nn
from torch.nn.functional import one_hot
from torch.nn.modules.module import _has_any_global_hook

from eigendrift.eigenpairs.hessian import HessianOperator
from eigendrift.eigenpairs.losses import check_labels, output_errors, subtract_mean
from eigendrift.eigenpairs.network_checks import check_sample
from eigendrift.numerics import full_precision
from eigendrift.training.torch_networks import ACTIVATIONS

# Vectors of a block are multiplied together while their activations in a layer have at most this many columns. Wider
# products are no faster, and they take the memory of more passes through the network.
COLUMNS = 128
# A processor's caches hold the activations of this many rows. More rows at once run at the speed of memory.
CACHED_ROWS = 4_096


@dataclass(frozen=True)
class Part:
    """The part of one layer in a block of b flat vectors, as views, so that writing to them fills the block.

    Attributes:
        weights: (b, fan-out, fan-in).
        biases: (b, fan-out); None for a layer without.
    """

    weights: torch.Tensor
    biases: torch.Tensor | None


def is_perceptron(model: nn.Module) -> bool:
    """Return whether a network is linear layers with one known elementwise activation between each two.

    Anything that could make a layer compute something else, such as a hook or a parametrization, rules it out.
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
    """Return whether samples reach the first layer of a perceptron as vectors."""
    return inputs.dim() == 2 or (inputs.dim() > 2 and isinstance(next(model.children()), nn.Flatten))  # noqa: PLR2004


def layers_of(model: nn.Module) -> list[nn.Module]:
    """Return the layers of an nn.Sequential without a leading nn.Flatten; for other networks, no layers."""
    layers = list(model) if type(model) is nn.Sequential else []
    first = layers[0] if layers else None
    flattens = type(first) is nn.Flatten and first.start_dim == 1 and first.end_dim == -1
    return layers[1:] if flattens else layers


def perceptron_layers(
    model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> list[nn.Module]:
    """Return the layers of a network that `is_perceptron`, after checking that the sample fits it.

    Raises:
        TypeError: If inputs or targets are no tensors.
        ValueError: If the network is no perceptron; the inputs (n, …) do not have the number of features that its first
            layer takes, or the dtype and device of ``weights``; or the targets (n,) are not labels of its classes.
    """
    check_sample(inputs, targets)
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
            f"the inputs are {inputs.dtype} on {inputs.device}, the weights are {weights.dtype} on {weights.device}"
        )
    check_labels(targets, next(layers[-1].parameters()).shape[0])
    return layers


def _is_plain(module: nn.Module) -> bool:
    """Return whether a module computes exactly what its class does."""
    hooks = (value for name, value in vars(module).items() if name.endswith("_hooks"))
    plain = {"weight", "bias"} if isinstance(module, nn.Linear) else set()
    return not any(hooks) and "forward" not in vars(module) and set(module._parameters) <= plain


def by_layer(block: torch.Tensor, layers: Sequence[nn.Linear]) -> list[Part]:
    """Return the part of each layer in a block (b, N) of flat vectors."""
    own = [(layer.weight, layer.bias) for layer in layers]
    sizes = [tensor.numel() for pair in own for tensor in pair if tensor is not None]
    pieces = iter(torch.split(block, sizes, dim=1))
    return [Part(next(pieces).view(-1, *weight.shape), None if bias is None else next(pieces)) for weight, bias in own]


def derivatives(activation: nn.Module, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Return σ, σ' and σ'' of an elementwise activation at z; None for σ'' if it is zero everywhere."""
    with torch.enable_grad():
        at = at.detach().requires_grad_()
        value = activation(at)
        (slope,) = torch.autograd.grad(value.sum(), at, create_graph=True)
        (bend,) = torch.autograd.grad(slope.sum(), at, materialize_grads=True)
    return value.detach(), slope.detach(), bend if bend.any() else None


@dataclass(frozen=True)
class _Pass:
    """What products over n rows need besides the vectors, in lists with one entry for each layer.

    Attributes:
        inputs: (n, fan-in) of every layer: the sample, then a = σ(z) of each hidden layer.
        errors: (n, fan-out) of every layer: δ, the derivative of the mean loss by its output z.
        slopes: (n, 1, width) of every hidden layer: σ'(z).
        curvatures: (n, 1, width) of every hidden layer: σ''(z) times the derivative of the mean loss by σ(z); None
            where σ'' vanishes.
        probabilities: (n, 1, classes), softmax of the network's output.
        shares: (n, 1, classes), the probabilities over the number of samples.
        top: int64 (n, 1, 1), the most probable class.
    """

    inputs: list[torch.Tensor]
    errors: list[torch.Tensor]
    slopes: list[torch.Tensor]
    curvatures: list[torch.Tensor | None]
    probabilities: torch.Tensor
    shares: torch.Tensor
    top: torch.Tensor


@dataclass(frozen=True)
class _Direction:
    """The part of one layer in a block of b vectors, in the shapes that the matrix products take.

    Attributes:
        onward: (fan-in, b × fan-out), every V transposed.
        back: (fan-out, b × fan-in), every V.
        biases: (b × fan-out,); None for a layer without.
    """

    onward: torch.Tensor
    back: torch.Tensor
    biases: torch.Tensor | None


@dataclass(frozen=True)
class _Memory:
    """Memory for a layer's n rows and b vectors, in the shapes that are used.

    On small networks, making a view takes longer than some of the work, so views are made once.

    Attributes:
        whole: (n, b, fan-out).
        wide: (n, b × fan-out).
        tall: (n × b, fan-out).
    """

    whole: torch.Tensor
    wide: torch.Tensor
    tall: torch.Tensor


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

    Whatever does not depend on v is prepared, and a block of vectors shares the matrix products.

    `eigendrift.eigenpairs.batched_perceptrons.PerceptronStack` has the same formulas for several networks. The two
    classes do not share their products because they need different layouts. All b vectors of a block share the
    network's weights, so here they make one wide product, (n, fan-in) with (fan-in, b × fan-out). Several networks have
    different weights, so there every product is a batch of small ones, which has to have features before samples to
    read memory in order.
    """

    @full_precision()
    def __init__(
        self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, chunk_size: int | None = None
    ) -> None:
        """Prepare the operator; the arguments are those of `HessianOperator`, with class labels int64 (n,) as targets.

        Raises:
            ValueError: If ``model`` is no perceptron, or inputs or labels do not fit it; or as `HessianOperator`.
            TypeError: As `HessianOperator`.
            FloatingPointError: If an output of the network is not finite.
        """
        layers = deepcopy(perceptron_layers(model, inputs, targets, next(model.parameters(), inputs)))
        self._linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
        self._activations = [layer for layer in layers if not isinstance(layer, nn.Linear)]
        self._together = max(1, COLUMNS // max(layer.out_features for layer in self._linear))
        self._numbers: dict[tuple[str, int], torch.Tensor] = {}
        self._views: dict[tuple[str, int, int, int], _Memory] = {}
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
        outputs = self._linear[-1](activations[-1])
        if not outputs.isfinite().all():
            raise FloatingPointError("an output of the network is not finite, so its loss is no finite number")
        probabilities = outputs.softmax(1)
        at_label = one_hot(targets, probabilities.shape[1]).bool()
        errors = [output_errors(probabilities, at_label) / samples]
        curvatures: list[torch.Tensor | None] = []
        for layer, slope, bend in zip(self._linear[:0:-1], slopes[::-1], bends[::-1], strict=True):
            by_activation = errors[0] @ layer.weight
            curvatures.insert(0, None if bend is None else bend * by_activation)
            errors.insert(0, slope * by_activation)
        probabilities = probabilities[:, None]
        return _Pass(
            inputs=activations,
            errors=errors,
            slopes=[slope[:, None] for slope in slopes],
            curvatures=[None if curvature is None else curvature[:, None] for curvature in curvatures],
            probabilities=probabilities,
            shares=probabilities / samples,
            top=probabilities.argmax(2, keepdim=True),
        )

    @torch.no_grad()
    def _products(self, prepared: list[_Pass], block: torch.Tensor) -> torch.Tensor:
        products = torch.zeros_like(block)
        together = self._together
        for vectors, images in zip(torch.split(block, together), torch.split(products, together), strict=True):
            directions = [
                _Direction(
                    # Contiguous, which is faster for a layer with few units.
                    onward=part.weights.permute(2, 0, 1).flatten(1).contiguous(),
                    back=part.weights.transpose(0, 1).flatten(1),
                    biases=None if part.biases is None else part.biases.flatten(),
                )
                for part in by_layer(vectors, self._linear)
            ]
            parts = by_layer(images, self._linear)
            for rows in prepared:
                outputs, activations = self._forward(rows, directions, len(vectors))
                self._backward(rows, directions, outputs, activations, parts)
        return products

    def _forward(
        self, prepared: _Pass, directions: list[_Direction], vectors: int
    ) -> tuple[list[_Memory], list[_Memory]]:
        """Return R{z} of every layer and R{a} of every hidden layer.

        Where σ'' vanishes, R{z} is not needed again, and R{a} overwrites it.
        """
        outputs: list[_Memory] = []
        activations: list[_Memory] = []
        for index, (given, direction) in enumerate(zip(prepared.inputs, directions, strict=True)):
            output = self._memory_of("outputs", index, len(given), vectors)
            if direction.biases is None:
                torch.mm(given, direction.onward, out=output.wide)
            else:
                torch.addmm(direction.biases, given, direction.onward, out=output.wide)
            if index > 0:
                output.tall.addmm_(activations[-1].tall, self._linear[index].weight.T)
            outputs.append(output)
            if index < len(prepared.slopes):
                keep = prepared.curvatures[index] is not None
                into = self._memory_of("activations", index, len(given), vectors) if keep else output
                torch.mul(output.whole, prepared.slopes[index], out=into.whole)
                activations.append(into)
        return outputs, activations

    def _backward(
        self,
        prepared: _Pass,
        directions: list[_Direction],
        outputs: list[_Memory],
        activations: list[_Memory],
        images: list[Part],
    ) -> None:
        """Add R{∂L/∂W} and R{∂L/∂b} of every layer to ``images``."""
        error = outputs[-1]  # becomes R{δ} of the layer at hand
        top = prepared.top.expand(-1, error.whole.shape[1], -1)
        subtract_mean(error.whole, prepared.probabilities, top, dim=2)
        error.whole.mul_(prepared.shares)
        for index in reversed(range(len(images))):
            weights, biases = images[index].weights, images[index].biases
            weights.add_((error.wide.T @ prepared.inputs[index]).view_as(weights))
            if biases is not None:
                biases.add_(error.whole.sum(0))
            if index == 0:
                return
            given, behind = prepared.errors[index], activations[index - 1]
            mixed = given.T @ behind.wide
            weights.add_(mixed.view(len(mixed), len(weights), -1).transpose(0, 1))
            # R{a} is not needed again, so R{δ} of the previous layer overwrites it.
            torch.mm(error.tall, self._linear[index].weight, out=behind.tall)
            behind.wide.addmm_(given, directions[index].back)
            behind.whole.mul_(prepared.slopes[index - 1])
            if (curvature := prepared.curvatures[index - 1]) is not None:
                behind.whole.addcmul_(curvature, outputs[index - 1].whole)
            error = behind

    def _memory_of(self, purpose: str, index: int, rows: int, vectors: int) -> _Memory:
        """Return memory for a layer's rows, which is kept because fresh memory is slow to touch."""
        key = (purpose, index, rows, vectors)
        if key not in self._views:
            width = self._linear[index].out_features
            flat = self._numbers.get((purpose, index))
            if flat is None or flat.numel() < rows * vectors * width:
                flat = torch.empty(rows * self._together * width, dtype=self.dtype, device=self.device)
                self._numbers[purpose, index] = flat
            whole = flat[: rows * vectors * width].view(rows, vectors, width)
            self._views[key] = _Memory(whole, whole.flatten(1), whole.flatten(0, 1))
        return self._views[key]

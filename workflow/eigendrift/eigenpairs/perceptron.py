"""The Hessian of a multilayer perceptron's cross-entropy, its products written out."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import one_hot

from eigendrift.eigenpairs.hessian import HessianOperator
from eigendrift.eigenpairs.layers import Part, by_layer, derivatives, perceptron_layers
from eigendrift.eigenpairs.losses import output_errors, subtract_mean
from eigendrift.numerics import full_precision

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
        slopes: (n, 1, width) of every hidden layer: σ'(z).
        curvatures: (n, 1, width) of every hidden layer: σ''(z) times the derivative of the mean loss by σ(z);
            None where σ'' vanishes.
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
    """What belongs to one layer of a block of b vectors, as the matrix products take it.

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
    """One memory for a layer's n rows and b vectors, in the shapes in which it is worked on.

    Views take a processor longer than some of the work on small networks, so they are made once.

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

    All that does not depend on v is prepared; a block of vectors shares the matrix products with it.
    """

    @full_precision()
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

        Raises:
            ValueError: If ``model`` is no perceptron, or inputs or labels do not fit it; or as
                `HessianOperator`.
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
            raise FloatingPointError(
                "an output of the network is not finite, so its loss is no finite number"
            )
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
        for vectors, images in zip(
            torch.split(block, together), torch.split(products, together), strict=True
        ):
            directions = [_direction(part) for part in by_layer(vectors, self._linear)]
            parts = by_layer(images, self._linear)
            for rows in prepared:
                outputs, activations = self._forward(rows, directions, len(vectors))
                self._backward(rows, directions, outputs, activations, parts)
        return products

    def _forward(
        self, prepared: _Pass, directions: list[_Direction], vectors: int
    ) -> tuple[list[_Memory], list[_Memory]]:
        """Return R{z} of every layer and R{a} of every hidden one.

        Where σ'' vanishes, R{z} is not needed again and R{a} takes its place.
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
            # R{a} has served; R{δ} of the layer before takes its place.
            torch.mm(error.tall, self._linear[index].weight, out=behind.tall)
            behind.wide.addmm_(given, directions[index].back)
            behind.whole.mul_(prepared.slopes[index - 1])
            curvature = prepared.curvatures[index - 1]
            if curvature is not None:
                behind.whole.addcmul_(curvature, outputs[index - 1].whole)
            error = behind

    def _memory_of(self, purpose: str, index: int, rows: int, vectors: int) -> _Memory:
        """Return memory for a layer's rows, kept because fresh memory is slow to touch."""
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


def _direction(part: Part) -> _Direction:
    return _Direction(
        # In order of memory: that is faster for a layer with few units.
        onward=part.weights.permute(2, 0, 1).flatten(1).contiguous(),
        back=part.weights.transpose(0, 1).flatten(1),
        biases=None if part.biases is None else part.biases.flatten(),
    )

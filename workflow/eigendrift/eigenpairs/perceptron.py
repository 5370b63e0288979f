"""The Hessian of a multilayer perceptron's cross-entropy, its products written out."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import one_hot

from eigendrift.eigenpairs.columns import Columns, columns_of
from eigendrift.eigenpairs.hessian import HessianOperator
from eigendrift.eigenpairs.layers import Part, by_layer, derivatives, layers_of
from eigendrift.eigenpairs.softmax import output_errors, subtract_mean

# A processor's caches hold the activations of so many samples; more at once run at the speed of its memory.
CACHED_SAMPLES = 4_096


@dataclass(frozen=True)
class _Paired:
    """Two numbers for each of a layer's units and n samples: what is prepared, and R{…} of a vector.

    They alternate in memory, so that a sum of two matrix products over them is one product, whether it runs
    over units or over samples.

    Attributes:
        moving: (width, n), R{…}.
        by_unit: (2 × width, n), the two rows of each unit in turn; of hidden units with ones as a last row.
        by_sample: (width, 2n).
    """

    moving: torch.Tensor
    by_unit: torch.Tensor
    by_sample: torch.Tensor


@dataclass(frozen=True)
class _Pass:
    """One pass of n samples through the network, and the memory for a product with one vector.

    Attributes:
        columns: (K, n), the sample.
        activations: Of every hidden layer: a = σ(z) and R{a}.
        errors: Of every layer but the first: R{δ} and δ, the derivative of the mean loss by the output z.
        first_errors: (width, n), R{δ} of the first layer.
        slopes: (width, n) of every hidden layer: σ'(z).
        curvatures: (width, n) of every hidden layer: σ''(z) times the derivative of the mean loss by σ(z);
            None where σ'' vanishes.
        bends: (width, n) of every hidden layer, for R{z} times the curvatures.
        probabilities: (classes, n), softmax of the network's output.
        shares: (classes, n), the probabilities over the number of samples.
        top: int64 (1, n), the most probable class.
    """

    columns: torch.Tensor
    activations: list[_Paired]
    errors: list[_Paired]
    first_errors: torch.Tensor
    slopes: list[torch.Tensor]
    curvatures: list[torch.Tensor | None]
    bends: list[torch.Tensor | None]
    probabilities: torch.Tensor
    shares: torch.Tensor
    top: torch.Tensor

    def error(self, layer: int) -> torch.Tensor:
        """Return where R{δ} of a layer belongs, (fan-out, n)."""
        return self.first_errors if layer == 0 else self.errors[layer - 1].moving


@dataclass(frozen=True)
class _Layer:
    """A layer behind the first, its weights W beside those of the vector, V.

    Attributes:
        onward: (fan-out, 2 × fan-in + 1), the columns of V and W in turn, and the vector's biases c: what
            R{z} = V a + W R{a} + c multiplies the activations with.
        onward_vector: (fan-out, fan-in), V in it.
        backward: (2 × fan-out, fan-in), the rows of W and V in turn: WᵀR{δ} + Vᵀδ.
        backward_vector: (fan-out, fan-in), V in it.
    """

    onward: torch.Tensor
    onward_vector: torch.Tensor
    backward: torch.Tensor
    backward_vector: torch.Tensor

    def take(self, direction: Part) -> None:
        """Put the vector's part in place."""
        self.onward_vector.copy_(direction.weights[0])
        self.backward_vector.copy_(direction.weights[0])
        if direction.biases is not None:
            self.onward[:, -1] = direction.biases[0]


class PerceptronHessian(HessianOperator[tuple[Columns, list[_Pass]]]):
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

    All that does not depend on v is prepared. Features come before samples, so that work on single numbers
    goes through memory in order; and each sum of two products is one product, see `_Paired`.
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
        self._further = [_layer(layer.weight.detach()) for layer in self._linear[1:]]
        super().__init__(model, inputs, targets, chunk_size)

    @torch.no_grad()
    def _prepare(self, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[Columns, list[_Pass]]:
        samples = len(inputs)
        rows = CACHED_SAMPLES if inputs.device.type == "cpu" else samples
        columns, parts = columns_of(inputs.flatten(1), rows)
        first = self._linear[0]
        weights = columns.weights(Part(first.weight[None], None if first.bias is None else first.bias[None]))
        passes = [
            self._pass(weights, part, labels, samples)
            for part, labels in zip(parts, torch.split(targets, rows), strict=True)
        ]
        return columns, passes

    def _pass(
        self, weights: torch.Tensor, columns: torch.Tensor, targets: torch.Tensor, samples: int
    ) -> _Pass:
        outputs = weights @ columns
        activations, slopes, bends = [], [], []
        for layer, activation in zip(self._linear[1:], self._activations, strict=True):
            value, slope, bend = derivatives(activation, outputs)
            activations.append(_paired(value, moving=1, ones=1))
            slopes.append(slope)
            bends.append(bend)
            outputs = _affine(layer, value)
        probabilities = outputs.softmax(0)
        labelled = one_hot(targets, len(probabilities)).T.bool()
        error = output_errors(probabilities, labelled, dim=0) / samples
        errors: list[_Paired] = []
        curvatures: list[torch.Tensor | None] = []
        for layer, slope, bend in zip(self._linear[:0:-1], slopes[::-1], bends[::-1], strict=True):
            errors.insert(0, _paired(error, moving=0))
            by_activation = layer.weight.T @ error
            curvatures.insert(0, None if bend is None else bend * by_activation)
            error = slope * by_activation
        return _Pass(
            columns=columns,
            activations=activations,
            errors=errors,
            first_errors=torch.empty_like(error),
            slopes=slopes,
            curvatures=curvatures,
            bends=[None if curvature is None else torch.empty_like(curvature) for curvature in curvatures],
            probabilities=probabilities,
            shares=probabilities / samples,
            top=probabilities.argmax(0, keepdim=True),
        )

    @torch.no_grad()
    def _products(self, prepared: tuple[Columns, list[_Pass]], block: torch.Tensor) -> torch.Tensor:
        columns, passes = prepared
        products = torch.zeros_like(block)
        for vector, product in zip(torch.split(block, 1), torch.split(products, 1), strict=True):
            first, *further = by_layer(vector, self._linear)
            images = by_layer(product, self._linear)
            for layer, direction in zip(self._further, further, strict=True):
                layer.take(direction)
            weights = columns.weights(first)
            gradient = weights.new_zeros(weights.shape[::-1])
            for rows in passes:
                self._forward(rows, weights)
                self._backward(rows, images, gradient)
            columns.write(gradient, images[0])
        return products

    def _forward(self, rows: _Pass, weights: torch.Tensor) -> None:
        """Compute R{a} of hidden layers and R{z} of the last, given the vector's weights of the columns."""
        multiplied, given = weights, rows.columns
        hidden = zip(rows.activations, rows.slopes, rows.curvatures, rows.bends, self._further, strict=True)
        for activation, slope, curvature, bend, behind in hidden:
            output = torch.mm(multiplied, given, out=activation.moving)
            if curvature is not None and bend is not None:
                torch.mul(output, curvature, out=bend)
            output.mul_(slope)
            multiplied, given = behind.onward, activation.by_unit
        torch.mm(multiplied, given, out=rows.error(len(rows.errors)))

    def _backward(self, rows: _Pass, images: list[Part], gradient: torch.Tensor) -> None:
        """Add R{∂L/∂W} and R{∂L/∂b} to ``images``; of the first layer, by column, to ``gradient``."""
        error = rows.error(len(rows.errors))  # becomes R{δ} of the layer at hand
        subtract_mean(error, rows.probabilities, rows.top, dim=0)
        error.mul_(rows.shares)
        for index in reversed(range(1, len(images))):
            given, image = rows.errors[index - 1], images[index]
            image.weights[0].addmm_(given.by_sample, rows.activations[index - 1].by_sample.T)
            if image.biases is not None:
                image.biases[0] += error.sum(1)
            error = torch.mm(self._further[index - 1].backward.T, given.by_unit, out=rows.error(index - 1))
            error.mul_(rows.slopes[index - 1])
            bend = rows.bends[index - 1]
            if bend is not None:
                error.add_(bend)
        gradient.addmm_(rows.columns, error.T)


def _layer(weights: torch.Tensor) -> _Layer:
    fan_out, fan_in = weights.shape
    onward, backward = weights.new_zeros(fan_out, 2 * fan_in + 1), weights.new_empty(2 * fan_out, fan_in)
    onward[:, 1:-1:2], backward[::2] = weights, weights
    return _Layer(onward, onward[:, :-1:2], backward, backward[1::2])


def _paired(prepared: torch.Tensor, moving: int, ones: int = 0) -> _Paired:
    """Put what is prepared, (width, n), beside the place of what the vector changes.

    Args:
        prepared: The one.
        moving: The other's place in each pair, 0 or 1.
        ones: How many rows of ones follow.
    """
    width, samples = prepared.shape
    numbers = prepared.new_ones(2 * width + ones, samples)
    by_sample = numbers[: 2 * width].view(width, 2 * samples)
    pairs = by_sample.view(width, 2, samples)
    pairs[:, 1 - moving] = prepared
    return _Paired(pairs[:, moving], numbers, by_sample)


def _affine(layer: nn.Linear, given: torch.Tensor) -> torch.Tensor:
    """Return W a + b, (fan-out, n)."""
    output = layer.weight @ given
    return output if layer.bias is None else output.add_(layer.bias[:, None])

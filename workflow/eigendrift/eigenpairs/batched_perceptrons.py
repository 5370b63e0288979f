"""The Hessians of several multilayer perceptrons on one sample, multiplied at once.

On a GPU, products of a small network cost the launches of their kernels rather than the arithmetic, so products of many
networks take hardly longer than products of one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import one_hot

from eigendrift.eigenpairs.losses import output_errors, subtract_mean
from eigendrift.eigenpairs.perceptron import Part, by_layer, derivatives, layers_of, perceptron_layers
from eigendrift.eigenpairs.symmetric import SymmetricOperator, rows_of
from eigendrift.numerics import full_precision

# Largest size of a stack with its Krylov bases: 4 GiB in float32. A network that is large compared with that keeps a
# GPU busy by itself, and more small networks than these save hardly anything.
MOST_NUMBERS = 2**30
MOST_NETWORKS = 64
# Numbers for each unit and sample: four prepared, four selected, and four while multiplying.
NUMBERS_PER_UNIT = 12


@dataclass(frozen=True)
class _Networks:
    """What the products of C networks need besides the vectors.

    Features come before samples, so that every matrix product reads and writes memory in order. The lists have one
    entry for each hidden layer. The "next" layer is the one that takes its activations.

    Attributes:
        activations: (C, width, n): a = σ(z) of the hidden layer.
        slopes: (C, width, n): σ'(z).
        curvatures: (C, width, n): σ''(z) times the derivative of the mean loss by a; None where σ'' vanishes.
        weights: (C, fan-out, width) of the next layer.
        errors: (C, fan-out, n) of the next layer: δ, the derivative of the mean loss by its output.
        probabilities: (C, classes, n), softmax of the network's output.
        shares: (C, classes, n), the probabilities over the number of samples.
        top: int64 (C, 1, n), the most probable class.
    """

    activations: list[torch.Tensor]
    slopes: list[torch.Tensor]
    curvatures: list[torch.Tensor | None]
    weights: list[torch.Tensor]
    errors: list[torch.Tensor]
    probabilities: torch.Tensor
    shares: torch.Tensor
    top: torch.Tensor

    def each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "_Networks":
        """Return a copy in which every tensor is changed."""

        def changed(value: Any) -> Any:
            if isinstance(value, list):
                return [changed(part) for part in value]
            return None if value is None else change(value)

        return _Networks(**{name: changed(value) for name, value in vars(self).items()})


class PerceptronStack:
    """The Hessians of the mean cross-entropy of C multilayer perceptrons of one architecture on one sample.

    `eigendrift.eigenpairs.perceptron.PerceptronHessian` has the formulas and says why this class has its own code for
    them. All networks have the same sample, so the first layer takes one matrix product. Later layers take batched
    products. Use a stack in one thread at a time. It is an `OperatorStack`, of size N, the number of parameters of one
    network.
    """

    @full_precision()
    def __init__(self, model: nn.Module, weights: torch.Tensor, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        """Prepare the products.

        Args:
            model: A network that `is_perceptron`, for the architecture; its own weights do not matter.
            weights: (C, N) flat weights of the networks, in ``model.parameters()`` order. They must not change while
                the stack is in use.
            inputs: (n, …) on the device and in the dtype of the weights.
            targets: int64 (n,) class labels on the same device.

        Raises:
            ValueError: If ``model`` is no perceptron, or weights, inputs or labels do not fit it.
        """
        size = sum(parameter.numel() for parameter in model.parameters())
        if weights.dim() != 2 or weights.shape[1] != size or not len(weights):  # noqa: PLR2004
            raise ValueError(f"the weights have shape {tuple(weights.shape)}, expected (C, N) with N = {size}")
        layers = perceptron_layers(model, inputs, targets, weights)
        self._linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
        self.size = size
        self.device, self.dtype = weights.device, weights.dtype
        self._inputs = inputs.flatten(1)
        self._all = self._prepare(weights, layers[1::2], targets)
        self._indices = list(range(len(weights)))
        self._selection = self._indices, self._all

    def __len__(self) -> int:
        """Return C."""
        return len(self._indices)

    def __getitem__(self, network: int) -> SymmetricOperator:
        """Return the Hessian of one network."""
        return _HessianInStack(self, self._indices[network])

    @full_precision()
    @torch.no_grad()
    def products(self, vectors: torch.Tensor, networks: Sequence[int]) -> torch.Tensor:
        """Return the products (r, N) of r vectors (r, N), each with the Hessian of its network.

        Raises:
            ValueError: If the vectors do not have the stack's size, dtype and device, or there is not one network for
                each vector.
            IndexError: If there is no such network.
        """
        block, indices = rows_of(vectors, self), list(networks)
        if not len(block) == len(indices) > 0:
            raise ValueError(f"{len(block)} vectors and {len(indices)} networks, expected as many of each")
        if not all(0 <= network < len(self) for network in indices):
            raise IndexError(f"networks {indices} are requested, expected indices from 0 to {len(self) - 1}")
        selected, directions = self._select(indices), by_layer(block, self._linear)
        outputs, activations = self._forward(selected, directions)
        products = torch.empty_like(block)
        self._backward(selected, directions, outputs, activations, by_layer(products, self._linear))
        return products

    def _prepare(self, weights: torch.Tensor, activations: Sequence[nn.Module], targets: torch.Tensor) -> _Networks:
        parts = by_layer(weights, self._linear)
        values, slopes, bends = [], [], []
        output = self._first_layer(parts[0])
        for activation, part in zip(activations, parts[1:], strict=True):
            value, slope, bend = derivatives(activation, output)
            values.append(value)
            slopes.append(slope)
            bends.append(bend)
            output = _with_biases(part.weights @ value, part)
        probabilities = output.softmax(1)
        samples = len(targets)
        at_label = one_hot(targets, probabilities.shape[1]).T.bool()
        errors = [output_errors(probabilities, at_label) / samples]
        curvatures: list[torch.Tensor | None] = []
        for part, slope, bend in zip(parts[:0:-1], slopes[::-1], bends[::-1], strict=True):
            by_activation = part.weights.mT @ errors[0]
            curvatures.insert(0, None if bend is None else bend * by_activation)
            errors.insert(0, slope * by_activation)
        return _Networks(
            activations=values,
            slopes=slopes,
            curvatures=curvatures,
            weights=[part.weights for part in parts[1:]],
            errors=errors[1:],
            probabilities=probabilities,
            shares=probabilities / samples,
            top=probabilities.argmax(1, keepdim=True),
        )

    def _first_layer(self, part: Part) -> torch.Tensor:
        """Return W x + b of the sample, (b, fan-out, n)."""
        flat = part.weights.flatten(0, 1)
        return _with_biases((flat @ self._inputs.T).view(*part.weights.shape[:2], -1), part)

    def _select(self, networks: list[int]) -> _Networks:
        """Return what belongs to each of r vectors; a selection is kept until the next one."""
        if networks.count(networks[0]) == len(networks):
            only = slice(networks[0], networks[0] + 1)
            return self._all.each(lambda tensor: tensor[only].expand(len(networks), *tensor.shape[1:]))
        if networks != self._selection[0]:
            # The old selection is freed first, so that memory never holds two.
            self._selection = self._indices, self._all
            if networks != self._indices:
                index = torch.tensor(networks, device=self.device)
                self._selection = networks, self._all.each(lambda tensor: tensor.index_select(0, index))
        return self._selection[1]

    def _forward(self, networks: _Networks, directions: list[Part]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return R{z} (r, fan-out, n) of every layer and R{a} (r, width, n) of every hidden layer.

        Where σ'' vanishes, R{z} is not needed again, and R{a} overwrites it.
        """
        outputs = [self._first_layer(directions[0])]
        activations: list[torch.Tensor] = []
        for index, direction in enumerate(directions[1:]):
            keep = networks.curvatures[index] is not None
            slope = networks.slopes[index]
            activations.append(outputs[-1] * slope if keep else outputs[-1].mul_(slope))
            output = torch.bmm(direction.weights, networks.activations[index])
            output.baddbmm_(networks.weights[index], activations[-1])
            outputs.append(_with_biases(output, direction))
        return outputs, activations

    def _backward(
        self,
        networks: _Networks,
        directions: list[Part],
        outputs: list[torch.Tensor],
        activations: list[torch.Tensor],
        images: list[Part],
    ) -> None:
        """Write R{∂L/∂W} and R{∂L/∂b} of every layer to ``images``."""
        error = outputs[-1]  # becomes R{δ} (r, fan-out, n) of the layer at hand
        subtract_mean(error, networks.probabilities, networks.top, dim=1)
        error *= networks.shares
        for index in reversed(range(len(images))):
            image = images[index]
            if image.biases is not None:
                torch.sum(error, 2, out=image.biases)
            if index == 0:
                image.weights.copy_((error.flatten(0, 1) @ self._inputs).view_as(image.weights))
                return
            hidden = index - 1
            given, behind = networks.errors[hidden], activations[hidden]
            torch.bmm(error, networks.activations[hidden].mT, out=image.weights)
            image.weights.baddbmm_(given, behind.mT)
            # R{a} is not needed again, so R{δ} of the previous layer overwrites it.
            torch.bmm(networks.weights[hidden].mT, error, out=behind)
            error = behind.baddbmm_(directions[index].weights.mT, given).mul_(networks.slopes[hidden])
            if (curvature := networks.curvatures[hidden]) is not None:
                error.addcmul_(curvature, outputs[hidden])


class _HessianInStack:
    """The Hessian of one network in a stack."""

    def __init__(self, stack: PerceptronStack, network: int) -> None:
        self.size, self.device, self.dtype = stack.size, stack.device, stack.dtype
        self._stack = stack
        self._network = network

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        block = rows_of(vectors, self)
        if not len(block):
            return torch.empty_like(vectors)
        # As many rows at once as there are networks, so that a block takes no more memory.
        parts = [
            self._stack.products(rows, [self._network] * len(rows)) for rows in torch.split(block, len(self._stack))
        ]
        return torch.cat(parts).view_as(vectors)


def stack_size(model: nn.Module, samples: int, basis_size: int) -> int:
    """Return the best number of networks in a stack, which depends on sizes only.

    Args:
        model: A network that `is_perceptron`.
        samples: Number of samples in the Hessian.
        basis_size: Vectors in the Krylov basis of each network.
    """
    linear = [layer for layer in layers_of(model) if isinstance(layer, nn.Linear)]
    units = sum(layer.out_features for layer in linear)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    # Twice the basis, because two exist for a moment when iterations that have ended are dropped.
    numbers = NUMBERS_PER_UNIT * units * samples + 2 * basis_size * parameters
    return max(1, min(MOST_NETWORKS, MOST_NUMBERS // numbers))


def _with_biases(output: torch.Tensor, part: Part) -> torch.Tensor:
    """Add a layer's biases (b, fan-out), if it has any, to its output (b, fan-out, n), in place."""
    return output if part.biases is None else output.add_(part.biases[:, :, None])

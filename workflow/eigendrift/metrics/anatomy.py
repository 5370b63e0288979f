"""How a vector of parameters is distributed over the layers, neurons and weights of a network.

A network's parameter tensors are grouped into layers: a weight tensor, whose first axis counts neurons (or channels),
with the vectors that follow it, such as biases, which have an entry for each neuron.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, prod

import numpy as np
import xarray as xr

GRAINS = ("layers", "neurons", "weights")


@dataclass(frozen=True)
class Layer:
    """The position of a layer's parameters in a flat vector.

    Attributes:
        first: Index of the first parameter.
        neurons: Number of neurons, n.
        inputs: Number of weights of each neuron.
        vectors: Number of vectors after the weights that have an entry for each neuron, such as biases.
    """

    first: int
    neurons: int
    inputs: int
    vectors: int = 0

    @property
    def size(self) -> int:
        """Number of parameters of the layer."""
        return self.neurons * (self.inputs + self.vectors)


def layers_in(shapes: Sequence[Sequence[int]]) -> list[Layer]:
    """Group parameter tensors into layers.

    Args:
        shapes: Shape of every tensor, in ``model.parameters()`` order. A vector that does not follow weights for the
            same number of neurons is a layer by itself, whose neurons have one weight each.
    """
    layers: list[Layer] = []
    first = 0
    for shape in shapes:
        if len(shape) > 1:
            layers.append(Layer(first, shape[0], prod(shape[1:])))
        elif layers and layers[-1].neurons == prod(shape):
            layers[-1] = replace(layers[-1], vectors=layers[-1].vectors + 1)
        else:
            layers.append(Layer(first, prod(shape), 1))
        first += prod(shape)
    return layers


def anatomy(vectors: np.ndarray, shapes: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
    r"""Measure how vectors are distributed over the layers, neurons and weights of a network.

    :math:`m_u` is the sum of v² over the parameters of neuron u, and :math:`m_p` the sum of v² over the
    weights that come from input p of a layer:

    - ``layer_share``: :math:`s_l = \sum_{u \in l} m_u` of a unit vector; ``bias_share``: the part of it in
      the vectors that follow the weights.
    - ``weight_inverse_participation_ratio`` and ``bias_inverse_participation_ratio``: Σ v⁴ / (Σ v²)² over a
      layer's weights, and over its biases.
    - ``neuron_inverse_participation_ratio``: :math:`\sum_u m_u^2 / (\sum_u m_u)^2`, from 1/n to 1; its
      inverse is the effective number of neurons. ``input_inverse_participation_ratio``: the same for
      :math:`m_p`.
    - ``top_share``: share of Σ v² in the ⌈N/100⌉ parameters where v² is largest.

    Args:
        vectors: (…, parameter), of any length; NaN where undefined.
        shapes: Shape of every parameter tensor, in ``model.parameters()`` order.

    Returns:
        float64 (…, layer), and (…) for ``top_share``; NaN where a layer has nothing to measure.

    Raises:
        ValueError: If the length of the vectors is not the number of parameters of the network.
    """
    layers = layers_in(shapes)
    if (expected := sum(layer.size for layer in layers)) != vectors.shape[-1]:
        raise ValueError(f"the network has {expected} parameters, the vectors {vectors.shape[-1]}")
    flat = vectors.reshape(-1, vectors.shape[-1])
    # One vector at a time: a float64 copy of all would not fit into memory.
    measured = [_measure(vector.astype(np.float64), layers) for vector in flat]
    leading = vectors.shape[:-1]
    return {
        name: np.array([one[name] for one in measured]).reshape(leading + measured[0][name].shape)
        for name in measured[0]
    }


def _measure(vector: np.ndarray, layers: Sequence[Layer]) -> dict[str, np.ndarray]:
    squares = vector**2
    squares /= squares.sum()
    by_layer = [dict(_of_layer(squares, layer)) for layer in layers]
    top = ceil(0.01 * len(squares))
    return {name: np.array([one[name] for one in by_layer]) for name in by_layer[0]} | {
        "top_share": np.partition(squares, -top)[-top:].sum()
    }


def _of_layer(squares: np.ndarray, layer: Layer) -> Iterator[tuple[str, float]]:
    own = squares[layer.first : layer.first + layer.size]
    weights, biases = np.split(own, [layer.neurons * layer.inputs])
    weights = weights.reshape(layer.neurons, layer.inputs)
    by_neuron = weights.sum(1) + biases.reshape(layer.vectors, layer.neurons).sum(0)
    yield "layer_share", own.sum()
    yield "bias_share", biases.sum()
    yield "weight_inverse_participation_ratio", _concentration(weights.ravel())
    yield "bias_inverse_participation_ratio", _concentration(biases)
    yield "neuron_inverse_participation_ratio", _concentration(by_neuron)
    yield "input_inverse_participation_ratio", _concentration(weights.sum(0))


def _concentration(masses: np.ndarray) -> float:
    """Return Σ m² / (Σ m)², NaN where there is no mass."""
    total = masses.sum()
    return float((masses**2).sum() / total**2) if total > 0 else np.nan


def contributions(measured: xr.Dataset, shapes: Sequence[Sequence[int]]) -> xr.DataArray:
    r"""Split log10(N × IPR) into the contributions of layers, neurons and single weights.

    If a vector's share of every layer were spread evenly over the layer's :math:`N_l` parameters, the inverse
    participation ratio would be :math:`A = \sum_l s_l^2 / N_l`. If the share of every neuron were spread evenly over
    the neuron's :math:`k_l` parameters, it would be
    :math:`B = \sum_l \sum_{u \in l} m_u^2 / k_l`. By the Cauchy–Schwarz inequality 1/N ≤ A ≤ B ≤ IPR, so

    .. math::  \log_{10}(N \cdot \mathrm{IPR})
               = \log_{10}(N A) + \log_{10}(B / A) + \log_{10}(\mathrm{IPR} / B)

    has no negative part. For random directions the first two are near 0 and the last is near log10 3.

    Args:
        measured: A metrics or baseline store with ``layer_share``, ``neuron_inverse_participation_ratio`` and
            ``inverse_participation_ratio``.
        shapes: Shape of every parameter tensor.

    Returns:
        float64 (…, grain), in the order of `GRAINS`, at least 0 except for rounding.
    """
    layers = layers_in(shapes)
    sizes = xr.DataArray([layer.size for layer in layers], dims="layer")
    of_a_neuron = xr.DataArray([layer.inputs + layer.vectors for layer in layers], dims="layer")
    squared = measured["layer_share"].drop_vars("layer", errors="ignore") ** 2
    # A layer without a share has no ratio, and contributes nothing.
    ratio = measured["neuron_inverse_participation_ratio"].drop_vars("layer", errors="ignore")
    evenly = 1 / sizes.sum()
    of_layers = (squared / sizes).sum("layer", skipna=False)
    of_neurons = (squared * ratio.where(squared != 0, 0) / of_a_neuron).sum("layer", skipna=False)
    grains = pairwise([evenly, of_layers, of_neurons, measured["inverse_participation_ratio"]])
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithms = [xr.apply_ufunc(np.log10, fine / coarse) for coarse, fine in grains]
    parts: xr.DataArray = xr.concat(logarithms, "grain", coords="minimal", compat="override")
    return parts.assign_coords(grain=list(GRAINS)).transpose(..., "grain")

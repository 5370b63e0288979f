"""A flat vector of parameters in the shapes of a perceptron's layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, sqrt

import numpy as np
import pandas as pd

from eigendrift.training.networks import parameters_of


@dataclass(frozen=True)
class Layer:
    """What a vector has in one layer.

    Attributes:
        number: From 1.
        first: Index in the vector of the layer's first parameter.
        weights: (unit, input).
        biases: (unit,).
    """

    number: int
    first: int
    weights: np.ndarray
    biases: np.ndarray

    @property
    def share(self) -> float:
        """Sum of squares: the layer's share of a unit vector."""
        return float((self.weights.astype(float) ** 2).sum() + (self.biases.astype(float) ** 2).sum())

    def table(self) -> pd.DataFrame:
        """Return a row for each parameter; a bias has no column."""
        units, inputs = self.weights.shape
        values = np.concatenate([self.weights.ravel(), self.biases])
        row, column = np.divmod(np.arange(units * inputs), inputs)
        return pd.DataFrame(
            {
                "parameter": self.first + np.arange(len(values)),
                "row": np.concatenate([row, np.arange(units)]),
                "column": pd.array([*column, *[pd.NA] * units], dtype="Int64"),
                "value": values,
            }
        )

    def matrix(self) -> np.ndarray:
        """Return the weights with the biases as a last column, set apart by a column of NaN."""
        gap = np.full((len(self.biases), 1), np.nan)
        return np.hstack([self.weights, gap, self.biases[:, None]])

    def images(self, rows: int, columns: int) -> np.ndarray:
        """Return the weights of each unit as an image, its bias as a bar below, in a grid.

        Args:
            rows: Of an image.
            columns: Of an image.

        Returns:
            (pixel row, pixel column), NaN between the images.
        """
        units = len(self.biases)
        wide = min(units, ceil(sqrt(2 * units)))
        high = ceil(units / wide)
        # A bar is closer to its own image than to the next one.
        bar = slice(rows + 1, rows + 1 + ceil(rows / 10))
        tiles = np.full((high * wide, bar.stop + 2, columns + 1), np.nan)
        tiles[:units, :rows, :columns] = self.weights.reshape(units, rows, columns)
        tiles[:units, bar, :columns] = self.biases[:, None, None]
        mosaic = tiles.reshape(high, wide, *tiles.shape[1:]).swapaxes(1, 2).reshape(high * tiles.shape[1], -1)
        return np.asarray(mosaic[:-2, :-1])


def layers_of(vector: np.ndarray, widths: Sequence[int]) -> list[Layer]:
    """Cut a vector into layers.

    Args:
        vector: (parameter,), in ``model.parameters()`` order: for each layer its weights, then its biases.
        widths: Of all layers, the inputs' and the classes' included.

    Raises:
        ValueError: The vector is not as long as such a network has parameters.
    """
    if len(vector) != (expected := parameters_of(widths)):
        raise ValueError(f"a network of widths {widths} has {expected} parameters, the vector {len(vector)}")
    layers, first = [], 0
    for number, (inputs, units) in enumerate(pairwise(widths), start=1):
        weights, biases = np.split(vector[first : first + (inputs + 1) * units], [inputs * units])
        layers.append(Layer(number, first, weights.reshape(units, inputs), biases))
        first += (inputs + 1) * units
    return layers

"""The inputs of a sample as the first layer of a perceptron takes them: those that differ, and ones."""

from dataclasses import dataclass

import torch

from eigendrift.eigenpairs.layers import Part

# So many samples at a time become columns: what is copied on the way stays in a processor's cache.
TURNED = 256


@dataclass(frozen=True)
class Columns:
    """Which of the P inputs differ between the samples.

    An input that all samples share, such as a pixel at the rim of a picture, acts as a bias does. All of them
    and the biases together make one more column, of ones.

    Attributes:
        differing: int64 (K − 1,), the inputs that differ.
        shared: int64 (P − K + 1,), those that do not.
        values: (P − K + 1,), what these are.
        sources: int64 (P,), the column of which each input is a multiple.
        factors: (P,), the multiple.
    """

    differing: torch.Tensor
    shared: torch.Tensor
    values: torch.Tensor
    sources: torch.Tensor
    factors: torch.Tensor

    def weights(self, part: Part) -> torch.Tensor:
        """Return what the first layer's part of one vector does to the columns, (fan-out, K)."""
        weights, biases = part.weights[0], None if part.biases is None else part.biases[0]
        onto = weights.new_empty(len(weights), len(self.differing) + 1)
        onto[:, :-1] = weights.index_select(1, self.differing)
        onto[:, -1] = weights.index_select(1, self.shared) @ self.values
        if biases is not None:
            onto[:, -1] += biases
        return onto

    def write(self, gradient: torch.Tensor, image: Part) -> None:
        """Write to the first layer's part of one product, given the derivatives by the columns' weights.

        Args:
            gradient: (K, fan-out).
            image: Where to write.
        """
        torch.mul(gradient.index_select(0, self.sources).T, self.factors, out=image.weights[0])
        if image.biases is not None:
            image.biases[0] = gradient[-1]


def columns_of(inputs: torch.Tensor, rows: int) -> tuple[Columns, list[torch.Tensor]]:
    """Return the columns of a sample, and their values for so many samples at a time.

    Args:
        inputs: (n, P).
        rows: Samples at a time.

    Returns:
        Which columns, and (K, m) for every m ≤ ``rows`` samples in turn; the last row is ones.
    """
    lowest, highest = inputs.amin(0), inputs.amax(0)
    differs = highest > lowest
    differing, shared = differs.nonzero().flatten(), (~differs).nonzero().flatten()
    sources = torch.full_like(differs, len(differing), dtype=torch.int64)
    sources[differing] = torch.arange(len(differing), device=inputs.device)
    factors = torch.where(differs, torch.ones_like(highest), highest)
    columns = Columns(differing, shared, highest[shared], sources, factors)
    return columns, [_with_ones(part, differing) for part in torch.split(inputs, rows)]


def _with_ones(inputs: torch.Tensor, differing: torch.Tensor) -> torch.Tensor:
    columns = inputs.new_empty(len(differing) + 1, len(inputs))
    columns[-1] = 1
    for some, place in zip(
        torch.split(inputs, TURNED), torch.split(columns[:-1], TURNED, dim=1), strict=True
    ):
        place.copy_(some.index_select(1, differing).T)
    return columns

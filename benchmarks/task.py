"""What a method is asked for and what it answers."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

# Of residuals, ‖Hv − λv‖ / λ1.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Task:
    """What is asked for: the k leading eigenpairs of one Hessian, or of several along training.

    Attributes:
        model: The network, with its weights.
        inputs: (n, …) of the Hessian's sample.
        targets: (n,), their labels.
        count: k.
        trajectory: (checkpoint, N) on the CPU, weights along training; the last ones are those of the model.
    """

    model: nn.Module
    inputs: torch.Tensor
    targets: torch.Tensor
    count: int
    trajectory: torch.Tensor

    @property
    def size(self) -> int:
        """N."""
        return sum(parameter.numel() for parameter in self.model.parameters())


@dataclass(frozen=True)
class Answer:
    """What a method found.

    Attributes:
        values: float64 (k,), descending.
        vectors: (k, N), one eigenvector a row, as the method returns it.
        products: Hessian-vector products used; None if it cannot be known.
    """

    values: np.ndarray
    vectors: np.ndarray
    products: int | None

"""The task that a method gets, and the answer that it returns."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

# Tolerance of residuals, ‖Hv − λv‖ / λ1.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Task:
    """A request for the k leading eigenpairs of one Hessian, or of several Hessians along training.

    Attributes:
        model: The network, with its weights.
        inputs: Inputs of the Hessian's sample (n, …).
        targets: Labels of the inputs (n,).
        count: Number of eigenpairs, k.
        trajectory: Weights along training (checkpoint, N), on the CPU. The last row is the weights of the model.
    """

    model: nn.Module
    inputs: torch.Tensor
    targets: torch.Tensor
    count: int
    trajectory: torch.Tensor

    @property
    def size(self) -> int:
        """The number of parameters, N."""
        return sum(parameter.numel() for parameter in self.model.parameters())


@dataclass(frozen=True)
class Answer:
    """The eigenpairs that a method found.

    Attributes:
        values: Eigenvalues, float64 (k,), descending.
        vectors: Eigenvectors (k, N), one per row, as the method returns them.
        products: Hessian-vector products used; None if the number is unknown.
    """

    values: np.ndarray
    vectors: np.ndarray
    products: int | None

"""What solvers need of a symmetric operator."""

from typing import Protocol

import torch


class SymmetricOperator(Protocol):
    """A symmetric matrix of size N, known by its products with vectors.

    Attributes:
        size: N.
        device: Where vectors must be.
        dtype: Dtype that vectors must have.
    """

    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def device(self) -> torch.device: ...  # noqa: D102
    @property
    def dtype(self) -> torch.dtype: ...  # noqa: D102

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return Hv for a vector (N,), or the products (b, N) with each of b rows (b, N)."""
        ...

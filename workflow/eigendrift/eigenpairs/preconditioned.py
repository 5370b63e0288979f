"""A Hessian as an adaptive optimizer sees it: P^(−1/2) H P^(−1/2), for a diagonal P.

In the coordinates φ = P^(1/2) θ, the preconditioned step −η P⁻¹ ∂L/∂θ is the plain step −η ∂L/∂φ, and this is the
Hessian. The matrix is symmetric and has the eigenvalues of P⁻¹H.
"""

from collections.abc import Sequence

import torch

from eigendrift.eigenpairs.symmetric import OperatorStack, SymmetricOperator, rows_of
from eigendrift.numerics import full_precision


class PreconditionedOperator:
    """S H S for a symmetric operator H and a diagonal S, a `SymmetricOperator`."""

    def __init__(self, operator: SymmetricOperator, scale: torch.Tensor) -> None:
        """Wrap an operator.

        Args:
            operator: H, of size N.
            scale: The diagonal of S, (N,): P^(−1/2), on the operator's device and in its dtype.

        Raises:
            ValueError: If the diagonal does not have length N or the operator's dtype and device.
        """
        self.size, self.device, self.dtype = operator.size, operator.device, operator.dtype
        self._operator = operator
        self._scale = _checked(scale, operator, (self.size,))

    @full_precision()
    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the product with a vector (N,), or the products (b, N) with each of b rows (b, N).

        Raises:
            ValueError: If the vectors do not have the operator's size, dtype and device.
        """
        block = rows_of(vectors, self)
        return (self._scale * (self._operator @ (self._scale * block))).view_as(vectors)


class PreconditionedStack:
    """S H S for each of several operators H with a diagonal S of its own, an `OperatorStack`."""

    def __init__(self, operators: OperatorStack, scales: torch.Tensor) -> None:
        """Wrap a stack.

        Args:
            operators: C operators of size N.
            scales: (C, N), the diagonal of each S.

        Raises:
            ValueError: If the diagonals do not have this shape or the operators' dtype and device.
        """
        self.size, self.device, self.dtype = operators.size, operators.device, operators.dtype
        self._operators = operators
        self._scales = _checked(scales, operators, (len(operators), self.size))

    def __len__(self) -> int:
        """Return C."""
        return len(self._operators)

    def __getitem__(self, index: int) -> SymmetricOperator:
        """Return one of the operators."""
        return PreconditionedOperator(self._operators[index], self._scales[index])

    @full_precision()
    def products(self, vectors: torch.Tensor, indices: Sequence[int]) -> torch.Tensor:
        """Return the products (r, N) of r vectors (r, N), each with the operator of its index."""
        scales = self._scales[list(indices)]
        return scales * self._operators.products(scales * vectors, indices)


def _checked(
    diagonals: torch.Tensor, operator: SymmetricOperator | OperatorStack, shape: tuple[int, ...]
) -> torch.Tensor:
    if diagonals.shape != shape:
        raise ValueError(f"the diagonal has shape {tuple(diagonals.shape)}, expected {shape}")
    if diagonals.dtype != operator.dtype or diagonals.device != operator.device:
        raise ValueError(
            f"the diagonal is {diagonals.dtype} on {diagonals.device}, expected {operator.dtype} on {operator.device}"
        )
    return diagonals.detach()

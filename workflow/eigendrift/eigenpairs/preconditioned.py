"""A Hessian as an adaptive optimizer sees it: P^(−1/2) H P^(−1/2), for a diagonal P.

In the coordinates φ = P^(1/2) θ the preconditioned step −η P⁻¹ ∂L/∂θ is a plain one, −η ∂L/∂φ, and this is
the Hessian. It has the eigenvalues of P⁻¹H, and is symmetric.
"""

from collections.abc import Sequence

import torch

from eigendrift.eigenpairs.symmetric import OperatorStack, SymmetricOperator, rows_of
from eigendrift.numerics import full_precision


class PreconditionedOperator:
    """S H S of a symmetric operator H and a diagonal S.

    Attributes:
        size: N.
        device: Where vectors must be.
        dtype: Dtype that vectors must have.
    """

    def __init__(self, operator: SymmetricOperator, scale: torch.Tensor) -> None:
        """Wrap an operator.

        Args:
            operator: H, of size N.
            scale: The diagonal of S, (N,): P^(−1/2), on the operator's device and in its dtype.

        Raises:
            ValueError: The diagonal is not of length N, or not of the operator's dtype and device.
        """
        self.size, self.device, self.dtype = operator.size, operator.device, operator.dtype
        if scale.shape != (self.size,):
            raise ValueError(f"the diagonal has shape {tuple(scale.shape)}, expected ({self.size},)")
        _check_kind(scale, operator)
        self._operator = operator
        self._scale = scale.detach()

    @full_precision()
    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the product with a vector (N,), or the products (b, N) with each of b rows (b, N).

        Raises:
            ValueError: The vectors are not of the operator's size, dtype and device.
        """
        block = rows_of(vectors, self)
        return (self._scale * (self._operator @ (self._scale * block))).view_as(vectors)


class PreconditionedStack:
    """The same of several operators that are multiplied together.

    Attributes:
        size: N.
        device: Where vectors must be.
        dtype: Dtype that vectors must have.
    """

    def __init__(self, operators: OperatorStack, scales: torch.Tensor) -> None:
        """Wrap a stack.

        Args:
            operators: C operators of size N.
            scales: (C, N), the diagonal of each S.

        Raises:
            ValueError: There are not as many diagonals of that length, dtype and device.
        """
        self.size, self.device, self.dtype = operators.size, operators.device, operators.dtype
        if scales.shape != (expected := (len(operators), self.size)):
            raise ValueError(f"the diagonals have shape {tuple(scales.shape)}, expected {expected}")
        _check_kind(scales, operators)
        self._operators = operators
        self._scales = scales.detach()

    def __len__(self) -> int:
        """Return C."""
        return len(self._operators)

    def __getitem__(self, index: int) -> SymmetricOperator:
        """Return one of them."""
        return PreconditionedOperator(self._operators[index], self._scales[index])

    @full_precision()
    def products(self, vectors: torch.Tensor, indices: Sequence[int]) -> torch.Tensor:
        """Return the products (r, N) of r vectors (r, N), each with the operator of its index."""
        scales = self._scales[list(indices)]
        return scales * self._operators.products(scales * vectors, indices)


def _check_kind(diagonals: torch.Tensor, operator: SymmetricOperator | OperatorStack) -> None:
    if diagonals.dtype != operator.dtype or diagonals.device != operator.device:
        raise ValueError(
            f"the diagonal is {diagonals.dtype} on {diagonals.device}, "
            f"expected {operator.dtype} on {operator.device}"
        )

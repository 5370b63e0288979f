"""The trace of a symmetric operator by Hutch++ (Meyer, Musco, Musco & Woodruff 2021, SOSA).

An orthonormal basis Q of H S, with S random, captures the eigenvalues of largest magnitude. Their share of the trace is
computed exactly, and only the rest is estimated (Hutchinson 1989):

    tr H ≈ tr(Qᵀ H Q) + mean over random signs g of gᵀ (1 − Q Qᵀ) H (1 − Q Qᵀ) g

which is right on average for any Q. For a relative error ε, a semidefinite operator needs of order 1/ε products,
compared with 1/ε² for Hutchinson's estimator alone.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from eigendrift.eigenpairs.symmetric import (
    PRODUCTS_TO_CHECK,
    SymmetricOperator,
    check_request,
    checked_operator,
    finite_product,
    random_signs,
    standard_normal,
    whole_number,
)
from eigendrift.numerics import full_precision


@dataclass(frozen=True)
class Trace:
    """An estimate of the trace.

    Attributes:
        estimate: The trace, right on average.
        standard_error: Standard deviation of the estimate over the random signs for a given sketch, from the spread
            over the drawn signs. Zero up to rounding if the sketch captured the whole range of the operator, and zero
            if the trace is exact.
        products: Products used, including the two that check the operator.
    """

    estimate: float
    standard_error: float
    products: int


@full_precision()
def trace(operator: SymmetricOperator, *, generator: torch.Generator, products: int = 90) -> Trace:
    """Estimate the trace of ``operator``.

    A third of the products, rounded down, make the sketch H S, another third computes the share of its span, and the
    remaining ones estimate the rest. If N products are allowed, N unit vectors give the exact trace.

    Memory is about five blocks of products / 3 vectors of size N.

    Args:
        operator: Symmetric operator of size N.
        generator: CPU generator of the random vectors, so that they agree on every device.
        products: Products for the estimate; all are used, or N if that is less. Two more check the operator.

    Raises:
        ValueError: If ``products`` is less than 4 and less than N, or the operator is not symmetric or changes from
            call to call.
        TypeError: If ``operator`` or ``generator`` is of another type.
        FloatingPointError: If a product is not finite, or too small for the operator's dtype.
    """
    check_request(operator, generator)
    # One for the sketch, one for its share, and two random vectors, which a standard error needs.
    whole_number("products", products, least=min(4, operator.size))
    operator, factor = checked_operator(operator)
    if operator.size <= products:
        units = torch.eye(operator.size, dtype=operator.dtype, device=operator.device)
        exact = _quadratic_forms(operator, units).sum().item() / factor
        return Trace(exact, 0.0, operator.size + PRODUCTS_TO_CHECK)
    rank = products // 3
    # S is Gaussian, so that H S has the range of any H of no larger rank; few random signs often coincide.
    normal = (standard_normal(operator, generator) for _ in range(rank))
    sketch = finite_product(operator, _block(operator, normal, rank))
    basis = torch.linalg.qr(sketch.T).Q.T.contiguous()
    del sketch
    captured = _quadratic_forms(operator, basis).sum().item()
    count = products - 2 * rank
    # Signs give the estimate a smaller variance than Gaussian vectors; they are exact for a diagonal matrix.
    probes = _block(operator, (random_signs(operator.size, generator) for _ in range(count)), count)
    probes -= (probes @ basis.T) @ basis
    rest = _quadratic_forms(operator, probes)
    return Trace(
        (captured + rest.mean().item()) / factor,
        rest.std().item() / math.sqrt(count) / factor,
        products + PRODUCTS_TO_CHECK,
    )


def _block(operator: SymmetricOperator, vectors: Iterator[torch.Tensor], count: int) -> torch.Tensor:
    """Move vectors to the operator's device and dtype one by one, so that no second block exists."""
    block = torch.empty(count, operator.size, dtype=operator.dtype, device=operator.device)
    for row, vector in zip(block, vectors, strict=True):
        row.copy_(vector)
    return block


def _quadratic_forms(operator: SymmetricOperator, block: torch.Tensor) -> torch.Tensor:
    """Return vᵀHv of each row (b, N), float64 (b,) on the CPU."""
    images = finite_product(operator, block)
    # Row by row, because float64 copies of both blocks would be the largest tensors in memory.
    forms = [row.double() @ image.double() for row, image in zip(block, images, strict=True)]
    return torch.stack(forms).cpu()

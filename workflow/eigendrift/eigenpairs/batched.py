"""Leading eigenpairs of several operators at once, which keeps a GPU busy on small problems.

On a GPU, a step of a small problem costs the launches of its kernels and a pause for each copy to the host. So every
iteration runs until its basis has to be expanded. Then one batched product, one batched orthogonalization and one copy
serve all of them. An iteration that has ended is left out of later steps.
"""

import math
from collections.abc import Sequence

import torch

from eigendrift.eigenpairs.krylov import KrylovBasis, split
from eigendrift.eigenpairs.lanczos import Eigenpairs, Lanczos, Steps, advance, checked_basis_size
from eigendrift.eigenpairs.symmetric import (
    OperatorStack,
    check_dtype_and_device,
    check_finite,
    check_generator,
    not_finite,
    second_probe,
)
from eigendrift.numerics import full_precision


@full_precision()
def leading_eigenpairs_together(
    operators: OperatorStack,
    count: int,
    *,
    generators: Sequence[torch.Generator],
    tolerance: float = 1e-4,
    max_products: int = 1000,
    basis_size: int | None = None,
) -> list[Eigenpairs | FloatingPointError]:
    """Return ``count`` leading eigenpairs of each operator, as `leading_eigenpairs` up to rounding.

    The same operators in the same order give the same bits. The bits may depend on the other operators.

    Args:
        operators: C symmetric operators of size N.
        count: Number of pairs of each operator.
        generators: CPU generators of the random start vectors, one for each operator.
        tolerance: See `leading_eigenpairs`.
        max_products: See `leading_eigenpairs`; for each operator.
        basis_size: See `leading_eigenpairs`; for each operator.

    Returns:
        For each operator, its eigenpairs, or the error that ended its iteration because a product was not finite.

    Raises:
        ValueError: As `leading_eigenpairs`, or if there are not as many generators as operators.
    """
    capacity = checked_basis_size(operators.size, count, tolerance, max_products, basis_size)
    if len(generators) != len(operators):
        raise ValueError(f"{len(generators)} generators and {len(operators)} operators, expected one for each")
    check_dtype_and_device("the operators", operators.dtype, operators.device)
    for generator in generators:
        check_generator(generator)
    bases = _Bases(operators, min(capacity, operators.size), generators)
    outcomes: dict[int, Eigenpairs | FloatingPointError] = {**bases.start(tolerance)}
    iterations = {
        index: Lanczos(basis, count, tolerance, max_products, "largest").solve()
        for index, basis in bases.members.items()
        if index not in outcomes
    }
    while iterations:
        ended = _advance(iterations)
        ended |= bases.expand([index for index in iterations if index not in ended])
        outcomes |= ended
        iterations = {index: steps for index, steps in iterations.items() if index not in ended}
    return [outcomes[index] for index in range(len(operators))]


def _advance(iterations: dict[int, Steps[Eigenpairs]]) -> dict[int, Eigenpairs | FloatingPointError]:
    """Run each iteration until its next expansion; return the outcomes of the iterations that end."""
    ended: dict[int, Eigenpairs | FloatingPointError] = {}
    for index, steps in iterations.items():
        try:
            if (pairs := advance(steps)) is not None:
                ended[index] = pairs
        except FloatingPointError as error:
            # The traceback would keep the basis in memory.
            ended[index] = error.with_traceback(None)
    return ended


class _Bases:
    """The Krylov bases of several operators, expanded together.

    Attributes:
        members: The bases that are still expanded, by index of their operator.
    """

    def __init__(self, operators: OperatorStack, capacity: int, generators: Sequence[torch.Generator]) -> None:
        self._operators = operators
        # (C, capacity, N) for the C members. Rows without a basis vector are zero, because batched products read as
        # many rows of each basis as the largest basis has.
        self._vectors = torch.zeros(
            len(operators), capacity, operators.size, dtype=operators.dtype, device=operators.device
        )
        self.members = {
            index: KrylovBasis(operators[index], capacity, generator, vectors)
            for index, (generator, vectors) in enumerate(zip(generators, self._vectors, strict=True))
        }

    def start(self, tolerance: float) -> dict[int, FloatingPointError]:
        """Start all bases; return the errors of operators whose products are not finite or too small."""
        vectors = torch.stack([basis.add_direction() for basis in self.members.values()])
        other = second_probe(self._operators[0])
        indices = list(self.members)
        images = [self._operators.products(block, indices) for block in (vectors, other.expand_as(vectors))]
        errors = {}
        for row, (index, basis) in enumerate(self.members.items()):
            try:
                basis.begin(other, [check_finite(block[row]) for block in images], tolerance)
            except FloatingPointError as error:
                errors[index] = error.with_traceback(None)
        return errors

    def expand(self, indices: list[int]) -> dict[int, FloatingPointError]:
        """Expand bases by one vector each; return the errors of operators whose products are not finite."""
        if not indices:
            return {}
        if indices != list(self.members):
            # Drop all other bases and free their memory.
            self._vectors = self._vectors[[list(self.members).index(index) for index in indices]]
            self.members = {index: self.members[index] for index in indices}
            for basis, kept in zip(self.members.values(), self._vectors, strict=True):
                basis.vectors = kept
        vectors = torch.stack([basis.add_direction() for basis in self.members.values()])
        images = self._operators.products(vectors, indices)
        factors = [basis.factor for basis in self.members.values()]
        if set(factors) != {1.0}:
            images = images * torch.tensor(factors, dtype=images.dtype, device=images.device)[:, None]
        most = max(basis.size for basis in self.members.values())
        # The first pass removes the components that a single basis subtracts by its recurrence, so a second one is
        # always needed.
        inside, outside, lengths = split(self._vectors[:, :most], images, least_passes=2)
        errors = {}
        for row, (index, basis) in enumerate(self.members.items()):
            basis.products += 1
            if math.isfinite(remainder := lengths[row].item()):
                basis.record(inside[row, : basis.size], outside[row], remainder)
            else:
                errors[index] = not_finite()
        return errors

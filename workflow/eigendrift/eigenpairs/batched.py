"""Leading eigenpairs of several operators, every step of all iterations in the same few operations.

On a GPU the steps of a small problem cost the launches of their operations, and a rest of the GPU for each
copy to the host. So all iterations go on to where their bases have to be expanded; then one batched product,
one batched orthogonalization and one copy serve them all. What happens between is each iteration's own, as is
when it ends; those that have ended are left out of what follows.
"""

import math
from collections.abc import Sequence

import torch

from eigendrift.eigenpairs.krylov import PASSES, SHARE_REMOVED, KrylovBasis
from eigendrift.eigenpairs.lanczos import Lanczos, Steps, advance
from eigendrift.eigenpairs.operator_checks import check_generator, check_kind, other_probe
from eigendrift.eigenpairs.options import checked_basis_size
from eigendrift.eigenpairs.pairs import Eigenpairs
from eigendrift.eigenpairs.symmetric import OperatorStack, check_finite, not_finite
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
    """Return ``count`` leading eigenpairs of each operator, to rounding those of `leading_eigenpairs`.

    The same operators in the same order have the same bits; in other company they may have others.

    Args:
        operators: C symmetric operators of size N.
        count: How many pairs of each.
        generators: CPU generators of the random start vectors, one for each operator.
        tolerance: As of `leading_eigenpairs`.
        max_products: As there, for each operator.
        basis_size: As there, for each operator.

    Returns:
        Of each operator its eigenpairs, or the error that ended its iteration: a product was not finite.

    Raises:
        ValueError: As `leading_eigenpairs`, or there are not as many generators as operators.
    """
    capacity = checked_basis_size(operators.size, count, tolerance, max_products, basis_size)
    if len(generators) != len(operators):
        raise ValueError(
            f"{len(generators)} generators and {len(operators)} operators, expected one for each"
        )
    check_kind("the operators", operators.dtype, operators.device)
    for generator in generators:
        check_generator(generator)
    bases = _Bases(operators, min(capacity, operators.size), generators)
    outcomes: dict[int, Eigenpairs | FloatingPointError] = {**bases.start(tolerance)}
    iterations = {
        index: Lanczos(basis, operators.size, count, tolerance, max_products, "largest").solve()
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
    """Let each iteration go on to its next expansion; return the outcomes of those that end instead."""
    ended: dict[int, Eigenpairs | FloatingPointError] = {}
    for index, steps in iterations.items():
        try:
            pairs = advance(steps)
        except FloatingPointError as error:
            # Its traceback would keep the basis.
            ended[index] = error.with_traceback(None)
        else:
            if pairs is not None:
                ended[index] = pairs
    return ended


class _Bases:
    """The Krylov bases of several operators, which are expanded together.

    Attributes:
        members: By operator the bases, in the end only of those that are still expanded.
    """

    def __init__(
        self, operators: OperatorStack, capacity: int, generators: Sequence[torch.Generator]
    ) -> None:
        self._operators = operators
        # (C, capacity, N) of those that are kept. Zero where a basis holds no vector, because the batched
        # products read as many rows of each as the largest holds.
        self._vectors = torch.zeros(
            len(operators), capacity, operators.size, dtype=operators.dtype, device=operators.device
        )
        self.members = {
            index: KrylovBasis(operators[index], capacity, generator, vectors)
            for index, (generator, vectors) in enumerate(zip(generators, self._vectors, strict=True))
        }

    def start(self, tolerance: float) -> dict[int, FloatingPointError]:
        """Start all bases; return the errors of those whose products are not finite or too small."""
        vectors = torch.stack([basis.take_direction() for basis in self.members.values()])
        other = other_probe(self._operators[0])
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
        """Expand some bases by one vector each; return the errors of those whose products are not finite."""
        if not indices:
            return {}
        if indices != list(self.members):
            self._keep(indices)
        vectors = torch.stack([basis.take_direction() for basis in self.members.values()])
        images = self._operators.products(vectors, indices)
        factors = [basis.factor for basis in self.members.values()]
        if set(factors) != {1.0}:
            images = images * torch.tensor(factors, dtype=images.dtype, device=images.device)[:, None]
        most = max(basis.size for basis in self.members.values())
        inside, outside, lengths = _split(self._vectors[:, :most], images)
        errors = {}
        for row, (index, basis) in enumerate(self.members.items()):
            basis.products += 1
            if math.isfinite(lengths[row]):
                basis.take_image(inside[row, : basis.size], outside[row], lengths[row])
            else:
                errors[index] = not_finite()
        return errors

    def _keep(self, indices: list[int]) -> None:
        """Let go of all bases but some, and of their memory."""
        self._vectors = self._vectors[[list(self.members).index(index) for index in indices]]
        self.members = {index: self.members[index] for index in indices}
        for basis, vectors in zip(self.members.values(), self._vectors, strict=True):
            basis.move(vectors)


def _split(bases: torch.Tensor, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, list[float]]:
    """Split each of C vectors (C, N) by a basis of orthonormal rows (C, m, N), some of which may be zero.

    Returns:
        Components in the basis, float64 (C, m) on the CPU; what lies outside (C, N); and its length.
    """
    outside = vectors[:, None]
    inside = torch.zeros(bases.shape[:2], dtype=torch.float64, device=bases.device)
    for passes in range(1, PASSES + 1):
        removed = bases @ outside.mT
        outside = torch.baddbmm(outside, removed.mT, bases, alpha=-1)
        inside += removed[:, :, 0]
        # The first pass removes what the operator makes of the newest vector, much more than that share.
        if passes > 1:
            lengths = torch.linalg.vector_norm(outside, dim=2, dtype=torch.float64)
            # In one copy, because a GPU must come to rest for each.
            sizes = torch.linalg.vector_norm(removed, dim=1, dtype=torch.float64)
            numbers = torch.cat([inside, sizes, lengths], dim=1).cpu()
            if (numbers[:, -2] <= SHARE_REMOVED * numbers[:, -1]).all():
                break
    return numbers[:, :-2], outside[:, 0], numbers[:, -1].tolist()

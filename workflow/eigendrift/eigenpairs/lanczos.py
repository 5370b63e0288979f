"""Eigenpairs from one end of a symmetric operator's spectrum by Lanczos iteration (Lanczos 1950).

How and why it differs from the textbook:

- Every new vector is orthogonalized against the whole basis, so no spurious copies appear.
- When the basis is full it restarts thick (Wu & Simon 2000): the best Ritz vectors stay.
- Small residuals prove that pairs are eigenpairs, not that they are the leading ones: a start vector that
  happens to be nearly orthogonal to an eigenvector finds it late, and one copy of a degenerate eigenvalue
  hides the others for ever. So after convergence the pairs are locked and a fresh random vector searches
  the complement, until the chance that a missing pair stays hidden is small; if one shows, the iteration
  goes on with it. What else of the basis is known well enough stays, which makes the search short.
- Residuals are recomputed with fresh products at the end; the recurrence's own estimate only decides when.
- Before all that, the operator is checked on random vectors: symmetric, the same from call to call, and
  at a scale that its dtype can represent accurately.
"""

import math
from collections.abc import Generator
from typing import TypeAlias, TypeVar

import torch

from eigendrift.eigenpairs.completeness import Search, left_out
from eigendrift.eigenpairs.krylov import KrylovBasis
from eigendrift.eigenpairs.operator_checks import check_request
from eigendrift.eigenpairs.options import SIGNS, End, checked_basis_size
from eigendrift.eigenpairs.pairs import Eigenpairs, gaps, orthogonality_error, relative
from eigendrift.eigenpairs.symmetric import SymmetricOperator
from eigendrift.numerics import full_precision

Result = TypeVar("Result")
# The iteration stops whenever its basis has to be expanded, and goes on once it is: so the one who runs it
# may expand several bases at once.
Steps: TypeAlias = Generator[None, None, Result]

# The target for estimated residuals lies below the tolerance, so that the recomputed ones meet it.
ESTIMATE_MARGIN = 0.8
# The search ends once a missing pair would have shown with a probability of 99.9 %.
MISS_PROBABILITY = 0.001
# λ1 is taken for zero where it is so many roundings of the largest |Ritz value| or less.
ZERO_ROUNDINGS = 100
# Inner products of the returned vectors may differ from those of orthonormal ones by so many roundings.
ORTHOGONALITY_ROUNDINGS = 1_000


@full_precision()
def leading_eigenpairs(
    operator: SymmetricOperator,
    count: int,
    *,
    generator: torch.Generator,
    tolerance: float = 1e-4,
    max_products: int = 1000,
    basis_size: int | None = None,
    end: End = "largest",
) -> Eigenpairs:
    """Return ``count`` eigenpairs of ``operator`` from one end of its spectrum, the leading ones by default.

    Args:
        operator: Symmetric operator of size N.
        count: How many pairs, k, from 1 to N.
        generator: CPU generator of the random start vectors, so that they agree on every device.
        tolerance: Largest accepted residual ‖Hv − λv‖ / |λ1|, below 1. It cannot be met where λ1 is so small
            beside the rest of the spectrum that rounding exceeds it: such pairs come back as not converged.
            Where λ1 is zero to rounding, and for the smallest eigenvalues, |λ1| is replaced by the largest
            |Ritz value|.
        max_products: Products allowed; pairs that need more come back marked as not converged.
        basis_size: Basis vectors held at once, at least 2k + 4 where N allows it; None for 80, or 3k where
            that is more.
        end: The algebraically largest eigenvalues, the smallest, or those of largest magnitude.

    Raises:
        ValueError: If ``count``, ``tolerance``, ``basis_size``, ``max_products`` or ``end`` does not fit, or
            the operator is not symmetric or changes from call to call.
        TypeError: If ``operator`` or ``generator`` is of another type.
        FloatingPointError: If a product is not finite, or too small for the operator's dtype.
    """
    check_request(operator, generator)
    capacity = checked_basis_size(operator.size, count, tolerance, max_products, basis_size, end)
    basis = KrylovBasis(operator, min(capacity, operator.size), generator)
    basis.start(tolerance)
    steps = Lanczos(basis, operator.size, count, tolerance, max_products, end).solve()
    while (pairs := advance(steps)) is None:
        basis.expand()
    return pairs


def advance(steps: Steps[Eigenpairs]) -> Eigenpairs | None:
    """Go on until the basis has to be expanded; return the eigenpairs if it has not."""
    try:
        next(steps)
    except StopIteration as end:
        pairs: Eigenpairs = end.value
        return pairs
    return None


class Lanczos:
    """The iteration: converge, search for what is missing, certify.

    Everything is ordered by score, which grows towards the wanted end of the spectrum.
    """

    def __init__(
        self, basis: KrylovBasis, size: int, count: int, tolerance: float, max_products: int, end: End
    ) -> None:
        self._basis = basis
        self._size = size
        self._count = count
        self._tolerance = tolerance
        self._budget = max_products
        self._end = end
        self._scale = self._largest = 0.0
        self._following = torch.tensor(math.nan, dtype=torch.float64, device="cpu")
        self._miss_probability = math.nan
        self._search_products = 0

    def solve(self) -> Steps[Eigenpairs]:
        """Find the pairs, given a basis that has started; whenever this yields, it has to be expanded."""
        complete = False
        while not complete and (yield from self._converge()):
            before = self._basis.products
            complete = yield from self._search()
            self._search_products += self._basis.products - before
            if not self._afford(2):
                break
        pairs = self._certify()
        while complete and self._improvable(pairs):
            yield from self._improve(pairs)
            yield from self._converge()
            pairs = self._certify()
        return pairs.divided_by(self._basis.factor)

    def _converge(self) -> Steps[bool]:
        """Grow the basis until the wanted pairs look converged; False if the products run out."""
        look_at = self._count
        while True:
            last = self._basis.spans_everything or not self._afford(1)
            if self._basis.size >= self._count and (last or self._basis.products >= look_at):
                values, vectors = self._ritz()
                missing = self._missing(vectors)
                if missing == 0:
                    self._note_following(values[self._count :])
                    return True
                # A product seldom brings more than two pairs to the tolerance, and a look costs time as well.
                look_at = self._basis.products + (missing + 1) // 2
            if last:
                return False
            yield from self._grow()

    def _missing(self, vectors: torch.Tensor) -> int:
        """Count the wanted pairs that miss the tolerance."""
        if self._basis.spans_everything:
            return 0
        estimates = self._basis.remainder * vectors[-1, : self._count].abs()
        return int((estimates > ESTIMATE_MARGIN * self._tolerance * self._scale).sum())

    def _search(self) -> Steps[bool]:
        """Look for pairs that the iteration missed; False if one shows or the products run out."""
        if self._basis.spans_everything:
            self._miss_probability = 0.0
            return True
        k = self._count
        values, vectors = self._ritz()
        margin = self._tolerance * self._scale
        last = self._score(values[:k])[-1].item()
        shown = self._score(values[:k]) + margin
        self._keep_resolved(last + 2 * margin, margin, values, vectors)
        self._basis.turn()
        targets = [sign * (last + 2 * margin) for sign in SIGNS[self._end]]
        search = Search(targets, self._basis.remainder, self._basis.size)
        while True:
            self._miss_probability = search.chance_of_a_miss
            if self._miss_probability <= MISS_PROBABILITY:
                return True
            if not self._afford(2):
                return False
            if self._basis.full:
                search.restart(self._restart())
            if self._basis.exhausted:
                self._basis.turn()
                search.begin_again(self._basis.remainder, self._basis.size)
            yield
            values, vectors = self._ritz()
            if bool((self._score(values[:k]) > shown).any()):
                self._miss_probability = math.nan
                self._take_up(values, vectors)
                return False
            self._note_following(values[k:])
            # Shorter remainders end the chain. How much shorter they are depends on the component of a hidden
            # eigenvector, and must not count: the chances of several chains would not be independent.
            remainder = max(self._basis.remainder, self._basis.smallest_remainder)
            search.advance(self._basis.newest_image, remainder, self._basis.noise)

    def _keep_resolved(
        self, beyond: float, margin: float, values: torch.Tensor, vectors: torch.Tensor
    ) -> None:
        """Keep the wanted Ritz vectors, and those that can be left out of the search."""
        residuals = self._basis.remainder * vectors[-1].abs()
        limit = max(self._count, self._basis.capacity // 2)
        kept = left_out(self._score(values), residuals, self._count, beyond, margin)[:limit].sort().values
        self._basis.restart(values[kept], vectors[:, kept])

    def _take_up(self, values: torch.Tensor, vectors: torch.Tensor) -> None:
        """Go on with the pair that the search found, alone with the others that are wanted.

        What else is in the basis leads out of it in directions that the search has dropped. The pair that was
        found is the one with the largest residual. Its rank may be any: it moves the others down.
        """
        rank = int(vectors[-1, : self._count].abs().argmax())
        self._basis.restart(values[: self._count], vectors[:, : self._count])
        self._basis.steer(self._basis.apply(self._basis.vector(rank)))

    def _certify(self) -> Eigenpairs:
        """Compute residuals with fresh products, and decide which pairs are certified."""
        k = self._count
        values, coefficients = self._ritz()
        self._note_following(values[k:])
        vectors = self._basis.combine(coefficients[:, :k])
        vectors /= vectors.norm(dim=1, keepdim=True)
        images = self._basis.apply(vectors)
        eigenvalues = torch.stack([v.double() @ w.double() for v, w in zip(vectors, images, strict=True)])
        remainders = images - eigenvalues.to(images.dtype)[:, None] * vectors
        residuals = torch.linalg.vector_norm(remainders, dim=1, dtype=torch.float64)
        # Rayleigh quotients of fresh products, of all vectors at once, against those of the iteration.
        allowed = self._tolerance * self._scale + self._basis.noise
        is_consistent = (eigenvalues.cpu() - values[:k]).abs().max().item() <= allowed
        is_complete = self._miss_probability <= MISS_PROBABILITY
        is_orthonormal = orthogonality_error(vectors) <= ORTHOGONALITY_ROUNDINGS * self._basis.rounding
        certain = is_complete and is_consistent and is_orthonormal
        # Rounding can turn the order of equal eigenvalues.
        order = self._score(eigenvalues).argsort(descending=True, stable=True)
        eigenvalues, residuals = eigenvalues[order].cpu(), residuals[order].cpu()
        scale = self._scale_for(eigenvalues[0].item())
        following = self._following.item() if k < self._size else math.nan
        return Eigenpairs(
            eigenvalues=eigenvalues,
            eigenvectors=vectors[order],
            residuals=relative(residuals, scale),
            converged=(relative(residuals, scale) <= self._tolerance) & certain,
            gaps=relative(gaps(eigenvalues, following), scale),
            next_eigenvalue=following,
            miss_probability=self._miss_probability,
            scale=scale,
            products=self._basis.products,
            search_products=self._search_products,
        )

    def _improvable(self, pairs: Eigenpairs) -> bool:
        """A basis of the whole space has nothing to gain; what remains is rounding."""
        return not pairs.converged.all() and not self._basis.spans_everything and self._afford(2)

    def _improve(self, pairs: Eigenpairs) -> Steps[None]:
        """Go on in the direction of the worst residual, which the search had dropped."""
        worst = int(pairs.residuals.argmax())
        self._basis.steer(self._basis.apply(pairs.eigenvectors[worst]))
        yield from self._grow()

    def _afford(self, products: int) -> bool:
        return self._basis.products + products + self._count <= self._budget

    def _grow(self) -> Steps[None]:
        """Have the basis expanded, restarted if it is full."""
        if self._basis.full:
            self._restart()
        yield

    def _restart(self) -> torch.Tensor:
        """Keep the wanted Ritz vectors and the better half of the others; return their coefficients."""
        keep = (self._count + self._basis.size) // 2
        values, vectors = self._ritz()
        self._basis.restart(values[:keep], vectors[:, :keep])
        return vectors[:, :keep]

    def _ritz(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return Ritz values, the best score first, and the coefficients of their vectors, in columns."""
        values, vectors = self._basis.ritz()
        order = self._score(values).argsort(descending=True, stable=True)
        values, vectors = values[order], vectors[:, order]
        self._largest = max(self._largest, values.abs().max().item())
        self._scale = self._scale_for(values[0].item())
        return values, vectors

    def _scale_for(self, first: float) -> float:
        """Return what residuals are relative to, given λ1 or what is known of it."""
        zero = abs(first) <= ZERO_ROUNDINGS * self._basis.rounding * self._largest
        return self._largest if zero or self._end == "smallest" else abs(first)

    def _note_following(self, values: torch.Tensor) -> None:
        """Keep the outermost estimate of the eigenvalue after the k-th: Ritz values lie inside of it."""
        if len(values) and not self._score(values[0]) <= self._score(self._following):
            self._following = values[0]

    def _score(self, values: torch.Tensor) -> torch.Tensor:
        if self._end == "largest_magnitude":
            return values.abs()
        return values if self._end == "largest" else -values

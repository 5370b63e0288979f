"""Eigenpairs from one end of a symmetric operator's spectrum by Lanczos iteration (Lanczos 1950).

The iteration differs from the textbook:

- The operator is checked on random vectors first, see `check_symmetry`.
- A full basis is restarted thickly (Wu & Simon 2000): the best Ritz vectors stay.
- Small residuals prove that pairs are eigenpairs, not that they are the leading ones. A start vector that is
  nearly orthogonal to an eigenvector finds it late, and one copy of a degenerate eigenvalue hides the others forever.
  So after convergence, a fresh random vector searches the complement of the pairs until the chance that a missing pair
  stays hidden is small. If one shows, the iteration continues with it. Other Ritz vectors that are known well enough
  stay in the basis, which shortens the search.
- Residuals are recomputed with fresh products at the end. The recurrence's own estimate only decides when.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass
from numbers import Real
from typing import Literal, TypeAlias, TypeVar

import torch

from eigendrift.eigenpairs.completeness import Search, left_out
from eigendrift.eigenpairs.krylov import KrylovBasis
from eigendrift.eigenpairs.symmetric import SymmetricOperator, check_count, check_request, whole_number
from eigendrift.numerics import full_precision

End = Literal["largest", "smallest", "largest_magnitude"]
# A score times the sign is an eigenvalue.
SIGNS: dict[End, tuple[int, ...]] = {"largest": (1,), "smallest": (-1,), "largest_magnitude": (1, -1)}

Result = TypeVar("Result")
# The iteration pauses whenever its basis has to be expanded, so that its caller can expand several bases at once.
Steps: TypeAlias = Generator[None, None, Result]

# The target for estimated residuals is below the tolerance, so that recomputed residuals meet it.
ESTIMATE_MARGIN = 0.8
# The search ends once a missing pair would have shown with a probability of 99.9 %.
MISS_PROBABILITY = 0.001
# λ1 counts as zero up to this many roundings of the largest |Ritz value|.
ZERO_ROUNDINGS = 100
# Inner products of the returned vectors may be off by this many roundings.
ORTHOGONALITY_ROUNDINGS = 1_000
# Columns of eigenvectors that are converted to float64 at once.
PARAMETERS_AT_ONCE = 2**16


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenpairs from one end of the spectrum, the outermost first, and the evidence for them.

    Attributes:
        eigenvalues: (k,) float64 on the CPU; leading ones are descending.
        eigenvectors: (k, N) unit rows, in the operator's dtype and on its device; any sign.
        residuals: (k,) float64, ‖Hv − λv‖ from fresh products over ``scale``.
        converged: (k,) bool, whether the residual meets the tolerance, the vectors are orthonormal up to rounding, and
            the search for missing pairs ended with a miss probability of 0.1 % or less.
        gaps: (k,) float64, distance to the nearest other eigenvalue, the next one included, over ``scale``.
        next_eigenvalue: Estimate, from inside, of the outermost eigenvalue not returned; NaN if there is none or the
            products ran out before one was seen.
        miss_probability: Chance that an eigenvalue further out than the k-th, by twice the tolerance, stayed hidden
            from the search. Above 0.1 % if the products ran out in the search, and NaN if they ran out before it.
        scale: What residuals and gaps are relative to: |λ1|; where that is zero to rounding, and for the smallest
            eigenvalues, the largest |Ritz value|.
        products: Products used in all, including the two that check the operator. The first of these is also the first
            of the iteration.
        search_products: Products among these that the search for missing pairs used.
    """

    eigenvalues: torch.Tensor
    eigenvectors: torch.Tensor
    residuals: torch.Tensor
    converged: torch.Tensor
    gaps: torch.Tensor
    next_eigenvalue: float
    miss_probability: float
    scale: float
    products: int
    search_products: int


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
        count: Number of pairs, k, from 1 to N.
        generator: CPU generator of the random start vectors, so that they agree on every device.
        tolerance: Largest accepted residual ‖Hv − λv‖ / |λ1|, below 1. If λ1 is so small compared with the rest of the
            spectrum that rounding exceeds the tolerance, the pairs come back as not converged.
            |λ1| is replaced by the largest |Ritz value| if λ1 is zero up to rounding, and for the smallest
            eigenvalues.
        max_products: Products allowed; pairs that need more come back as not converged.
        basis_size: Basis vectors held at once, at least 2k + 4 if N allows it; None for 80 or 3k, whichever is larger.
        end: "largest" and "smallest" are algebraic; "largest_magnitude" is by absolute value.

    Raises:
        ValueError: If ``count``, ``tolerance``, ``basis_size``, ``max_products`` or ``end`` is invalid, or the operator
            is not symmetric or changes from call to call.
        TypeError: If ``operator`` or ``generator`` is of another type.
        FloatingPointError: If a product is not finite, or too small for the operator's dtype.
    """
    check_request(operator, generator)
    capacity = checked_basis_size(operator.size, count, tolerance, max_products, basis_size, end)
    basis = KrylovBasis(operator, min(capacity, operator.size), generator)
    basis.start(tolerance)
    steps = Lanczos(basis, count, tolerance, max_products, end).solve()
    while (pairs := advance(steps)) is None:
        basis.expand()
    return pairs


def checked_basis_size(
    size: int, count: int, tolerance: float, max_products: int, basis_size: int | None, end: End = "largest"
) -> int:
    """Return the number of basis vectors to hold, after checking the arguments of `leading_eigenpairs`.

    Raises:
        ValueError: If an argument is invalid for operators of size ``size``.
    """
    check_count(count, size)
    basis_size = max(80, 3 * count) if basis_size is None else whole_number("basis_size", basis_size)
    if basis_size < (least := min(2 * count + 4, size)):
        raise ValueError(
            f"basis_size is {basis_size}, expected at least {least}, the lesser of 2 × count + 4 and the size"
        )
    # One product for each basis vector and each residual, and one that checks the operator.
    if whole_number("max_products", max_products) < (least := 2 * count + 1):
        raise ValueError(f"max_products is {max_products}, expected at least 2 × count + 1 = {least}")
    if not (isinstance(tolerance, Real) and 0 < tolerance < 1):
        raise ValueError(f"tolerance is {tolerance!r}, expected a number between 0 and 1")
    if end not in list(SIGNS):
        raise ValueError(f"end is '{end}', expected one of {', '.join(SIGNS)}")
    return basis_size


def advance(steps: Steps[Eigenpairs]) -> Eigenpairs | None:
    """Run until the basis has to be expanded; return the eigenpairs if the iteration ends instead."""
    try:
        next(steps)
    except StopIteration as end:
        pairs: Eigenpairs = end.value
        return pairs
    return None


class Lanczos:
    """The iteration: converge, search for missing pairs, certify.

    Everything is ordered by score, which grows towards the requested end of the spectrum.
    """

    def __init__(self, basis: KrylovBasis, count: int, tolerance: float, max_products: int, end: End) -> None:
        self._basis = basis
        self._count = count
        self._tolerance = tolerance
        self._budget = max_products
        self._end = end
        self._scale = self._largest = 0.0
        self._following = torch.tensor(math.nan, dtype=torch.float64, device="cpu")
        self._miss_probability = math.nan
        self._search_products = 0

    def solve(self) -> Steps[Eigenpairs]:
        """Find the pairs, given a started basis, which must be expanded whenever this yields."""
        complete = False
        while not complete and (yield from self._converge()):
            before = self._basis.products
            complete = yield from self._search()
            self._search_products += self._basis.products - before
            if not self._afford(2):
                break
        pairs = self._certify()
        # A basis of the whole space leaves nothing but rounding.
        while complete and not pairs.converged.all() and not self._basis.spans_everything and self._afford(2):
            # Continue in the direction of the largest residual, which the search had dropped.
            self._basis.steer(self._basis.apply(pairs.eigenvectors[int(pairs.residuals.argmax())]))
            yield from self._grow()
            yield from self._converge()
            pairs = self._certify()
        return pairs

    def _converge(self) -> Steps[bool]:
        """Grow the basis until the requested pairs look converged; return False if the products run out."""
        next_check = self._count
        while True:
            last = self._basis.spans_everything or not self._afford(1)
            if self._basis.size >= self._count and (last or self._basis.products >= next_check):
                values, vectors = self._ritz()
                estimates = self._basis.remainder * vectors[-1, : self._count].abs()
                missing = int((estimates > ESTIMATE_MARGIN * self._tolerance * self._scale).sum())
                if missing == 0 or self._basis.spans_everything:
                    self._note_following(values[self._count :])
                    return True
                # A product seldom brings more than two pairs to the tolerance, and checks cost time as well.
                next_check = self._basis.products + (missing + 1) // 2
            if last:
                return False
            yield from self._grow()

    def _search(self) -> Steps[bool]:
        """Search for missing pairs; return False if one shows or the products run out."""
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
                search.restart_chain(self._basis.remainder, self._basis.size)
            yield
            values, vectors = self._ritz()
            if bool((self._score(values[:k]) > shown).any()):
                self._miss_probability = math.nan
                # Continue with the requested pairs, among them the pair that was found. That pair has the largest
                # residual, and any rank. Images of other basis vectors have components that the search has dropped.
                self._basis.restart(values[:k], vectors[:, :k])
                self._basis.steer(self._basis.apply(self._basis.vectors[int(vectors[-1, :k].abs().argmax())]))
                return False
            self._note_following(values[k:])
            # Shorter remainders end the chain. How short they are depends on the component of a hidden eigenvector and
            # must not count, because the chances of several chains must be independent.
            remainder = max(self._basis.remainder, self._basis.smallest_remainder)
            search.advance(self._basis.newest_image, remainder, self._basis.noise)

    def _keep_resolved(self, beyond: float, margin: float, values: torch.Tensor, vectors: torch.Tensor) -> None:
        """Keep the requested Ritz vectors and those that can be left out of the search."""
        residuals = self._basis.remainder * vectors[-1].abs()
        limit = max(self._count, len(self._basis.vectors) // 2)
        kept = left_out(self._score(values), residuals, self._count, beyond, margin)[:limit].sort().values
        self._basis.restart(values[kept], vectors[:, kept])

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
        # Compare Rayleigh quotients from fresh products, with all vectors at once, with the iteration's.
        allowed = self._tolerance * self._scale + self._basis.noise
        is_consistent = (eigenvalues.cpu() - values[:k]).abs().max().item() <= allowed
        is_complete = self._miss_probability <= MISS_PROBABILITY
        is_orthonormal = orthogonality_error(vectors) <= ORTHOGONALITY_ROUNDINGS * self._basis.rounding
        certain = is_complete and is_consistent and is_orthonormal
        # Rounding can change the order of equal eigenvalues.
        order = self._score(eigenvalues).argsort(descending=True, stable=True)
        eigenvalues, residuals = eigenvalues[order].cpu(), residuals[order].cpu()
        scale = self._scale_for(eigenvalues[0].item())
        following = self._following.item() if k < vectors.shape[1] else math.nan
        factor = self._basis.factor
        return Eigenpairs(
            eigenvalues=eigenvalues / factor,
            eigenvectors=vectors[order],
            residuals=relative(residuals, scale),
            converged=(relative(residuals, scale) <= self._tolerance) & certain,
            gaps=relative(gaps(eigenvalues, following), scale),
            next_eigenvalue=following / factor,
            miss_probability=self._miss_probability,
            scale=scale / factor,
            products=self._basis.products,
            search_products=self._search_products,
        )

    def _afford(self, products: int) -> bool:
        return self._basis.products + products + self._count <= self._budget

    def _grow(self) -> Steps[None]:
        """Have the basis expanded, after a restart if it is full."""
        if self._basis.full:
            self._restart()
        yield

    def _restart(self) -> torch.Tensor:
        """Keep the requested Ritz vectors and the better half of the others; return their coefficients."""
        keep = (self._count + self._basis.size) // 2
        values, vectors = self._ritz()
        self._basis.restart(values[:keep], vectors[:, :keep])
        return vectors[:, :keep]

    def _ritz(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return Ritz values, best score first, and the coefficients of their vectors, in columns."""
        values, vectors = self._basis.ritz()
        order = self._score(values).argsort(descending=True, stable=True)
        values, vectors = values[order], vectors[:, order]
        self._largest = max(self._largest, values.abs().max().item())
        self._scale = self._scale_for(values[0].item())
        return values, vectors

    def _scale_for(self, first: float) -> float:
        """Return what residuals are relative to, given λ1 or an estimate of it."""
        zero = abs(first) <= ZERO_ROUNDINGS * self._basis.rounding * self._largest
        return self._largest if zero or self._end == "smallest" else abs(first)

    def _note_following(self, values: torch.Tensor) -> None:
        """Keep the outermost estimate of the eigenvalue after the k-th, which Ritz values do not exceed."""
        if len(values) and not self._score(values[0]) <= self._score(self._following):
            self._following = values[0]

    def _score(self, values: torch.Tensor) -> torch.Tensor:
        if self._end == "largest_magnitude":
            return values.abs()
        return values if self._end == "largest" else -values


def gaps(eigenvalues: torch.Tensor, following: float) -> torch.Tensor:
    """Return the distance (k,) of each eigenvalue to its nearest neighbour; the next eigenvalue counts."""
    known = eigenvalues if math.isnan(following) else torch.cat([eigenvalues, eigenvalues.new_tensor([following])])
    distances = (eigenvalues[:, None] - known[None, :]).abs()
    distances.fill_diagonal_(math.inf)
    return distances.min(1).values


def relative(values: torch.Tensor, scale: float) -> torch.Tensor:
    """Return values over the scale. Exact zeros remain zero, because a zero operator has scale zero."""
    return torch.where(values == 0, values, values / scale)


def orthogonality_error(vectors: torch.Tensor) -> float:
    """Return the largest entry of V Vᵀ − 1 in magnitude, in float64, for rows V (k, N)."""
    gram = torch.zeros(len(vectors), len(vectors), dtype=torch.float64, device=vectors.device)
    # In parts, because a float64 copy of all vectors would be the largest tensor in memory.
    for part in torch.split(vectors, PARAMETERS_AT_ONCE, dim=1):
        gram += part.double() @ part.double().T
    gram.diagonal().sub_(1)
    return gram.abs().max().item()

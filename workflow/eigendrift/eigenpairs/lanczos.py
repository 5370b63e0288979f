"""Leading eigenpairs of a symmetric operator by Lanczos iteration (Lanczos 1950).

How and why it differs from the textbook:

- Every new vector is orthogonalized against the whole basis, twice, so no spurious copies appear.
- When the basis is full it restarts thick (Wu & Simon 2000): the best Ritz vectors stay.
- Small residuals prove that pairs are eigenpairs, not that they are the leading ones: a start vector that
  happens to be nearly orthogonal to an eigenvector finds it late, and one copy of a degenerate eigenvalue
  hides the others for ever. So after convergence a fresh random vector explores the complement of the pairs
  found, long enough for a missing leading pair to show; if one does, the iteration goes on. This is strong
  evidence, not proof.
- Residuals are recomputed with fresh products at the end; the recurrence's own estimate only decides when.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch

# A random vector in N dimensions has a component of about 1/√N along a given direction. The exploration is
# long enough to find one with a hundredth of that: one in 125 random vectors has less.
EXPLORATION_MARGIN = 100.0
# The target for estimated residuals lies below the tolerance, so that the recomputed ones meet it.
ESTIMATE_MARGIN = 0.5


class SymmetricOperator(Protocol):
    """What the solver needs of an operator: its size, where vectors live, and products."""

    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def device(self) -> torch.device: ...  # noqa: D102
    @property
    def dtype(self) -> torch.dtype: ...  # noqa: D102
    def __matmul__(self, vector: torch.Tensor) -> torch.Tensor: ...


@dataclass(frozen=True)
class Eigenpairs:
    """Leading eigenpairs and the evidence for them.

    Attributes:
        eigenvalues: (k,) float64 on the CPU, descending.
        eigenvectors: (k, N) unit rows, in the operator's dtype and on its device; any sign.
        residuals: (k,) float64, ‖Hv − λv‖ / |λ1| from fresh products.
        converged: (k,) bool, the residual meets the tolerance and the set was found complete.
        gaps: (k,) float64, distance to the nearest other eigenvalue, the next one included, over |λ1|.
        next_eigenvalue: Estimate, from below, of the largest eigenvalue not returned; NaN if there is none or
            the products ran out before one was seen.
        products: Products used, those of the exploration and of the residuals included.
    """

    eigenvalues: torch.Tensor
    eigenvectors: torch.Tensor
    residuals: torch.Tensor
    converged: torch.Tensor
    gaps: torch.Tensor
    next_eigenvalue: float
    products: int


def leading_eigenpairs(
    operator: SymmetricOperator,
    count: int,
    *,
    generator: torch.Generator,
    tolerance: float = 1e-4,
    max_products: int = 1000,
    basis_size: int = 80,
) -> Eigenpairs:
    """Return the ``count`` algebraically largest eigenvalues of ``operator`` and their eigenvectors.

    Args:
        operator: Symmetric operator of size N.
        count: How many pairs, k, from 1 to N.
        generator: CPU generator of the random start vectors, so that they agree on every device.
        tolerance: Largest accepted residual ‖Hv − λv‖ / |λ1|.
        max_products: Products allowed; pairs that need more come back marked as not converged.
        basis_size: Basis vectors held at once, at least 2k + 4 where N allows it.

    Raises:
        ValueError: ``count``, ``basis_size`` or ``max_products`` does not fit.
        FloatingPointError: A product is not finite.
    """
    if not 1 <= count <= operator.size:
        raise ValueError(f"count is {count}, expected 1 to {operator.size}, the size of the operator")
    if basis_size < min(2 * count + 4, operator.size):
        raise ValueError(f"basis_size is {basis_size}, expected at least 2 × count + 4 = {2 * count + 4}")
    if max_products < 2 * count:
        raise ValueError(f"max_products is {max_products}, expected at least 2 × count = {2 * count}")
    return _Lanczos(operator, count, generator, tolerance, max_products, basis_size).solve()


class _Lanczos:
    """The iteration: an orthonormal basis, the operator projected on it, and the direction to go next."""

    def __init__(
        self,
        operator: SymmetricOperator,
        count: int,
        generator: torch.Generator,
        tolerance: float,
        max_products: int,
        basis_size: int,
    ) -> None:
        self._operator = operator
        self._count = count
        self._generator = generator
        self._tolerance = tolerance
        self._budget = max_products
        self._capacity = min(basis_size, operator.size)
        self._basis = torch.empty(self._capacity, operator.size, dtype=operator.dtype, device=operator.device)
        self._projected = torch.zeros(self._capacity, self._capacity, dtype=torch.float64)
        self._size = 0
        self._products = 0
        self._direction = self._random_direction()
        self._lowest = math.inf
        self._next = -math.inf

    def solve(self) -> Eigenpairs:
        complete = False
        while not complete and self._afford(1) and self._converge():
            complete = self._explore()
        pairs = self._certify(complete)
        while complete and self._improvable(pairs):
            self._improve(pairs)
            self._converge()
            pairs = self._certify(complete)
        return pairs

    def _converge(self) -> bool:
        """Grow the basis until the leading pairs look converged; False if the products run out."""
        while True:
            if self._size >= self._count:
                values, vectors = self._ritz()
                if self._look_converged(values, vectors):
                    self._next = max(self._next, *values[self._count :].tolist(), -math.inf)
                    return True
            if not self._afford(1):
                return False
            self._expand()

    def _look_converged(self, values: torch.Tensor, vectors: torch.Tensor) -> bool:
        if self._size == self._operator.size:
            return True
        estimates = self._direction.norm().item() * vectors[-1, : self._count].abs()
        return bool((estimates <= ESTIMATE_MARGIN * self._tolerance * values[0].abs()).all())

    def _explore(self) -> bool:
        """Look for leading pairs that the iteration missed; False if one shows or the products run out."""
        if self._size == self._operator.size:
            return True
        values, _ = self._ritz()
        found = values[: self._count].clone()
        margin = self._tolerance * found[0].abs()
        longest = self._products
        self._restart(self._count)
        self._direction = self._random_direction()
        for step in range(1, longest + 1):
            if self._size == self._operator.size:
                return True
            if not self._afford(1):
                return False
            self._expand()
            values, _ = self._ritz()
            if bool((values[: self._count] - found > margin).any()):
                return False
            edge = values[self._count].item()
            self._next = max(self._next, edge)
            if step >= self._exploration_steps(found[-1].item(), edge):
                return True
        return True

    def _exploration_steps(self, last: float, edge: float) -> float:
        """Steps after which an eigenvalue above ``last`` outgrows a spectrum that ends at ``edge``.

        A Krylov polynomial of degree m amplifies it by T_m(1 + 2γ), γ = (last − edge) / (edge − lowest),
        T the Chebyshev polynomial (Saad 2011, Numerical Methods for Large Eigenvalue Problems, sec. 6.6).
        """
        if edge >= last or edge <= self._lowest:
            return math.inf
        growth = math.acosh(1 + 2 * (last - edge) / (edge - self._lowest))
        needed = math.acosh(EXPLORATION_MARGIN * math.sqrt(self._operator.size))
        # Within rounding of ``last`` the growth is nil.
        return 1 + needed / growth if growth > 0 else math.inf

    def _certify(self, complete: bool) -> Eigenpairs:
        """Compute residuals with fresh products."""
        values, vectors = self._ritz()
        k = self._count
        ritz_vectors = self._combine(vectors[:, :k])
        ritz_vectors /= ritz_vectors.norm(dim=1, keepdim=True)
        images = torch.stack([self._apply(vector) for vector in ritz_vectors])
        eigenvalues = (ritz_vectors.double() * images.double()).sum(1)
        # Rounding can turn the order of equal eigenvalues.
        eigenvalues, order = eigenvalues.sort(descending=True, stable=True)
        ritz_vectors, images = ritz_vectors[order], images[order]
        residuals = (images - eigenvalues.to(images.dtype)[:, None] * ritz_vectors).double().norm(dim=1)
        eigenvalues, relative = eigenvalues.cpu(), _relative(residuals.cpu(), eigenvalues[0].cpu())
        known = [self._next, *values[k:].tolist()]
        following = max(known) if max(known) > -math.inf and k < self._operator.size else math.nan
        return Eigenpairs(
            eigenvalues=eigenvalues,
            eigenvectors=ritz_vectors,
            residuals=relative,
            converged=(relative <= self._tolerance) & complete,
            gaps=_gaps(eigenvalues, following),
            next_eigenvalue=following,
            products=self._products,
        )

    def _improvable(self, pairs: Eigenpairs) -> bool:
        """A basis of the whole space has nothing to gain; what remains is rounding."""
        return not pairs.converged.all() and self._size < self._operator.size and self._afford(2)

    def _improve(self, pairs: Eigenpairs) -> None:
        """Go on in the direction of the worst residual, which the exploration had dropped."""
        worst = int(pairs.residuals.argmax())
        vector = pairs.eigenvectors[worst]
        residual = self._apply(vector) - pairs.eigenvalues[worst].item() * vector
        self._direction, _ = self._orthogonalize(residual)
        self._expand()

    def _afford(self, products: int) -> bool:
        return self._products + products + self._count <= self._budget

    def _apply(self, vector: torch.Tensor) -> torch.Tensor:
        self._products += 1
        image = self._operator @ vector
        if not torch.isfinite(image).all():
            raise FloatingPointError("a product with the operator is not finite")
        return image

    def _expand(self) -> None:
        """Add the direction to the basis, restarted if it is full."""
        if self._size == self._capacity:
            self._restart((self._count + self._capacity) // 2)
        norm = self._direction.norm().item()
        scale = self._projected[: self._size, : self._size].abs().max().item() if self._size else 0.0
        if norm <= 10 * torch.finfo(self._operator.dtype).eps * scale:
            # The basis spans an invariant subspace; a random vector leads out of it.
            self._direction = self._random_direction()
            norm = self._direction.norm().item()
        index = self._size
        self._basis[index] = self._direction / norm
        self._size += 1
        self._direction, coefficients = self._orthogonalize(self._apply(self._basis[index]))
        self._projected[index, : self._size] = coefficients
        self._projected[: self._size, index] = coefficients

    def _orthogonalize(self, vector: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the part of a vector outside the basis, and its coefficients in it, float64 on the CPU."""
        basis = self._basis[: self._size]
        first = basis @ vector
        vector = vector - first @ basis
        second = basis @ vector
        return vector - second @ basis, (first.double() + second.double()).cpu()

    def _ritz(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return Ritz values, descending, and the coefficients of their vectors, in columns."""
        values, vectors = torch.linalg.eigh(self._projected[: self._size, : self._size])
        self._lowest = min(self._lowest, values[0].item())
        return values.flip(0), vectors.flip(1)

    def _combine(self, coefficients: torch.Tensor) -> torch.Tensor:
        weights = coefficients.T.to(dtype=self._basis.dtype, device=self._basis.device)
        return weights @ self._basis[: self._size]

    def _restart(self, keep: int) -> None:
        """Replace the basis by its ``keep`` leading Ritz vectors."""
        values, vectors = self._ritz()
        self._basis[:keep] = self._combine(vectors[:, :keep])
        self._projected.zero_()
        self._projected[:keep, :keep] = torch.diag(values[:keep])
        self._size = keep

    def _random_direction(self) -> torch.Tensor:
        vector = torch.randn(self._operator.size, dtype=torch.float64, generator=self._generator)
        outside, _ = self._orthogonalize(vector.to(self._operator.device, self._operator.dtype))
        return outside


def _gaps(eigenvalues: torch.Tensor, following: float) -> torch.Tensor:
    """Return the distance of each eigenvalue to its nearest neighbour, relative to |λ1|."""
    below = torch.cat([eigenvalues[1:], torch.tensor([following], dtype=torch.float64)])
    to_below = (eigenvalues - below).abs().nan_to_num(nan=math.inf)
    to_above = torch.cat(
        [torch.tensor([math.inf], dtype=torch.float64), (eigenvalues[:-1] - eigenvalues[1:]).abs()]
    )
    return _relative(torch.minimum(to_below, to_above), eigenvalues[0])


def _relative(values: torch.Tensor, leading: torch.Tensor) -> torch.Tensor:
    """Divide by |λ1|; of the zero operator, whose λ1 is zero, exact zeros remain zero."""
    return torch.where(values == 0, values, values / leading.abs())

"""A Krylov basis that stays orthonormal, and the operator projected on it."""

import math
from collections.abc import Sequence

import torch

from eigendrift.eigenpairs.symmetric import (
    ScaledOperator,
    SymmetricOperator,
    check_symmetry,
    finite_product,
    not_finite,
    product,
    second_probe,
    standard_normal,
)

# Gram-Schmidt leaves rounding errors of what it removed. It is repeated while it removes more than this share of what
# remains, at most three times: in exact arithmetic, twice is enough (Parlett 1998, sec. 6.9).
SHARE_REMOVED = 0.1
PASSES = 3


def split(
    bases: torch.Tensor, vectors: torch.Tensor, least_passes: int = 1
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Split vectors into components in orthonormal bases and a remainder, by repeated Gram-Schmidt.

    Args:
        bases: (…, m, N), one basis, or one for each of C vectors; rows may be zero.
        vectors: (…, N), one vector, or C of them.
        least_passes: Passes to make before the first check whether another one is needed. Each check makes a GPU wait,
            so skip those that would certainly ask for another pass.

    Returns:
        The components, float64 (…, m) on the CPU; the remainders (…, N); and their lengths, float64 (…) on the CPU.
    """
    inside = torch.zeros(bases.shape[:-1], dtype=torch.float64, device=bases.device)
    for passes in range(1, PASSES + 1):
        if bases.dim() == 2:  # noqa: PLR2004
            removed = bases @ vectors
            vectors = torch.addmv(vectors, bases.T, removed, alpha=-1)
        else:
            removed = (bases @ vectors[:, None].mT)[..., 0]
            vectors = torch.baddbmm(vectors[:, None], removed[:, None], bases, alpha=-1)[:, 0]
        inside += removed
        if passes >= least_passes:
            # In float64, because a sum of a million squares in float32 is off by 1e-5.
            sizes = [
                torch.linalg.vector_norm(part, dim=-1, keepdim=True, dtype=torch.float64) for part in (removed, vectors)
            ]
            # In one copy, because a GPU has to finish its work before each.
            numbers = torch.cat([inside, *sizes], dim=-1).cpu()
            if bool((numbers[..., -2] <= SHARE_REMOVED * numbers[..., -1]).all()):
                break
    return numbers[..., :-2], vectors, numbers[..., -1]


class KrylovBasis:
    """An orthonormal basis, the projected operator, and the direction in which the basis grows next.

    Every new vector is orthogonalized against the whole basis (full reorthogonalization), so no spurious copies of
    eigenvalues appear. Vectors (N,) stay in the operator's dtype and on its device. The projected operator is float64
    on the CPU.

    Attributes:
        vectors: (capacity, N), of which the first m rows are the basis vectors.
        size: Number of basis vectors, m.
        products: Products with the operator so far.
        remainder: Length of the direction. For one that comes from a product, β of the recurrence.
        factor: Power of two that the operator is multiplied by, so that its products can be squared.
        rounding: Relative spacing of numbers in the operator's dtype.
    """

    def __init__(
        self,
        operator: SymmetricOperator,
        capacity: int,
        generator: torch.Generator,
        vectors: torch.Tensor | None = None,
    ) -> None:
        """Start with an empty basis and a random direction.

        Args:
            operator: Symmetric operator of size N.
            capacity: Largest number of basis vectors.
            generator: CPU generator of random directions, so that they agree on every device.
            vectors: (capacity, N) zeros to keep the basis in. Rows without a basis vector remain zero. By default, the
                basis allocates its own memory.
        """
        self.size = 0
        self.products = 0
        self.factor = 1.0
        self.rounding = torch.finfo(operator.dtype).eps
        self._operator = operator
        self._generator = generator
        if vectors is None:
            vectors = torch.empty(capacity, operator.size, dtype=operator.dtype, device=operator.device)
        self.vectors = vectors
        self._projected = torch.zeros(capacity, capacity, dtype=torch.float64, device="cpu")
        # Whether the direction is the remainder of the newest basis vector's image.
        self._chained = False
        self.turn()

    @property
    def full(self) -> bool:
        """Whether the basis holds as many vectors as it can."""
        return self.size == len(self.vectors)

    @property
    def spans_everything(self) -> bool:
        """Whether the basis spans the whole space."""
        return self.size == self._operator.size

    @property
    def exhausted(self) -> bool:
        """Whether the basis spans an invariant subspace, so that only a random vector leads out of it."""
        return self.remainder <= self.smallest_remainder

    @property
    def smallest_remainder(self) -> float:
        """Length below which a remainder is nothing but rounding."""
        return self.rounding * self._scale

    @property
    def noise(self) -> float:
        """A generous estimate of the rounding error of a product with a unit vector."""
        return 10 * self.rounding * self._scale

    @property
    def _scale(self) -> float:
        return self._projected[: self.size, : self.size].abs().max().item() if self.size else 0.0

    @property
    def newest_image(self) -> torch.Tensor:
        """Components (m,) of the newest basis vector's image in the basis."""
        return self._projected[: self.size, self.size - 1]

    def apply(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return fresh products with a vector (N,) or with rows (b, N).

        Raises:
            FloatingPointError: If a product is not finite.
        """
        self.products += vectors.numel() // self._operator.size
        return finite_product(self._operator, vectors)

    def start(self, tolerance: float) -> None:
        """Check the operator, see `check_symmetry`, and add the first random direction to the basis.

        Raises:
            FloatingPointError: If a product is not finite, or too small for its dtype.
            ValueError: If the operator is not symmetric, or changes from call to call.
        """
        vector, other = self.add_direction(), second_probe(self._operator)
        # The operator may write all its products to the same memory.
        images = [finite_product(self._operator, one).clone() for one in (vector, other)]
        self.begin(other, images, tolerance)

    def begin(self, other: torch.Tensor, images: Sequence[torch.Tensor], tolerance: float) -> None:
        """Check the operator by the images (N,) of the first basis vector and of another vector; record the first.

        Raises:
            FloatingPointError: If a product is too small for its dtype.
            ValueError: If the operator is not symmetric, or changes from call to call.
        """
        self.products += 2
        self.factor = check_symmetry(self._operator, [self.vectors[0], other], images, tolerance)
        if self.factor != 1:
            self._operator = ScaledOperator(self._operator, self.factor)
        self.record(*self._split(images[0] * self.factor))

    def expand(self) -> None:
        """Add the direction to the basis. The remainder of the new vector's image is the next direction.

        Raises:
            FloatingPointError: If the image is not finite.
        """
        vector = self.add_direction()
        image = product(self._operator, vector)
        self.products += 1
        index, before = self.size - 1, self.remainder
        coefficients = torch.zeros(self.size, dtype=torch.float64, device="cpu")
        if self._chained:
            # The recurrence gives the largest components, so one pass over the basis is usually enough.
            coefficients[index - 1] = before
            image = torch.sub(image, self.vectors[index - 1], alpha=before)
            coefficients[index] = (vector @ image).item()
            image.sub_(vector, alpha=coefficients[index].item())
        inside, outside, remainder = self._split(image)
        if not math.isfinite(remainder):
            raise not_finite()
        self.record(coefficients + inside, outside, remainder)

    def add_direction(self) -> torch.Tensor:
        """Add the direction to the basis, and return the new basis vector (N,), of length 1."""
        if self.exhausted:
            self.turn()
        vector = torch.div(self._direction, self.remainder, out=self.vectors[self.size])
        self.size += 1
        return vector

    def record(self, coefficients: torch.Tensor, direction: torch.Tensor, remainder: float) -> None:
        """Record the newest basis vector's image: its components (m,), float64 on the CPU, and the direction (N,)."""
        self._projected[self.size - 1, : self.size] = coefficients
        self._projected[: self.size, self.size - 1] = coefficients
        self._direction, self.remainder = direction, remainder
        self._chained = True

    def turn(self) -> None:
        """Point in a fresh random direction."""
        self.steer(standard_normal(self._operator, self._generator))

    def steer(self, vector: torch.Tensor) -> None:
        """Point in the direction of a vector's (N,) remainder outside the basis."""
        _, self._direction, self.remainder = self._split(vector)
        self._chained = False

    def ritz(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return Ritz values (m,), ascending, and the coefficients of their vectors, in columns (m, m)."""
        values, vectors = torch.linalg.eigh(self._projected[: self.size, : self.size])
        return values, vectors

    def combine(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Return the vectors (b, N) with coefficients (m, b) in the basis."""
        return coefficients.T.to(self.vectors) @ self.vectors[: self.size]

    def restart(self, values: torch.Tensor, coefficients: torch.Tensor) -> None:
        """Replace the basis by Ritz vectors with given values (b,) and coefficients (m, b)."""
        keep = len(values)
        self.vectors[:keep] = self.combine(coefficients)
        self.vectors[keep : self.size] = 0
        self._projected.zero_()
        self._projected[:keep, :keep] = torch.diag(values)
        self.size = keep
        self._chained = False

    def _split(self, vector: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, float]:
        inside, outside, length = split(self.vectors[: self.size], vector)
        return inside, outside, length.item()

"""The density of a symmetric operator's eigenvalues by stochastic Lanczos quadrature.

For a function f and a random unit vector q with E[q qᵀ] = 1/N, qᵀ f(H) q is on average the mean of f over the N
eigenvalues. It is an integral over the measure with weight (qᵀv_i)² at eigenvalue λ_i. From q, m Lanczos steps give
its Gauss quadrature: nodes are the eigenvalues of the tridiagonal matrix, weights the squared first components of its
eigenvectors. It is exact for polynomials up to degree 2m − 1 (Golub & Meurant 2010, Matrices, Moments and
Quadrature, ch. 6; Ubaru, Chen & Saad 2017, SIAM Journal on Matrix Analysis and Applications 38; for networks Ghorbani,
Krishnan & Xiao 2019, ICML).

- Every new vector is orthogonalized against the whole basis, twice. Otherwise rounding creates copies of
  converged nodes, and the rule is no longer Gauss's.
- Probes advance one after the other, so memory is one basis, steps × N numbers.
- Probes have random signs. Among vectors with independent entries, signs give qᵀ f(H) q the smallest
  variance, 2 (‖f(H)‖² − Σ_j f(H)_jj²) / N² with the Frobenius norm.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal

from eigendrift.eigenpairs.symmetric import (
    PRODUCTS_TO_CHECK,
    SymmetricOperator,
    check_request,
    checked_operator,
    finite_product,
    length,
    random_signs,
    whole_number,
)
from eigendrift.numerics import full_precision


@dataclass(frozen=True)
class SpectralDensity:
    """Quadrature of the eigenvalues' density by each of several probes.

    A probe whose Krylov space is exhausted early, because it is an invariant subspace, has fewer nodes. Its rule is
    then exact for every function, and the rest of its row is NaN with weight 0. If rounding hides the end, more nodes
    follow, which have no weight or share the weight of an equal node, up to rounding.

    Attributes:
        nodes: float64 (probes, m), ascending; m is the number of steps, or N if that is less.
        weights: float64 (probes, m), adding up to 1 for each probe.
        products: Products used, including the two that check the operator.
    """

    nodes: np.ndarray
    weights: np.ndarray
    products: int

    @full_precision()
    def density(self, grid: np.ndarray, width: float) -> np.ndarray:
        """Return the density smoothed by a Gaussian, averaged over probes; it integrates to 1.

        φ(x) = 1/probes · Σ_probe Σ_j w_j exp(−(x − θ_j)² / 2σ²) / √(2π)σ.

        Args:
            grid: float64 (…), where to evaluate the density.
            width: Standard deviation σ of the Gaussian. Structure finer than the distance between nodes, about the
                spectrum's range over the number of steps, is an artefact of the quadrature.

        Returns:
            float64 (…), per unit of eigenvalue.

        Raises:
            ValueError: If ``width`` is not a positive number.
        """
        if not 0 < width < math.inf:
            raise ValueError(f"width is {width}, expected a positive number")
        total = np.zeros(np.shape(grid))
        for nodes, weights in zip(self.nodes, self.weights, strict=True):
            present = weights > 0
            distances = (np.asarray(grid)[..., None] - nodes[present]) / width
            total += np.exp(-(distances**2) / 2) @ weights[present]
        return total / (len(self.nodes) * math.sqrt(2 * math.pi) * width)


@full_precision()
def spectral_density(
    operator: SymmetricOperator, *, generator: torch.Generator, probes: int = 10, steps: int = 80
) -> SpectralDensity:
    """Estimate the density of all eigenvalues of ``operator``.

    The mean of a function over the eigenvalues is estimated by the mean over probes of Σ_j w_j f(θ_j).

    Args:
        operator: Symmetric operator of size N.
        generator: CPU generator of the probes, so that they agree on every device.
        probes: Random vectors; the error of a mean over the spectrum falls like 1 / √(N · probes).
        steps: Products per probe, fewer if its Krylov space is exhausted; basis vectors held at once.

    Raises:
        ValueError: If ``probes`` or ``steps`` is less than 1, or the operator is not symmetric or changes from call to
            call.
        TypeError: If ``operator`` or ``generator`` is of another type.
        FloatingPointError: If a product is not finite, or too small for the operator's dtype.
    """
    check_request(operator, generator)
    whole_number("probes", probes, least=1)
    whole_number("steps", steps, least=1)
    operator, factor = checked_operator(operator)
    most = min(steps, operator.size)
    nodes, weights = np.full((probes, most), np.nan), np.zeros((probes, most))
    products = PRODUCTS_TO_CHECK
    for probe in range(probes):
        signs = random_signs(operator.size, generator).to(operator.device, operator.dtype)
        diagonal, off_diagonal = _tridiagonal(operator, signs, most)
        values, vectors = eigh_tridiagonal(diagonal, off_diagonal)
        nodes[probe, : len(values)] = values / factor
        weights[probe, : len(values)] = vectors[0] ** 2
        products += len(diagonal)
    return SpectralDensity(nodes, weights, products)


def _tridiagonal(operator: SymmetricOperator, direction: torch.Tensor, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return diagonal (n,) and off-diagonal (n − 1,) in the Krylov basis, n at most ``steps``."""
    basis = torch.empty(steps, operator.size, dtype=operator.dtype, device=operator.device)
    diagonal: list[float] = []
    norms = [length(direction)]
    largest = 0.0
    for step in range(steps):
        basis[step] = direction / norms[-1]
        image = finite_product(operator, basis[step])
        largest = max(largest, length(image))
        diagonal.append((basis[step].double() @ image.double()).item())
        direction = image
        for _ in range(2):
            direction = direction - (basis[: step + 1] @ direction) @ basis[: step + 1]
        norms.append(length(direction))
        # Below this limit, the remainder is rounding. The limit is low because a whole bulk may be small next to large
        # outliers. A direction that is mere rounding couples to the others no more than rounding.
        if norms[-1] <= 10 * torch.finfo(operator.dtype).eps * largest:
            break
    return np.array(diagonal), np.array(norms[1:-1])

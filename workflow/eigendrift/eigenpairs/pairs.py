"""Eigenpairs and the evidence for them."""

import math
from dataclasses import dataclass, replace

import torch

PARAMETERS_AT_ONCE = 2**16


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenpairs from one end of the spectrum, the outermost first, and the evidence for them.

    Attributes:
        eigenvalues: (k,) float64 on the CPU; leading ones are descending.
        eigenvectors: (k, N) unit rows, in the operator's dtype and on its device; any sign.
        residuals: (k,) float64, ‖Hv − λv‖ from fresh products over ``scale``.
        converged: (k,) bool, whether the residual meets the tolerance, the vectors are orthonormal to
            rounding, and the search for missing pairs ended with a miss probability of 0.1 % or less.
        gaps: (k,) float64, distance to the nearest other eigenvalue, the next one included, over ``scale``.
        next_eigenvalue: Estimate, from inside, of the outermost eigenvalue not returned; NaN if there is none
            or the products ran out before one was seen.
        miss_probability: Chance that an eigenvalue further out than the k-th, by twice the tolerance, stayed
            hidden from the search. Above 0.1 % if the products ran out in the search, and NaN if they ran out
            before it.
        scale: What residuals and gaps are relative to: |λ1|; where that is zero to rounding, and for the
            smallest eigenvalues, the largest |Ritz value|.
        products: Products used in all, including the two that check the operator. The first of these is also
            the first of the iteration.
        search_products: Those among them that the search for missing pairs used.
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

    def divided_by(self, factor: float) -> "Eigenpairs":
        """Return the eigenpairs of the operator without a factor that it was multiplied by."""
        return replace(
            self,
            eigenvalues=self.eigenvalues / factor,
            next_eigenvalue=self.next_eigenvalue / factor,
            scale=self.scale / factor,
        )


def gaps(eigenvalues: torch.Tensor, following: float) -> torch.Tensor:
    """Return the distance (k,) of each eigenvalue to its nearest neighbour; the next eigenvalue counts."""
    known = (
        eigenvalues
        if math.isnan(following)
        else torch.cat([eigenvalues, eigenvalues.new_tensor([following])])
    )
    distances = (eigenvalues[:, None] - known[None, :]).abs()
    distances.fill_diagonal_(math.inf)
    return distances.min(1).values


def relative(values: torch.Tensor, scale: float) -> torch.Tensor:
    """Divide by the scale; of the zero operator, whose scale is zero, exact zeros remain zero."""
    return torch.where(values == 0, values, values / scale)


def orthogonality_error(vectors: torch.Tensor) -> float:
    """Return the largest entry of V Vᵀ − 1 in magnitude, in float64, for rows V (k, N)."""
    gram = torch.zeros(len(vectors), len(vectors), dtype=torch.float64, device=vectors.device)
    # In parts, because a float64 copy of all vectors would be the largest tensor here.
    for part in torch.split(vectors, PARAMETERS_AT_ONCE, dim=1):
        gram += part.double() @ part.double().T
    gram.diagonal().sub_(1)
    return gram.abs().max().item()

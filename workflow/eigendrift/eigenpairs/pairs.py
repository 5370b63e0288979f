"""Eigenpairs and the evidence for them."""

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenpairs from one end of the spectrum, the outermost first, and the evidence for them.

    Attributes:
        eigenvalues: (k,) float64 on the CPU; leading ones are descending.
        eigenvectors: (k, N) unit rows, in the operator's dtype and on its device; any sign.
        residuals: (k,) float64, ‖Hv − λv‖ from fresh products over ``scale``.
        converged: (k,) bool, the residual meets the tolerance, and the search for missing pairs came to its
            end and found none; ``miss_probability`` says how much that is worth.
        gaps: (k,) float64, distance to the nearest other eigenvalue, the next one included, over ``scale``.
        next_eigenvalue: Estimate, from inside, of the outermost eigenvalue not returned; NaN if there is none
            or the products ran out before one was seen.
        miss_probability: Chance that an eigenvalue further out than the k-th, by twice the tolerance, stayed
            hidden from the search; NaN if the products ran out in it. Above 0.1 % where eigenvalues lie so
            close to the k-th that the search would have been longer than all that went before.
        scale: What residuals and gaps are relative to: |λ1|; where that is zero to rounding, and for the
            smallest eigenvalues, the largest |Ritz value|.
        products: Products used in all.
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

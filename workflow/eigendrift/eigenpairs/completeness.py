"""The probability that a search has missed an eigenpair.

A fresh random vector, orthogonal to the basis that found the pairs, has a component along every eigenvector that is
hidden from that basis. Lanczos iteration in the complement of the basis amplifies this component. This module computes
the chance that a hidden eigenvector stays hidden all the same.
"""

import math
from collections.abc import Sequence

import torch


class Search:
    r"""Evidence from Lanczos steps that start at a random vector ω in the complement of a basis.

    Let B be the operator in the complement, and u an eigenvector of it with eigenvalue μ. Every basis vector since
    :math:`v_0 = \omega / |\omega|` is a polynomial of B applied to it, :math:`v_j = q_j(B) v_0`, so u's component in it
    is :math:`q_j(\mu) \langle u, v_0 \rangle`, and the recurrence that made the vectors gives
    :math:`q_j(\mu)`. They are orthonormal and u has length 1, hence

    .. math::  |\langle u, \omega \rangle| \le |\omega| \, \Big(\sum_j q_j(\mu)^2\Big)^{-1/2},

    at most the Christoffel function of what the steps have seen. The component of a random vector is standard normal,
    and seldom so small once the sum is large (van Dorsselaer, Hochstenbach & van der Vorst 2001, SIAM J. Matrix Anal.
    Appl. 22, who take one polynomial of the sum). Beyond the outermost Ritz value, the sum grows with μ, so the bound
    at a target also holds further out.
    """

    def __init__(self, targets: Sequence[float], length: float, before: int) -> None:
        """Start a search.

        Args:
            targets: μ for each end of the spectrum that is searched, for eigenvalues from μ outwards.
            length: |ω|.
            before: Number of basis vectors before the random one, which are orthogonal to u.
        """
        self._targets = torch.tensor(targets, dtype=torch.float64, device="cpu")
        # Probabilities that an eigenvector stayed hidden from all chains that have ended.
        self._ended = torch.ones(len(targets), dtype=torch.float64, device="cpu")
        self._start_chain(length, before)

    def _start_chain(self, length: float, before: int) -> None:
        self._length = length
        # q_j(μ) of every basis vector and of the direction in which the basis grows next, (target, m + 1).
        self.components = torch.zeros(len(self._targets), before + 1, dtype=torch.float64, device="cpu")
        self.components[:, -1] = 1.0
        self._sums = torch.ones(len(self._targets), dtype=torch.float64, device="cpu")

    def restart_chain(self, length: float, before: int) -> None:
        """Start another chain of steps at another random vector, because the last chain is exhausted.

        The vectors are independent, so the probabilities that they miss u are multiplied.

        Args:
            length: Length of the random vector in the complement of the basis.
            before: Number of basis vectors before the random one.
        """
        self._ended *= self._chances()
        self._start_chain(length, before)

    def advance(self, image: torch.Tensor, remainder: float, noise: float) -> None:
        """Account for a step.

        Args:
            image: (m,) components of the newest basis vector's image in the basis.
            remainder: Length of the part of the image that leads out of the basis.
            noise: Rounding error of an image, which may hide this much of u per unit of u in the basis.
        """
        known = self.components
        # u is an eigenvector: its component in an image is μ times that in the vector itself.
        outside = self._targets * known[:, -1] - known @ image
        certain = (outside.abs() - noise * known.norm(dim=1)).clamp(min=0) * outside.sign()
        self.components = torch.cat([known, (certain / remainder)[:, None]], dim=1)
        self._sums = torch.maximum(self._sums, self.components.square().sum(1))

    def restart(self, coefficients: torch.Tensor) -> None:
        """Continue with combinations of the old basis vectors, given their coefficients (m, b)."""
        kept, ahead = self.components[:, :-1] @ coefficients, self.components[:, -1:]
        self.components = torch.cat([kept, ahead], dim=1)

    def _chances(self) -> torch.Tensor:
        """Return the probability for each target that an eigenvalue beyond it is hidden from this chain."""
        sums = self._sums.nan_to_num(nan=math.inf)
        return torch.erf(self._length / (2 * sums).sqrt())

    @property
    def chance_of_a_miss(self) -> float:
        """Probability that an eigenvalue beyond a target is still hidden."""
        return (self._ended * self._chances()).max().item()


def left_out(scores: torch.Tensor, residuals: torch.Tensor, count: int, beyond: float, margin: float) -> torch.Tensor:
    """Return the Ritz vectors that hide no eigenvalue if a search leaves them out.

    Let p be a Ritz vector with value θ and residual s d, where d has length 1 and is the same for all Ritz vectors. An
    eigenvector with value μ has a component of at most s / (μ − θ) along p. Without p, the rest of the eigenvector has
    a Rayleigh quotient that is smaller by at most s² / (μ − θ). The sum of these losses is kept within a margin. The
    requested vectors add at most a third of a margin each, because their residuals are below the margin.

    Args:
        scores: θ (m,), the best first.
        residuals: s (m,).
        count: Number of requested pairs.
        beyond: Smallest μ that is searched for.
        margin: Largest sum of losses.

    Returns:
        Indices of the Ritz vectors, int64, in the order of their losses.
    """
    losses = (residuals.square() / (beyond - scores).clamp(min=0)).nan_to_num(nan=math.inf)
    losses[:count] = 0
    order = losses.argsort(stable=True)
    return order[losses[order].cumsum(0) <= margin]

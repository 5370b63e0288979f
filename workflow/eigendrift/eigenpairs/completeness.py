"""How surely a search would have shown an eigenpair that is missing.

Small residuals prove that pairs are eigenpairs, not that they are the leading ones. A fresh random vector,
orthogonal to the basis that found the pairs, has a component along every eigenvector that is hidden from that
basis; Lanczos iteration in the basis's complement amplifies it against the rest of the spectrum there. What
is computed here is the chance that a hidden one stayed hidden all the same.
"""

import math
from collections.abc import Sequence

# More values than these between the pairs found and the rest are not told apart by their own zeros.
ZEROS = 12


def chance_of_a_miss(log_amplification: float) -> float:
    """Return the probability that a component, standard normal, is too small to show: |ω| < 1 / A.

    Args:
        log_amplification: Logarithm of A, what the component is multiplied by against the rest.
    """
    return math.erf(math.exp(min(-log_amplification, 100.0)) / math.sqrt(2))


def log_growth(target: float, others: Sequence[float], lowest: float, degree: int) -> float:
    r"""Return how much a polynomial can amplify what lies at ``target`` against the rest, as a logarithm.

    Of polynomials p of a degree d that are at most 1 on the interval [a, b] the Chebyshev polynomial is
    largest outside, p(μ) = cosh(d arcosh(1 + 2(μ − b)/(b − a))) (Saad 2011, Numerical Methods for Large
    Eigenvalue Problems, sec. 4.4). Zeros at the first of the others cost a degree each and move b below them;
    the best number of them is taken.

    Args:
        target: μ.
        others: Values of the rest, descending; the first is b.
        lowest: a.
        degree: d; less than nothing amplifies nothing.
    """
    best, zeros = -math.inf if degree < 0 else 0.0, 0.0
    for used, edge in enumerate(others[: ZEROS + 1]):
        if edge >= target or used > degree:
            break
        if edge > lowest:
            growth = (degree - used) * math.acosh(1 + 2 * (target - edge) / (edge - lowest))
            # The logarithm of cosh, without overflow.
            best = max(best, zeros + growth + math.log1p(math.exp(-2 * growth)) - math.log(2))
            zeros += math.log((target - edge) / (edge - lowest))
    return best


class Search:
    r"""What Lanczos steps from a random vector in the complement of a basis tell.

    The Krylov space of d + 1 steps contains p(B) ω for every polynomial p of degree d, B the operator in the
    complement, ω the random vector. There the component along a hidden eigenvector, standard normal, is
    multiplied by p(μ), and the length of the rest is at most

    .. math::  \sqrt{N} \max |p| \quad\text{or, for}\ x p(x), \quad \|B\|_F \max |p|.

    A Ritz value exceeds σ < μ once the squared ratio of the two is (σ − a) / (μ − σ), a the spectrum's end.

    Attributes:
        first: Vectors of the basis that the Krylov space is outside of.
        unbroken: Whether all of the space is still there, no restart has cut it.
    """

    def __init__(self, target: float, shown: float, size: int, first: int) -> None:
        """Begin.

        Args:
            target: μ, eigenvalues from here on are looked for.
            shown: σ, a Ritz value above it shows one.
            size: N.
            first: Vectors in the basis before the random one.
        """
        self.first = first
        self.unbroken = True
        self._target = target
        self._shown = shown
        self._log_size = math.log(size) / 2
        self._weight: float | None = None
        self._earlier = 0.0
        self._growth = 0.0

    def chance_of_a_miss(self, others: Sequence[float], lowest: float, steps: int, spread: float) -> float:
        """Return the probability that an eigenvalue from the target on is still hidden.

        Args:
            others: Upper ends of the Ritz values of B, descending.
            lowest: Lower end of the spectrum.
            steps: Lanczos steps since the random vector, or since the last restart.
            spread: Estimate of the Frobenius norm of B after the first step.
        """
        if self._weight is None:
            known = self._target > 0 and spread > 0
            self._weight = math.log(self._target / spread) if known else -math.inf
        if self._target <= self._shown or lowest >= self._shown:
            return 1.0
        contrast = math.log((self._shown - lowest) / (self._target - self._shown)) / 2
        self._growth = log_growth(self._target, others, lowest, steps - 1)
        plain = self._growth - self._log_size
        weighted = log_growth(self._target, others, lowest, steps - 2) + self._weight
        return chance_of_a_miss(self._earlier + max(plain, weighted) - contrast)

    def restarted(self, first: int) -> None:
        """Go on after a restart: the polynomial of the next steps multiplies that of the steps before."""
        self._earlier += self._growth
        self.unbroken = False
        self.first = first

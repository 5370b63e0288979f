"""How surely a search in the complement of the pairs found would have shown one that is missing.

Small residuals prove that pairs are eigenpairs, not that they are the leading ones. A fresh random vector,
orthogonal to the pairs found, has a component along every missing eigenvector; d steps of Lanczos iteration
amplify it against the rest of the spectrum. What is computed here is the chance that a missing one stayed
hidden all the same.
"""

import math
from collections.abc import Sequence

# More values than these between the pairs found and the rest are not told apart by their own zeros.
ZEROS = 12


def chance_of_a_miss(
    target: float, others: Sequence[float], lowest: float, cycles: Sequence[int], size: int, spread: float
) -> float:
    r"""Return the probability that an eigenvector with an eigenvalue above ``target`` stayed hidden.

    The Krylov space of a random vector after d + 1 steps contains p(H) times it for every polynomial p of
    degree d. It shows a missing eigenvalue μ once p(μ) times its component, a standard normal variable ω,
    outweighs the rest: |ω| ≥ 1/A. With p the Chebyshev polynomial of the interval that holds the rest of the
    spectrum (Saad 2011, Numerical Methods for Large Eigenvalue Problems, sec. 6.6),

    .. math::  A = p(\mu) / \sqrt{N} \quad\text{or}\quad A = \mu \, p(\mu) / F,

    the second with one degree less for x p(x), where F is the Frobenius norm of the operator outside the
    pairs found. Zeros of p at some of the next eigenvalues cost a degree each and move the interval's end
    below them. The best of these is taken. A restart ends the polynomial; that of the next cycle multiplies
    it.

    Args:
        target: Eigenvalues above it are looked for.
        others: Ritz values outside the pairs found, descending: where the rest of the spectrum begins.
        lowest: Where the rest of the spectrum ends.
        cycles: Lanczos steps from the random vector to the first restart, from there to the next, …
        size: N.
        spread: Estimate of F.
    """
    *earlier, steps = cycles
    gain, zeros = -math.inf, 0.0
    for used, edge in enumerate(others[: ZEROS + 1]):
        degree = steps - 1 - used
        if edge >= target or degree < 0:
            break
        if edge <= lowest:
            continue
        growth = math.acosh(1 + 2 * (target - edge) / (edge - lowest))
        if used == 0:
            zeros = sum(_log_cosh(before * growth) for before in earlier)
        gain = max(gain, zeros + _log_cosh(degree * growth) - math.log(size) / 2)
        if target > 0 and spread > 0 and degree > 0:
            weight = math.log(target / spread)
            gain = max(gain, zeros + _log_cosh((degree - 1) * growth) + weight)
        zeros += math.log((target - edge) / (edge - lowest))
    return math.erf(math.exp(min(-gain, 100.0)) / math.sqrt(2))


def _log_cosh(x: float) -> float:
    """Logarithm of the Chebyshev polynomial T_d(cosh g) = cosh(d g), without overflow."""
    return x + math.log1p(math.exp(-2 * x)) - math.log(2)

"""What may be asked of the solvers."""

from numbers import Integral
from typing import Literal

End = Literal["largest", "smallest", "largest_magnitude"]
# A score times the sign is an eigenvalue.
SIGNS: dict[End, tuple[int, ...]] = {"largest": (1,), "smallest": (-1,), "largest_magnitude": (1, -1)}

USUAL_BASIS = 80


def basis_size_for(count: int, asked: int | None) -> int:
    """Return how many basis vectors to hold for so many eigenpairs: those asked for, if any."""
    return max(USUAL_BASIS, 3 * count) if asked is None else asked


def check_request(
    size: int, count: int, tolerance: float, max_products: int, basis_size: int, end: End = "largest"
) -> None:
    """Check what is asked of `leading_eigenpairs` with operators of a size.

    Raises:
        ValueError: Something does not fit.
    """
    whole = {"count": count, "max_products": max_products, "basis_size": basis_size}
    for name, value in whole.items():
        if not isinstance(value, Integral):
            raise ValueError(f"{name} is {value}, expected a whole number")
    if not 1 <= count <= size:
        raise ValueError(f"count is {count}, expected 1 to {size}, the size of the operator")
    if basis_size < min(2 * count + 4, size):
        least = min(2 * count + 4, size)
        raise ValueError(
            f"basis_size is {basis_size}, expected at least {least}, the lesser of 2 × count + 4 and the size"
        )
    if max_products < 2 * count:
        raise ValueError(f"max_products is {max_products}, expected at least 2 × count = {2 * count}")
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance is {tolerance}, expected a number between 0 and 1")
    if end not in SIGNS:
        raise ValueError(f"end is '{end}', expected one of {', '.join(SIGNS)}")

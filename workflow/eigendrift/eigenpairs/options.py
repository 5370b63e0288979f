"""What may be asked of the solvers."""

from numbers import Integral, Real
from typing import Literal

End = Literal["largest", "smallest", "largest_magnitude"]
# A score times the sign is an eigenvalue.
SIGNS: dict[End, tuple[int, ...]] = {"largest": (1,), "smallest": (-1,), "largest_magnitude": (1, -1)}

USUAL_BASIS = 80


def whole_number(name: str, value: object) -> int:
    """Return a whole number, of whatever type.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, expected a whole number")
    return int(value)


def check_count(count: int, size: int) -> None:
    """Refuse to look for more or fewer eigenpairs than there are.

    Raises:
        ValueError: There are not so many.
    """
    if not 1 <= whole_number("count", count) <= size:
        raise ValueError(f"count is {count}, expected 1 to {size}, the size of the operator")


def checked_basis_size(
    size: int,
    count: int,
    tolerance: float,
    max_products: int,
    basis_size: int | None,
    end: End = "largest",
) -> int:
    """Check what is asked of `leading_eigenpairs` with operators of a size.

    Returns:
        How many basis vectors to hold: those asked for, if any.

    Raises:
        ValueError: Something does not fit.
    """
    count = whole_number("count", count)
    if basis_size is None:
        basis_size = max(USUAL_BASIS, 3 * count)
    basis_size = whole_number("basis_size", basis_size)
    check_count(count, size)
    if basis_size < min(2 * count + 4, size):
        least = min(2 * count + 4, size)
        raise ValueError(
            f"basis_size is {basis_size}, expected at least {least}, the lesser of 2 × count + 4 and the size"
        )
    # One for each basis vector and each residual, and one that checks the operator.
    if whole_number("max_products", max_products) < (least := 2 * count + 1):
        raise ValueError(f"max_products is {max_products}, expected at least 2 × count + 1 = {least}")
    if not (isinstance(tolerance, Real) and 0 < tolerance < 1):
        raise ValueError(f"tolerance is {tolerance!r}, expected a number between 0 and 1")
    if end not in list(SIGNS):
        raise ValueError(f"end is '{end}', expected one of {', '.join(SIGNS)}")
    return basis_size

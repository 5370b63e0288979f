"""Symmetric operators, known by their products with vectors."""

from collections.abc import Sequence
from typing import Protocol

import torch

from eigendrift.errors import first_line


class SymmetricOperator(Protocol):
    """A symmetric matrix of size N, known by its products with vectors.

    Attributes:
        size: N.
        device: Where vectors must be.
        dtype: Dtype that vectors must have.
    """

    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def device(self) -> torch.device: ...  # noqa: D102
    @property
    def dtype(self) -> torch.dtype: ...  # noqa: D102

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return Hv for a vector (N,), or the products (b, N) with each of b rows (b, N)."""
        ...


class OperatorStack(Protocol):
    """Several symmetric operators of size N that are multiplied together.

    Attributes:
        size: N.
        device: Where vectors must be.
        dtype: Dtype that vectors must have.
    """

    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def device(self) -> torch.device: ...  # noqa: D102
    @property
    def dtype(self) -> torch.dtype: ...  # noqa: D102

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def __getitem__(self, index: int) -> SymmetricOperator:
        """Return one of them."""
        ...

    def products(self, vectors: torch.Tensor, indices: Sequence[int]) -> torch.Tensor:
        """Return the products (r, N) of r vectors (r, N), each with the operator of its index."""
        ...


class ScaledOperator:
    """An operator times a power of two, which changes no digit.

    Attributes:
        size: N.
        device: Where vectors must be.
        dtype: Dtype that vectors must have.
    """

    def __init__(self, operator: SymmetricOperator, factor: float) -> None:
        """Wrap an operator.

        Args:
            operator: Symmetric operator of size N.
            factor: A power of two.
        """
        self.size, self.device, self.dtype = operator.size, operator.device, operator.dtype
        self._operator = operator
        self._factor = factor

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the product with a vector (N,), or the products (b, N) with each of b rows (b, N)."""
        return (self._operator @ vectors) * self._factor


def length(vector: torch.Tensor) -> float:
    """Return ‖v‖, summed in float64: on a CPU, float32 would lose 1e-5 of it over a million entries."""
    return float(torch.linalg.vector_norm(vector, dtype=torch.float64))


def standard_normal(operator: SymmetricOperator, generator: torch.Generator) -> torch.Tensor:
    """Draw a standard normal vector (N,) on the CPU, and move it to the operator's device and dtype."""
    vector = torch.randn(operator.size, dtype=torch.float64, device="cpu", generator=generator)
    return vector.to(operator.device, operator.dtype)


def rows_of(vectors: torch.Tensor, operator: SymmetricOperator | OperatorStack) -> torch.Tensor:
    """Return a vector (N,) as one row (1, N), rows (b, N) as they are.

    Raises:
        TypeError: If the vectors are no tensor.
        ValueError: If the vectors do not have the operator's length, dtype or device, have more dimensions,
            require a gradient, or belong to a transform of ``torch.func``.
    """
    if not isinstance(vectors, torch.Tensor):
        raise TypeError(
            f"the vectors are a {type(vectors).__name__}, expected a torch.Tensor, such as "
            "torch.as_tensor(vectors)"
        )
    check_no_transform("multiply the operator outside, with all vectors as rows (b, N)")
    if vectors.dim() not in (1, 2) or vectors.shape[-1] != operator.size:
        raise ValueError(
            f"the vectors have shape {tuple(vectors.shape)}, expected (N,) or (b, N) with N = {operator.size}"
        )
    if vectors.dtype != operator.dtype or vectors.device != operator.device:
        raise ValueError(
            f"the vectors are {vectors.dtype} on {vectors.device}, "
            f"expected {operator.dtype} on {operator.device}"
        )
    if vectors.requires_grad:
        raise ValueError(
            "the vectors require a gradient, but products are not differentiable; pass vectors.detach()"
        )
    return vectors if vectors.dim() > 1 else vectors[None]


def check_no_transform(advice: str) -> None:
    """Check that no transform of ``torch.func``, such as ``vmap``, is active.

    Raises:
        ValueError: If one is.
    """
    if torch._C._functorch.maybe_current_level() is not None:
        raise ValueError(f"this is inside a transform of torch.func, such as vmap; {advice}")


def product(operator: SymmetricOperator, vectors: torch.Tensor) -> torch.Tensor:
    """Return the products with a vector (N,) or with rows (b, N), in memory of their own and without a graph.

    Raises:
        TypeError: If the operator returns something other than a tensor.
        ValueError: If the operator fails, returns a tensor of another shape, dtype or device, or changes the
            vectors.
    """
    version = vectors._version
    try:
        images = operator @ vectors
    except (ValueError, FloatingPointError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise ValueError(
            f"the operator fails on vectors of shape {tuple(vectors.shape)} ({first_line(error)}); it must "
            "accept a vector (N,) as well as rows (b, N)"
        ) from error
    if not isinstance(images, torch.Tensor):
        raise TypeError(f"the operator returns a {type(images).__name__}, expected a torch.Tensor")
    for name in ("shape", "dtype", "device"):
        found, expected = getattr(images, name), getattr(vectors, name)
        if found != expected:
            advice = "; it must accept a vector (N,) as well as rows (b, N)" if name == "shape" else ""
            raise ValueError(
                f"the operator returns a tensor of {name} {_plain(found)} for vectors of {name} "
                f"{_plain(expected)}, expected the same {name}{advice}"
            )
    if vectors._version != version:
        raise ValueError("the operator changes the vectors that it multiplies; let it work on a copy of them")
    images = images.detach()
    # The operator may return what it was given.
    is_same = images.untyped_storage().data_ptr() == vectors.untyped_storage().data_ptr()
    return images.clone() if is_same else images


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, torch.Size) else value


def finite_product(operator: SymmetricOperator, vectors: torch.Tensor) -> torch.Tensor:
    """Return the products with a vector (N,) or with rows (b, N).

    Raises:
        FloatingPointError: If a product is not finite.
        TypeError: As `product`.
        ValueError: As `product`.
    """
    return check_finite(product(operator, vectors))


def check_finite(images: torch.Tensor) -> torch.Tensor:
    """Return products after checking that they are finite.

    Raises:
        FloatingPointError: If a product is not finite.
    """
    # One pass: the sum of finite float32 values is finite in float64.
    if not images.sum(dtype=torch.float64).isfinite():
        raise not_finite()
    return images


def not_finite() -> FloatingPointError:
    """Return the error of a product that is not finite."""
    return FloatingPointError("a product with the operator is not finite")


def random_signs(size: int, generator: torch.Generator) -> torch.Tensor:
    """Draw int8 (N,), entries 1 or −1 with equal probability, on the CPU."""
    return 2 * torch.randint(2, (size,), dtype=torch.int8, device="cpu", generator=generator) - 1

"""What solvers need of a symmetric operator."""

from collections.abc import Sequence
from typing import Protocol

import torch


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


def check_request(operator: SymmetricOperator, generator: torch.Generator) -> None:
    """Check what solvers are given, which without types would end in their own words.

    Raises:
        TypeError: They are something else.
    """
    if not isinstance(getattr(operator, "size", None), int):
        raise TypeError(
            f"the operator is a {type(operator).__name__}, expected one of a size, a device and a dtype that "
            "vectors are multiplied with, such as hessian_operator returns"
        )
    check_generator(generator)


def check_generator(generator: torch.Generator) -> None:
    """Refuse what torch would replace by its own generator, which others draw from.

    Raises:
        TypeError: It is no generator.
    """
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator is {generator!r}, expected one such as torch.Generator().manual_seed(0)")


def check_tensors(inputs: torch.Tensor, targets: torch.Tensor) -> None:
    """Check that a sample is tensors.

    Raises:
        TypeError: It is not.
    """
    for name, given in (("inputs", inputs), ("targets", targets)):
        if not isinstance(given, torch.Tensor):
            found = type(given).__name__
            raise TypeError(
                f"{name} is a {found}, expected a torch.Tensor of all samples, such as "
                f"torch.as_tensor({name}), or torch.cat of a loader's batches"
            )


def check_lengths(inputs: torch.Tensor, targets: torch.Tensor) -> None:
    """Check that a sample has inputs and targets, and as many of each.

    Raises:
        TypeError: They are no tensors.
        ValueError: It has not.
    """
    check_tensors(inputs, targets)
    if not len(inputs) == len(targets) > 0:
        raise ValueError(
            f"{len(inputs)} inputs and {len(targets)} targets, expected as many of each, and at least one"
        )


def rows_of(vectors: torch.Tensor, operator: SymmetricOperator | OperatorStack) -> torch.Tensor:
    """Return a vector (N,) as one row (1, N), rows (b, N) as they are.

    Raises:
        ValueError: The vectors do not have the operator's length, dtype or device, or more dimensions.
    """
    if vectors.dim() not in (1, 2) or vectors.shape[-1] != operator.size:
        raise ValueError(
            f"the vectors have shape {tuple(vectors.shape)}, expected (N,) or (b, N) with N = {operator.size}"
        )
    if vectors.dtype != operator.dtype or vectors.device != operator.device:
        raise ValueError(
            f"the vectors are {vectors.dtype} on {vectors.device}, "
            f"expected {operator.dtype} on {operator.device}"
        )
    return vectors if vectors.dim() > 1 else vectors[None]


def finite_product(operator: SymmetricOperator, vectors: torch.Tensor) -> torch.Tensor:
    """Return the products with a vector (N,) or with rows (b, N).

    Raises:
        FloatingPointError: A product is not finite.
    """
    images = operator @ vectors
    # One pass: the sum of finite float32 values is finite in float64.
    if not images.sum(dtype=torch.float64).isfinite():
        raise not_finite()
    return images


def not_finite() -> FloatingPointError:
    """Return the error of a product that is not finite."""
    return FloatingPointError("a product with the operator is not finite")


def random_signs(size: int, generator: torch.Generator) -> torch.Tensor:
    """Draw int8 (N,), entries 1 or −1 with equal probability, on the CPU."""
    return 2 * torch.randint(2, (size,), dtype=torch.int8, generator=generator) - 1

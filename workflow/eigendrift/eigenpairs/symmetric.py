"""What solvers need of a symmetric operator, and how they check that they have it."""

import math
from collections.abc import Sequence
from typing import Protocol

import torch

# Products whose largest entry lies beyond 2^±100 are rescaled: squares of float64 numbers over- or underflow
# beyond 2^±511.
SAFE_EXPONENT = 100
# No operator may be more asymmetric than this, however large a solver's tolerance is.
LARGEST_ASYMMETRY = 1e-3


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


def check_request(operator: SymmetricOperator, generator: torch.Generator) -> None:
    """Check the arguments that all solvers share.

    Raises:
        TypeError: If one is of another type.
        ValueError: If the operator or the generator is on a device that the solvers cannot work with.
    """
    device, dtype = getattr(operator, "device", None), getattr(operator, "dtype", None)
    has_size = isinstance(getattr(operator, "size", None), int)
    if not (has_size and isinstance(device, torch.device) and isinstance(dtype, torch.dtype)):
        raise TypeError(
            f"the operator is a {type(operator).__name__}, expected one of a size, a device and a dtype that "
            "vectors are multiplied with, such as hessian_operator returns"
        )
    check_kind("the operator", dtype, device)
    check_generator(generator)


def check_kind(name: str, dtype: torch.dtype, device: torch.device) -> None:
    """Check that numbers are of a dtype and on a device that the library computes with.

    Raises:
        ValueError: If they are not.
    """
    if dtype not in (torch.float32, torch.float64):
        advice = "use real numbers" if dtype.is_complex else "convert network and inputs with .float()"
        raise ValueError(f"{name} is {dtype}, expected float32 or float64; {advice}")
    if device.type in ("mps", "meta"):
        lacks = "which has no float64" if device.type == "mps" else "which holds no numbers"
        raise ValueError(f"{name} is on {device}, {lacks}; move the network and its inputs with .to('cpu')")


def check_generator(generator: torch.Generator) -> None:
    """Refuse what torch would replace by its own generator, which others draw from.

    Raises:
        TypeError: If it is no generator.
        ValueError: If it draws on another device than the CPU.
    """
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator is {generator!r}, expected one such as torch.Generator().manual_seed(0)")
    if generator.device.type != "cpu":
        raise ValueError(
            f"generator is on {generator.device}, expected one on the CPU, such as "
            "torch.Generator().manual_seed(0)"
        )


def checked_operator(operator: SymmetricOperator) -> tuple[SymmetricOperator, float]:
    """Check an operator on two random vectors, see `examine`.

    Returns:
        The operator, rescaled if its products need it, and the power of two that it is multiplied by.
    """
    vectors = standard_normal(operator, torch.Generator().manual_seed(1)), other_probe(operator)
    factor = examine(operator, vectors, [finite_product(operator, vector) for vector in vectors])
    return (operator if factor == 1 else ScaledOperator(operator, factor)), factor


# What `checked_operator` uses.
PRODUCTS_TO_CHECK = 2


def examine(
    operator: SymmetricOperator,
    vectors: Sequence[torch.Tensor],
    images: Sequence[torch.Tensor],
    tolerance: float = LARGEST_ASYMMETRY,
) -> float:
    """Check that an operator is symmetric, gives the same products every time, and at a scale with digits.

    For random vectors v and w, ⟨w, Hv⟩ = ⟨v, Hw⟩. The two sides come from two products at different times, so
    they differ as well if H is another operator each time. Relative to what they usually are,
    ‖w‖ ‖Hv‖ / √N, well-conditioned products differ by a few roundings ε. They may differ by √ε or by the
    tolerance, whichever is larger.

    Args:
        operator: H, of size N.
        vectors: v and w, random (N,).
        images: Hv and Hw (N,), finite, from separate calls.
        tolerance: What the solver accepts as the relative error of its results.

    Returns:
        The power of two to multiply the operator by before its products are squared; 1 for most.

    Raises:
        FloatingPointError: If products are so small that their dtype holds few digits of them.
        ValueError: If the operator is not symmetric, or is another one each time.
    """
    limits = torch.finfo(operator.dtype)
    largest = max(image.abs().max().item() for image in images)
    if 0 < largest < limits.tiny / limits.eps:
        raise FloatingPointError(
            f"products with the operator are about {largest:.1g}, of which {operator.dtype} holds few "
            "digits; multiply the loss by a large number, or use float64"
        )
    exponent = math.frexp(largest)[1]
    factor = 2.0**-exponent if abs(exponent) > SAFE_EXPONENT else 1.0
    (v, w), (image_of_v, image_of_w) = vectors, (images[0] * factor, images[1] * factor)
    allowed = max(limits.eps**0.5, min(tolerance, LARGEST_ASYMMETRY))
    difference = abs(w.double() @ image_of_v.double() - v.double() @ image_of_w.double()).item()
    usual = (length(w) * length(image_of_v) + length(v) * length(image_of_w)) / math.sqrt(operator.size)
    if difference > allowed * usual:
        again = finite_product(operator, v) * factor
        repeats = length(again - image_of_v) <= allowed * length(image_of_v)
        raise ValueError(_why_not(difference / usual, repeats))
    return factor


def other_probe(operator: SymmetricOperator) -> torch.Tensor:
    """Return the random vector (N,) that the operator is checked on beside the one that a solver starts from.

    It is always the same one, so that the check costs none of the caller's random numbers.
    """
    return standard_normal(operator, torch.Generator().manual_seed(2))


def _why_not(difference: float, repeats: bool) -> str:
    """Say what is wrong with an operator, given its relative asymmetry and whether its products repeat."""
    if not repeats:
        return (
            "the operator gives another product each time that it is multiplied with the same vector; usual "
            "causes are dropout or batch norm in training mode (call model.eval()) and nondeterministic "
            "kernels (call torch.use_deterministic_algorithms(True))"
        )
    return (
        "the operator is not symmetric: for random vectors, ⟨w, Hv⟩ and ⟨v, Hw⟩ differ by "
        f"{difference:.1g} of their usual size; usual causes are reduced precision (use float64 throughout), "
        "an operation whose second derivative is wrong, and dropout or batch norm in training mode (call "
        "model.eval())"
    )


def length(vector: torch.Tensor) -> float:
    """Return ‖v‖, summed in float64: on a CPU, float32 would lose 1e-5 of it over a million entries."""
    return float(torch.linalg.vector_norm(vector, dtype=torch.float64))


def standard_normal(operator: SymmetricOperator, generator: torch.Generator) -> torch.Tensor:
    """Draw a standard normal vector (N,) on the CPU, and move it to the operator's device and dtype."""
    vector = torch.randn(operator.size, dtype=torch.float64, device="cpu", generator=generator)
    return vector.to(operator.device, operator.dtype)


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
        TypeError: If the vectors are no tensor.
        ValueError: If the vectors do not have the operator's length, dtype or device, or more dimensions.
    """
    if not isinstance(vectors, torch.Tensor):
        raise TypeError(
            f"the vectors are a {type(vectors).__name__}, expected a torch.Tensor, such as "
            "torch.as_tensor(vectors)"
        )
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
    return check_finite(operator @ vectors)


def check_finite(images: torch.Tensor) -> torch.Tensor:
    """Return products, after a look at them.

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

"""Symmetric operators, known by their products with vectors, and checks of what solvers are given."""

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Protocol

import torch

from eigendrift.errors import first_line

# Products whose largest entry is beyond 2^±100 are rescaled: squares of float64 numbers over- or underflow beyond
# 2^±511.
SAFE_EXPONENT = 100
# No operator may be more asymmetric than this, however large a solver's tolerance is.
LARGEST_ASYMMETRY = 1e-3
# Number of products that `checked_operator` uses.
PRODUCTS_TO_CHECK = 2


class _Vectors(Protocol):
    """Attributes of operators: N, the length of vectors, and the device and dtype that vectors must have."""

    @property
    def size(self) -> int: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def dtype(self) -> torch.dtype: ...


class SymmetricOperator(_Vectors, Protocol):
    """A symmetric matrix of size N, known by its products with vectors."""

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return Hv for a vector (N,), or the products (b, N) with each of b rows (b, N)."""
        ...


class OperatorStack(_Vectors, Protocol):
    """Several symmetric operators of size N that are multiplied at once."""

    def __len__(self) -> int:
        """Return the number of operators."""
        ...

    def __getitem__(self, index: int) -> SymmetricOperator:
        """Return one of the operators."""
        ...

    def products(self, vectors: torch.Tensor, indices: Sequence[int]) -> torch.Tensor:
        """Return the products (r, N) of r vectors (r, N), each with the operator of its index."""
        ...


class ScaledOperator:
    """A symmetric operator times a power of two, which changes no digit."""

    def __init__(self, operator: SymmetricOperator, factor: float) -> None:
        self.size, self.device, self.dtype = operator.size, operator.device, operator.dtype
        self._operator = operator
        self._factor = factor

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        return (self._operator @ vectors) * self._factor


def length(vector: torch.Tensor) -> float:
    """Return ‖v‖, summed in float64: in float32, a CPU would be off by 1e-5 over a million entries."""
    return float(torch.linalg.vector_norm(vector, dtype=torch.float64))


def standard_normal(operator: SymmetricOperator, generator: torch.Generator) -> torch.Tensor:
    """Draw a standard normal vector (N,) on the CPU, and move it to the operator's device and dtype."""
    vector = torch.randn(operator.size, dtype=torch.float64, device="cpu", generator=generator)
    return vector.to(operator.device, operator.dtype)


def rows_of(vectors: torch.Tensor, operator: SymmetricOperator | OperatorStack) -> torch.Tensor:
    """Return a vector (N,) as one row (1, N), and rows (b, N) unchanged.

    Raises:
        TypeError: If the vectors are no tensor.
        ValueError: If the vectors do not have the operator's length, dtype or device, have more dimensions, require a
            gradient, or belong to a transform of ``torch.func``.
    """
    if not isinstance(vectors, torch.Tensor):
        raise TypeError(
            f"the vectors are a {type(vectors).__name__}, expected a torch.Tensor, such as torch.as_tensor(vectors)"
        )
    check_no_transform("multiply the operator outside, with all vectors as rows (b, N)")
    if vectors.dim() not in (1, 2) or vectors.shape[-1] != operator.size:
        raise ValueError(
            f"the vectors have shape {tuple(vectors.shape)}, expected (N,) or (b, N) with N = {operator.size}"
        )
    if vectors.dtype != operator.dtype or vectors.device != operator.device:
        raise ValueError(
            f"the vectors are {vectors.dtype} on {vectors.device}, expected {operator.dtype} on {operator.device}"
        )
    if vectors.requires_grad:
        raise ValueError("the vectors require a gradient, but products are not differentiable; pass vectors.detach()")
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
        ValueError: If the operator fails, returns a tensor of another shape, dtype or device, or changes the vectors.
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
    for name, found, expected, advice in (
        ("shape", tuple(images.shape), tuple(vectors.shape), "; it must accept a vector (N,) as well as rows (b, N)"),
        ("dtype", images.dtype, vectors.dtype, ""),
        ("device", images.device, vectors.device, ""),
    ):
        if found != expected:
            raise ValueError(
                f"the operator returns a tensor of {name} {found} for vectors of {name} {expected}, "
                f"expected the same {name}{advice}"
            )
    if vectors._version != version:
        raise ValueError("the operator changes the vectors that it multiplies; let it work on a copy of them")
    images = images.detach()
    # The operator may return what it was given.
    is_same = images.untyped_storage().data_ptr() == vectors.untyped_storage().data_ptr()
    return images.clone() if is_same else images


def finite_product(operator: SymmetricOperator, vectors: torch.Tensor) -> torch.Tensor:
    """Return the products as `product`, after `check_finite`."""
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


def whole_number(name: str, value: object, least: int | None = None) -> int:
    """Return a whole number of any type as an int.

    Raises:
        ValueError: If the value is not a whole number, or less than ``least``.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, expected a whole number")
    if least is not None and value < least:
        raise ValueError(f"{name} is {value}, expected at least {least}")
    return int(value)


def check_count(count: int, size: int) -> None:
    """Check that an operator of a given size has ``count`` eigenpairs.

    Raises:
        ValueError: If ``count`` is not a whole number from 1 to ``size``.
    """
    if not 1 <= whole_number("count", count) <= size:
        raise ValueError(f"count is {count}, expected 1 to {size}, the size of the operator")


def check_request(operator: SymmetricOperator, generator: torch.Generator) -> None:
    """Check the arguments that all solvers share.

    Raises:
        TypeError: If the operator or the generator is of another type.
        ValueError: If the operator or the generator is on a device that solvers cannot use.
    """
    kinds = {"size": Integral, "device": torch.device, "dtype": torch.dtype}
    for name, kind in kinds.items():
        if not isinstance(getattr(operator, name, None), kind):
            expected = "whole number" if name == "size" else f"torch.{name}"
            raise TypeError(
                f"the operator, a {type(operator).__name__}, has no {name} that is a {expected}, expected an "
                "object with size, device and dtype, such as hessian_operator returns"
            )
    if operator.size < 1:
        raise ValueError(f"the operator has size {operator.size}, expected at least 1")
    check_dtype_and_device("the operator", operator.dtype, operator.device)
    check_generator(generator)


def check_dtype_and_device(name: str, dtype: torch.dtype, device: torch.device) -> None:
    """Check that the library can compute with a dtype and on a device.

    Raises:
        ValueError: If it cannot.
    """
    if dtype not in (torch.float32, torch.float64):
        advice = "use real numbers" if dtype.is_complex else "convert network and inputs with .float()"
        raise ValueError(f"{name} is {dtype}, expected float32 or float64; {advice}")
    if device.type in ("mps", "meta"):
        lacks = "which has no float64" if device.type == "mps" else "which holds no numbers"
        raise ValueError(f"{name} is on {device}, {lacks}; move the network and its inputs with .to('cpu')")


def check_generator(generator: torch.Generator) -> None:
    """Check a generator. For None, torch would use its global generator.

    Raises:
        TypeError: If it is no generator.
        ValueError: If it is not on the CPU.
    """
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator is {generator!r}, expected one such as torch.Generator().manual_seed(0)")
    if generator.device.type != "cpu":
        raise ValueError(
            f"generator is on {generator.device}, expected one on the CPU, such as torch.Generator().manual_seed(0)"
        )


def checked_operator(operator: SymmetricOperator) -> tuple[SymmetricOperator, float]:
    """Return an operator after `check_symmetry`, rescaled if necessary, and the factor that it is multiplied by."""
    vectors = standard_normal(operator, torch.Generator().manual_seed(1)), second_probe(operator)
    # The operator may write all its products to the same memory.
    images = [finite_product(operator, vector).clone() for vector in vectors]
    factor = check_symmetry(operator, vectors, images)
    return (operator if factor == 1 else ScaledOperator(operator, factor)), factor


def check_symmetry(
    operator: SymmetricOperator,
    vectors: Sequence[torch.Tensor],
    images: Sequence[torch.Tensor],
    tolerance: float = LARGEST_ASYMMETRY,
) -> float:
    """Check that an operator is symmetric, repeats its products, and is not too small for its dtype.

    For random vectors v and w, ⟨w, Hv⟩ = ⟨v, Hw⟩. The two sides come from two separate products, so they also differ if
    H changes from call to call. Relative to their typical size ‖w‖ ‖Hv‖ / √N, well-conditioned products differ by a few
    roundings ε. They may differ by √ε or by the tolerance, whichever is larger.

    Args:
        operator: H, of size N.
        vectors: v and w, random (N,).
        images: Hv and Hw (N,), finite, from separate calls.
        tolerance: Relative error that the solver accepts in its results.

    Returns:
        The power of two to multiply the operator by before its products are squared; usually 1.

    Raises:
        FloatingPointError: If products are so small that their dtype holds few digits of them.
        ValueError: If the operator is not symmetric, or changes from call to call.
    """
    limits = torch.finfo(operator.dtype)
    largest = max(image.abs().max().item() for image in images)
    if 0 < largest < limits.tiny / limits.eps:
        advice = ", or use float64" if operator.dtype == torch.float32 else ""
        raise FloatingPointError(
            f"products with the operator are about {largest:.1g}, too small for {operator.dtype} to hold "
            f"their digits; multiply the loss by a large number{advice}"
        )
    exponent = math.frexp(largest)[1]
    factor = 2.0**-exponent if abs(exponent) > SAFE_EXPONENT else 1.0
    (v, w), (image_of_v, image_of_w) = vectors, (images[0] * factor, images[1] * factor)
    allowed = max(limits.eps**0.5, min(tolerance, LARGEST_ASYMMETRY))
    difference = abs(w.double() @ image_of_v.double() - v.double() @ image_of_w.double()).item()
    usual = (length(w) * length(image_of_v) + length(v) * length(image_of_w)) / math.sqrt(operator.size)
    if difference > allowed * usual:
        again = finite_product(operator, v) * factor
        if length(again - image_of_v) > allowed * length(image_of_v):
            raise ValueError(
                "the operator returns a different product each time it is applied to the same vector; usual "
                "causes are dropout or batch norm in training mode (call model.eval()), nondeterministic kernels "
                "(call torch.use_deterministic_algorithms(True)) and reduced precision"
            )
        raise ValueError(
            "the operator is not symmetric: for random vectors, ⟨w, Hv⟩ and ⟨v, Hw⟩ differ by "
            f"{difference / usual:.1g}, relative to their typical size; usual causes are reduced precision (use "
            "float64 throughout), an operation whose second derivative is wrong, and dropout or batch norm in training "
            "mode (call model.eval())"
        )
    return factor


def second_probe(operator: SymmetricOperator) -> torch.Tensor:
    """Return the second random vector (N,) of the check; the first is the start vector of an iteration.

    This vector is always the same, so that the check draws nothing from the caller's generator.
    """
    return standard_normal(operator, torch.Generator().manual_seed(2))

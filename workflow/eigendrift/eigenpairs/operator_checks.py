"""Checks of what solvers are given: arguments of the right kind, and an operator that can be trusted."""

import math
from collections.abc import Sequence
from numbers import Integral

import torch

from eigendrift.eigenpairs.symmetric import (
    ScaledOperator,
    SymmetricOperator,
    check_no_transform,
    finite_product,
    length,
    standard_normal,
)

# Products whose largest entry lies beyond 2^±100 are rescaled: squares of float64 numbers over- or underflow
# beyond 2^±511.
SAFE_EXPONENT = 100
# No operator may be more asymmetric than this, however large a solver's tolerance is.
LARGEST_ASYMMETRY = 1e-3
# Number of products that `checked_operator` uses.
PRODUCTS_TO_CHECK = 2


def check_request(operator: SymmetricOperator, generator: torch.Generator) -> None:
    """Check the arguments that all solvers share.

    Raises:
        TypeError: If one is of another type.
        ValueError: If the operator or the generator is on a device that the solvers cannot work with.
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
    check_kind("the operator", operator.dtype, operator.device)
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
    # The operator may write all its products to the same memory.
    factor = examine(operator, vectors, [finite_product(operator, vector).clone() for vector in vectors])
    return (operator if factor == 1 else ScaledOperator(operator, factor)), factor


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
        repeats = length(again - image_of_v) <= allowed * length(image_of_v)
        raise ValueError(_why_not(difference / usual, repeats))
    return factor


def other_probe(operator: SymmetricOperator) -> torch.Tensor:
    """Return the second random vector (N,) that an operator is checked on; the first is the start vector.

    It is always the same, so that the check draws nothing from the caller's generator.
    """
    return standard_normal(operator, torch.Generator().manual_seed(2))


def _why_not(difference: float, repeats: bool) -> str:
    """Say what is wrong with an operator, given its relative asymmetry and whether its products repeat."""
    if not repeats:
        return (
            "the operator returns a different product each time it is applied to the same vector; usual "
            "causes are dropout or batch norm in training mode (call model.eval()), nondeterministic kernels "
            "(call torch.use_deterministic_algorithms(True)) and reduced precision"
        )
    return (
        "the operator is not symmetric: for random vectors, ⟨w, Hv⟩ and ⟨v, Hw⟩ differ by "
        f"{difference:.1g}, relative to their typical size; usual causes are reduced precision (use float64 "
        "throughout), an operation whose second derivative is wrong, and dropout or batch norm in training "
        "mode (call model.eval())"
    )


def check_tensors(inputs: torch.Tensor, targets: torch.Tensor) -> None:
    """Check that a sample is dense tensors with a dimension that counts samples.

    Raises:
        TypeError: If one is no tensor.
        ValueError: If one is sparse, nested or a single number, or a transform of ``torch.func`` is active.
    """
    check_no_transform("make the operator outside")
    for name, given in (("inputs", inputs), ("targets", targets)):
        if not isinstance(given, torch.Tensor):
            found = type(given).__name__
            raise TypeError(
                f"{name} is a {found}, expected a torch.Tensor of all samples, such as "
                f"torch.as_tensor({name}), or torch.cat of a loader's batches; a network that takes several "
                "tensors has to be wrapped in a module that takes one"
            )
        if given.is_nested or given.layout != torch.strided:
            kind = "nested" if given.is_nested else "sparse"
            advice = "torch.nested.to_padded_tensor" if given.is_nested else f"{name}.to_dense()"
            raise ValueError(f"{name} is a {kind} tensor, expected a dense one, such as {advice}")
        if not given.dim():
            raise ValueError(f"{name} is a single number, expected a tensor (n, …) of n samples")


def check_lengths(inputs: torch.Tensor, targets: torch.Tensor) -> None:
    """Check that a sample has equal numbers of inputs and targets, at least one of each.

    Raises:
        TypeError: If one is no tensor.
        ValueError: If the numbers differ or are zero, or as `check_tensors`.
    """
    check_tensors(inputs, targets)
    if not len(inputs) == len(targets) > 0:
        raise ValueError(
            f"{len(inputs)} inputs and {len(targets)} targets, expected equal numbers, at least one of each"
        )

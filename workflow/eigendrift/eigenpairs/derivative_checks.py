"""Whether derivatives of a network and a loss are right, have their digits, and do not depend on chunks.

Torch differentiates what it has recorded. It silently leaves out what it has not recorded: anything behind ``detach``,
NumPy or a reentrant checkpoint, and operations whose backward pass has no derivative. Products with the Hessian would
then be wrong. The checks cost next to nothing if a network passes them.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch.autograd.function import BackwardCFunction
from torch.overrides import TorchFunctionMode

from eigendrift.eigenpairs.symmetric import length
from eigendrift.errors import warn
from eigendrift.numerics import seeded

Parameters = Mapping[str, torch.nn.Parameter]
Compute = Callable[[], torch.Tensor]
# Relative change of a parameter that shows whether something depends on it.
NUDGE = 2.0**-16
# Steps of differences, relative to the length of the weights, and how close one of them must come to a product. Large
# steps cross kinks of the network, and small steps leave little but rounding.
STEPS = {torch.float32: (1e-2, 1e-3, 1e-4, 1e-5), torch.float64: (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)}
NEARNESS = {torch.float32: 1e-2, torch.float64: 1e-4}
# Relative difference below which two values count as equal up to rounding.
ROUNDING = 1e-6


def check_reach(
    what: str, derivatives: Sequence[torch.Tensor | None], parameters: Parameters, compute: Compute
) -> None:
    """Check that a value does not change with parameters for which torch finds no derivative.

    Args:
        what: Name of the value.
        derivatives: Its derivative by each parameter, or None.
        parameters: The parameters by name, whose values are changed temporarily.
        compute: Returns the value.

    Raises:
        ValueError: If the value changes with such a parameter.
    """
    missing = [name for name, part in zip(parameters, derivatives, strict=True) if part is None]
    if not missing:
        return
    before = _seeded(compute, parameters)

    def changes(names: Sequence[str]) -> bool:
        shifts = {name: NUDGE * parameters[name].data.abs().clamp(min=1) for name in names}
        with _shifted(parameters, shifts):
            return not torch.equal(_seeded(compute, parameters), before)

    if changes(missing):
        wrong = next((name for name in missing if changes([name])), missing[0])
        raise ValueError(
            f"{what} changes with parameter '{wrong}', but torch finds no derivative with respect to it; "
            "look for detach, torch.no_grad and numpy in the network and the loss, and for checkpoints "
            "without use_reentrant=False"
        )


def check_operations(gradient: torch.Tensor) -> list[str]:
    """Return the names of the ``torch.autograd.Function`` classes in a gradient's graph, which may be wrong.

    Raises:
        ValueError: If an operation cannot be differentiated.
    """
    custom: set[str] = set()
    seen, left = set(), [gradient.grad_fn]
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        left += [following for following, _ in node.next_functions]
        # The node with which @once_differentiable ends a graph.
        if node.name() == "torch::autograd::Error":
            raise ValueError(
                "the network has no second derivatives: the backward method of a torch.autograd.Function is "
                "marked with @once_differentiable; replace the Function by operations of torch"
            )
        if isinstance(node, BackwardCFunction):
            custom.add(node.name().removesuffix("Backward"))
    return sorted(custom)


def check_product(
    functions: Sequence[str], gradient: Compute, product: torch.Tensor, direction: torch.Tensor, parameters: Parameters
) -> None:
    """Check a product with the Hessian against differences of the gradient.

    Args:
        functions: Names of the ``torch.autograd.Function`` classes that make the check necessary.
        gradient: Returns the gradient (N,) at the parameters' values.
        product: Hu (N,).
        direction: u (N,), as long as all parameters together.
        parameters: The parameters by name, whose values are changed temporarily.

    Raises:
        ValueError: If differences over several steps agree with each other but not with the product.

    Warns:
        UserWarning: If rounding hides whether they agree.
    """
    sizes = [parameter.numel() for parameter in parameters.values()]
    parts = dict(zip(parameters, torch.split(direction, sizes), strict=True))

    def at(step: float) -> torch.Tensor:
        shifts = {name: step * part.view_as(parameters[name]) for name, part in parts.items()}
        with _shifted(parameters, shifts):
            return _seeded(gradient, parameters)

    estimates = []
    for step in STEPS[product.dtype]:
        estimates.append((at(step) - at(-step)) / (2 * step))
        if _are_near(estimates[-1], product):
            return
    names = ", ".join(functions)
    if any(_are_near(one, other) for one, other in pairwise(estimates)):
        raise ValueError(
            "the second derivatives of the network do not match its gradient, which goes through the "
            f"torch.autograd.Function {names}; let its backward method compute with torch, from saved inputs "
            "instead of results of the forward method"
        )
    warn(f"rounding hides whether the second derivatives of the torch.autograd.Function {names} are right; try float64")


def _are_near(one: torch.Tensor, other: torch.Tensor) -> bool:
    return length(one - other) <= NEARNESS[one.dtype] * length(one)


@contextmanager
def _shifted(parameters: Parameters, shifts: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Add shifts to the values of parameters, and restore them on exit."""
    before = {name: parameters[name].data for name in shifts}
    try:
        for name, shift in shifts.items():
            parameters[name].data = before[name] + shift
        yield
    finally:
        for name, value in before.items():
            parameters[name].data = value


def varies(parameters: Parameters, compute: Compute) -> bool:
    """Return whether a value depends on torch's global generators or on how often it was computed."""
    one, other = (_seeded(compute, parameters, seed) for seed in (0, 1))
    # A GPU may add numbers in another order, which changes the last bits.
    return not torch.allclose(one, other, rtol=ROUNDING, atol=0)


def _seeded(compute: Compute, parameters: Parameters, seed: int = 0) -> torch.Tensor:
    """Compute a value with the same random draws each time, without touching the caller's generators."""
    with seeded(seed, (parameter.device for parameter in parameters.values())):
        return compute().detach()


class Float64(TorchFunctionMode):
    """A scope in which torch functions convert float32 tensors to float64, to show lost digits.

    Derivatives with respect to float32 tensors are rounded to float32 only at the end.
    """

    def __torch_function__(
        self, function: Callable[..., Any], types: object, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call a function of torch in float64."""
        options = kwargs or {}
        name = getattr(function, "__name__", "")
        # These need the given tensors themselves, not copies.
        if name in ("__get__", "__set__", "__delete__", "grad", "requires_grad_", "register_hook"):
            found = function(*args, **options)
            return torch.float64 if found is torch.float32 else found
        if name == "__setitem__" or (name.endswith("_") and not name.endswith("__")):
            # These change their first tensor in place, which may be a buffer.
            return function(*args[:1], *_widened(args[1:]), **_widened(options))
        return _widened(function(*_widened(args), **_widened(options)))


def _widened(value: Any) -> Any:
    """Return a value with float64 instead of float32, also in lists and dictionaries."""
    if isinstance(value, torch.Tensor):
        return value.double() if value.dtype == torch.float32 else value
    if value is torch.float32:
        return torch.float64
    if type(value) in (tuple, list):
        return type(value)(map(_widened, value))
    if type(value) is dict:
        return {key: _widened(part) for key, part in value.items()}
    return value


def other_chunk_size(samples: int, size: int) -> int:
    """Return a chunk size that differs from ``size`` and gives another number of chunks, small if possible.

    A loss may depend on either: a sum declared as a mean depends on the size, and a weight penalty in a sum depends on
    the number.

    Args:
        samples: More than ``size``.
        size: Samples in a chunk.
    """
    number = math.ceil(samples / size)
    candidates = (max(2, size // 2), size + 1, samples)
    return next(other for other in candidates if other != size and math.ceil(samples / other) != number)

"""Whether torch's derivatives of a network and a loss are what they seem to be.

Torch differentiates what it has recorded. Without a word, it leaves out what it has not recorded: what lies
behind ``detach``, NumPy or a reentrant checkpoint, and operations whose backward pass has no derivative.
Products with the Hessian would then be wrong. A network that passes the checks pays next to nothing for them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch.autograd.function import BackwardCFunction

from eigendrift.eigenpairs.symmetric import length
from eigendrift.errors import warn
from eigendrift.numerics import seeded

Parameters = Mapping[str, torch.nn.Parameter]
Compute = Callable[[], torch.Tensor]
# Relative change of a parameter that shows whether something depends on it.
NUDGE = 2.0**-16
# Steps of differences, relative to the length of the weights, and how near they have to come to a product.
# Large steps cross kinks of the network, and small ones leave little but rounding, so one of them is enough.
STEPS = {torch.float32: (1e-2, 1e-3, 1e-4, 1e-5), torch.float64: (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)}
NEARNESS = {torch.float32: 1e-2, torch.float64: 1e-4}
# Relative difference below which two values count as equal but for rounding.
ROUNDING = 1e-6
# The node by which @once_differentiable ends a graph.
ONCE_DIFFERENTIABLE = "torch::autograd::Error"


def check_reach(
    what: str, derivatives: Sequence[torch.Tensor | None], parameters: Parameters, compute: Compute
) -> None:
    """Check that a value does not change with the parameters by which torch finds no derivative.

    Args:
        what: Name of the value.
        derivatives: Its derivative by each parameter, or None.
        parameters: The parameters by name; their values are changed for a while.
        compute: Returns the value.

    Raises:
        ValueError: If the value changes with one of them.
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
    """Check that every operation in the graph of a gradient can be differentiated.

    Returns:
        Names of the ``torch.autograd.Function`` classes in the graph, whose derivatives are their authors'.

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
        if node.name() == ONCE_DIFFERENTIABLE:
            raise ValueError(
                "the network has no second derivatives: the backward method of a torch.autograd.Function is "
                "marked with @once_differentiable; replace the Function by operations of torch"
            )
        if isinstance(node, BackwardCFunction):
            custom.add(node.name().removesuffix("Backward"))
    return sorted(custom)


def check_product(
    functions: Sequence[str],
    gradient: Compute,
    product: torch.Tensor,
    direction: torch.Tensor,
    parameters: Parameters,
) -> None:
    """Check a product with the Hessian against differences of the gradient.

    Args:
        functions: Names of the ``torch.autograd.Function`` classes that make the check necessary.
        gradient: Returns the gradient (N,) at the parameters' values.
        product: Hu (N,).
        direction: u (N,), as long as all parameters together.
        parameters: The parameters by name; their values are changed for a while.

    Raises:
        ValueError: If differences over several steps agree with each other but not with the product.

    Warns:
        UserWarning: If rounding hides whether they do.
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
            "the second derivatives of the network are not those of its gradient, which goes through the "
            f"torch.autograd.Function {names}; let its backward method compute with torch, from inputs that "
            "were saved, and not from results of the forward method"
        )
    warn(
        f"rounding hides whether the second derivatives of the torch.autograd.Function {names} are right; "
        "try float64"
    )


def _are_near(one: torch.Tensor, other: torch.Tensor) -> bool:
    return length(one - other) <= NEARNESS[one.dtype] * length(one)


@contextmanager
def _shifted(parameters: Parameters, shifts: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Add something to the values of some parameters for a while."""
    before = {name: parameters[name].data for name in shifts}
    try:
        for name, shift in shifts.items():
            parameters[name].data = before[name] + shift
        yield
    finally:
        for name, value in before.items():
            parameters[name].data = value


def varies(parameters: Parameters, compute: Compute) -> bool:
    """Return whether a value depends on torch's global generators, or on how often it was computed."""
    one, other = (_seeded(compute, parameters, seed) for seed in (0, 1))
    # The order in which a GPU adds numbers may change the last bits.
    return not torch.allclose(one, other, rtol=ROUNDING, atol=0)


def _seeded(compute: Compute, parameters: Parameters, seed: int = 0) -> torch.Tensor:
    """Compute something with the same random draws each time, and leave the caller's generators alone."""
    with seeded(seed, (parameter.device for parameter in parameters.values())):
        return compute().detach()

"""Whether torch's derivatives of a network and a loss are what they seem to be.

Torch differentiates what it has recorded. What it has not recorded, because of ``detach``, NumPy, a reentrant
checkpoint or an operation whose backward pass cannot be differentiated, it leaves out without a word, and the
products with the Hessian are wrong. Each check here costs next to nothing for a network that passes it.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch.autograd.function import BackwardCFunction

from eigendrift.eigenpairs.symmetric import length

Parameters = Mapping[str, torch.nn.Parameter]
Compute = Callable[[], torch.Tensor]
# Relative change of a parameter that shows whether something depends on it.
NUDGE = 2.0**-16
# Steps of the differences, relative to the length of the weights, and how near a product has to come to one
# of them. Large steps cross kinks of the network, and small ones leave little but rounding.
STEPS = {torch.float32: (1e-2, 1e-3, 1e-4, 1e-5), torch.float64: (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)}
NEARNESS = 0.05
ONCE_DIFFERENTIABLE = "torch::autograd::Error"


def check_reach(
    what: str, derivatives: Sequence[torch.Tensor | None], parameters: Parameters, compute: Compute
) -> None:
    """Check that a value does not change with the parameters by which torch finds no derivative.

    Args:
        what: Name of the value.
        derivatives: Of the value by each parameter, or None.
        parameters: The parameters by name; their values are changed for a while.
        compute: Returns the value.

    Raises:
        ValueError: If it does.
    """
    missing = [name for name, part in zip(parameters, derivatives, strict=True) if part is None]
    if not missing:
        return

    def changes(names: Sequence[str]) -> bool:
        shifts = {name: NUDGE * parameters[name].data.abs().clamp(min=1) for name in names}
        with shifted(parameters, shifts):
            return not torch.equal(_seeded(compute, parameters), before)

    before = _seeded(compute, parameters)
    if changes(missing):
        wrong = next((name for name in missing if changes([name])), missing[0])
        raise ValueError(
            f"{what} changes with parameter '{wrong}', but torch finds no derivative by it; look for detach, "
            "torch.no_grad and numpy in the network and the loss, and for checkpoints without "
            "use_reentrant=False"
        )


def check_operations(gradient: torch.Tensor) -> list[str]:
    """Check that every operation in the graph of a gradient has a derivative of its own.

    Returns:
        Names of the ``torch.autograd.Function`` classes in the graph, whose derivatives only their authors know.

    Raises:
        ValueError: If one has not.
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
                "marked with @once_differentiable; replace it by operations of torch"
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
        functions: Names of what makes the product doubtful.
        gradient: Returns the gradient (N,) at the parameters' values.
        product: Hu (N,).
        direction: u (N,), as long as all parameters together.
        parameters: The parameters by name; their values are changed for a while.

    Raises:
        ValueError: If differences over several steps agree with each other, and not with the product.

    Warns:
        UserWarning: If rounding leaves it open.
    """
    sizes = [parameter.numel() for parameter in parameters.values()]
    parts = dict(zip(parameters, direction.split(sizes), strict=True))

    def at(step: float) -> torch.Tensor:
        with shifted(parameters, {name: step * part.view_as(parameters[name]) for name, part in parts.items()}):
            return _seeded(gradient, parameters)

    def near(one: torch.Tensor, other: torch.Tensor) -> bool:
        return length(one - other) <= NEARNESS * length(one)

    estimates = []
    for step in STEPS[product.dtype]:
        estimates.append((at(step) - at(-step)) / (2 * step))
        if near(estimates[-1], product):
            return
    names = ", ".join(functions)
    if any(near(one, other) for one, other in pairwise(estimates)):
        raise ValueError(
            f"the second derivatives of the network are wrong: they are not those of its gradient, which goes "
            f"through torch.autograd.Function {names}; let its backward method use only inputs that it has saved, "
            "and operations of torch"
        )
    warnings.warn(
        f"the second derivatives of torch.autograd.Function {names} could not be confirmed by differences of the "
        "gradient, because of rounding; try it in float64",
        stacklevel=2,
    )


@contextmanager
def shifted(parameters: Parameters, shifts: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Add something to the values of some parameters for a while."""
    before = {name: parameters[name].data for name in shifts}
    try:
        for name, shift in shifts.items():
            parameters[name].data = before[name] + shift
        yield
    finally:
        for name, value in before.items():
            parameters[name].data = value


def _seeded(compute: Compute, parameters: Parameters) -> torch.Tensor:
    """Compute something with the same random draws each time, and leave the caller's generators alone."""
    devices = {parameter.device for parameter in parameters.values() if parameter.device.type == "cuda"}
    with torch.random.fork_rng(devices):
        torch.manual_seed(0)
        return compute().detach()

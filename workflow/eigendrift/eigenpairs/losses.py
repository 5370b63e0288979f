"""Functions whose derivatives stay exact where torch's lose digits or are wrong, above all at small losses.

Once a network is confident of a sample, the derivatives come from small probabilities. The usual formulas subtract
numbers close to 1, which leaves mostly rounding error: in float32, at a loss of 1e-6, a thousandth of the Hessian's
largest eigenvalue.

Each replacement takes the arguments of torch's function. It returns None if torch's function must be used.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    logsigmoid,
    softplus,
)
from torch.overrides import TorchFunctionMode


def is_cross_entropy(loss: object) -> bool:
    """Return whether a loss is torch's mean cross-entropy, as a function or a module, without options."""
    if type(loss) is nn.CrossEntropyLoss:
        return vars(loss) == vars(nn.CrossEntropyLoss().train(loss.training))
    return loss is cross_entropy


def are_labels(targets: torch.Tensor) -> bool:
    """Return whether targets are one class label for each sample, and none is ignored."""
    return targets.dim() == 1 and targets.dtype == torch.int64 and bool((targets >= 0).all())


def check_labels(targets: torch.Tensor, classes: int) -> None:
    """Check that targets are one label for each sample.

    Raises:
        ValueError: If the labels are not int64 (n,) from 0 to below ``classes``.
    """
    if targets.dtype != torch.int64 or targets.dim() != 1:
        raise ValueError(f"the labels are {targets.dtype} of shape {tuple(targets.shape)}, expected torch.int64 (n,)")
    wrong = targets[(targets < 0) | (targets >= classes)]
    if len(wrong):
        raise ValueError(
            f"a label is {int(wrong[0])}, but the network has {classes} classes: expected 0 to {classes - 1}"
        )


class ExactDerivatives(TorchFunctionMode):
    """A scope in which functions of torch whose second derivatives are wrong or lose digits are replaced.

    These are the cross-entropies, ``logsigmoid``, ``softplus`` and weight normalization. Functions of torch that call
    them inside of torch are left as they are.
    """

    def __torch_function__(
        self, function: Callable[..., Any], types: object, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call a function of torch, or its exact replacement."""
        options = kwargs or {}
        result = None
        # Inside transforms of torch.func, such as vmap, labels cannot be read.
        if (exact := EXACT.get(function)) and torch._C._functorch.maybe_current_level() is None:
            result = exact(*args, **options)
        return function(*args, **options) if result is None else result


def exact_cross_entropy(
    input: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    size_average: object = None,
    ignore_index: int = -100,
    reduce: object = None,
    reduction: str = "mean",
    label_smoothing: float = 0,
) -> torch.Tensor | None:
    """Return w_y log Σ_c exp(z_c − z_y), the cross-entropy of z (n, classes, …) and labels y, int64 (n, …).

    The label's own term is a constant, so no derivative contains p_y − 1. Torch's function must be used for class
    probabilities, label smoothing, and the deprecated ``size_average`` and ``reduce``.

    Raises:
        ValueError: If a label is not a valid class.
    """
    dim = min(1, input.dim() - 1)
    has_labels = target.dtype == torch.int64 and target.shape == input.shape[:dim] + input.shape[dim + 1 :]
    is_plain = _is_plain(size_average, reduce, reduction) and label_smoothing == 0
    if not (has_labels and is_plain):
        return None
    counts = target != ignore_index
    labels = target.masked_fill(~counts, 0)
    check_labels(labels.flatten(), input.shape[dim])
    classes = torch.arange(input.shape[dim], device=target.device).view(-1, *[1] * (input.dim() - dim - 1))
    at_label = classes == labels.unsqueeze(dim)
    own = input.masked_fill(~at_label, 0).sum(dim, keepdim=True)
    losses = (input - own).masked_fill(at_label, 0).logsumexp(dim).masked_fill(~counts, 0)
    weights = counts if weight is None else weight[labels].masked_fill(~counts, 0)
    if weight is not None:
        losses = weights * losses
    return losses.sum() / weights.sum() if reduction == "mean" else _reduced(losses, reduction)


def exact_binary_cross_entropy(
    input: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
    pos_weight: torch.Tensor | None = None,
) -> torch.Tensor | None:
    r"""Return the binary cross-entropy of logits z and targets y with weights w and p = ``pos_weight``.

    .. math::  w \, [\, p \, y \log(1 + e^{-z}) + (1 - y) \log(1 + e^{z}) \,]

    Torch computes the second derivative of a confident positive logit as s(1 − s), whose second factor is zero in
    float32 from z = 17 on. Torch's function must be used if the shapes of z and y differ, and for the deprecated
    ``size_average`` and ``reduce``.
    """
    if not _is_plain(size_average, reduce, reduction) or input.shape != target.shape:
        return None
    below, above = target * _log_one_plus_exp(-input), (1 - target) * _log_one_plus_exp(input)
    losses = (below if pos_weight is None else pos_weight * below) + above
    return _reduced(losses if weight is None else weight * losses, reduction)


def exact_binary_cross_entropy_of_probabilities(
    input: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    size_average: object = None,
    reduce: object = None,
    reduction: str = "mean",
) -> torch.Tensor | None:
    r"""Return the binary cross-entropy of probabilities p and targets y with weights w.

    .. math::  -w \, [\, y \log p + (1 - y) \log(1 - p) \,]

    Torch's second derivative is wrong near 0 and 1, and its loss is cut off at 100, which has no derivative. Torch's
    function must be used if the shapes of p and y differ, if a p is not from 0 to 1, and for the deprecated
    ``size_average`` and ``reduce``.

    Raises:
        FloatingPointError: If a probability is 0 where y > 0, or 1 where y < 1.
    """
    if not _is_plain(size_average, reduce, reduction) or input.shape != target.shape:
        return None
    if not bool(((input >= 0) & (input <= 1)).all()):
        return None
    positive, negative = target > 0, target < 1
    if bool(((input == 0) & positive | (input == 1) & negative).any()):
        raise FloatingPointError(
            "binary_cross_entropy is infinite: a probability is rounded to 0 or 1, and the target is not; "
            "leave out the sigmoid and use binary_cross_entropy_with_logits"
        )
    below = target * input.masked_fill(~positive, 1).log()
    above = (1 - target) * torch.log1p(-input.masked_fill(~negative, 0))
    losses = -(below + above)
    return _reduced(losses if weight is None else weight * losses, reduction)


def exact_weight_norm(v: torch.Tensor, g: torch.Tensor, dim: int = 0) -> torch.Tensor:
    """Return g v / ‖v‖, the norm over all dimensions but one. Torch's second derivative is not symmetric.

    Args:
        v: Directions, of any shape.
        g: Lengths, of a shape that broadcasts with v.
        dim: The dimension with a norm for each entry; −1 for one norm of all entries.
    """
    others = [other for other in range(v.dim()) if dim == -1 or other != dim % v.dim()]
    return v * (g / v.square().sum(others, keepdim=dim != -1).sqrt())


EXACT: dict[Callable[..., Any], Callable[..., torch.Tensor | None]] = {
    logsigmoid: lambda input: -_log_one_plus_exp(-input),
    # Torch's softplus has no curvature above the threshold.
    softplus: lambda input, beta=1, threshold=20: _log_one_plus_exp(input) if beta == 1 else None,
    torch._weight_norm: exact_weight_norm,
    cross_entropy: exact_cross_entropy,
    binary_cross_entropy: exact_binary_cross_entropy_of_probabilities,
    binary_cross_entropy_with_logits: exact_binary_cross_entropy,
}


def _is_plain(size_average: object, reduce: object, reduction: str) -> bool:
    """Return whether the reduction is valid and given without deprecated arguments."""
    return size_average is None and reduce is None and reduction in ("none", "mean", "sum")


def _reduced(losses: torch.Tensor, reduction: str) -> torch.Tensor:
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def _log_one_plus_exp(values: torch.Tensor) -> torch.Tensor:
    """Return log(1 + eᶻ), with second derivatives that keep their digits on both sides of zero."""
    # Those of softplus do so for z ≤ 0. The branch that is not selected must be finite as well.
    zero = torch.zeros_like(values)
    below, above = torch.where(values > 0, zero, values), torch.where(values > 0, values, zero)
    return torch.where(values > 0, above + softplus(-above), softplus(below))


def output_errors(probabilities: torch.Tensor, at_label: torch.Tensor) -> torch.Tensor:
    """Return δ = p − y, the derivative of each sample's cross-entropy by the network's output.

    At the label it is minus the sum of the other probabilities, which is p − 1 without the subtraction.

    Args:
        probabilities: (…, classes, …), softmax of the output, classes in dimension 1.
        at_label: bool, of a shape that broadcasts with ``probabilities``; True at the labels.
    """
    others = probabilities.masked_fill(at_label, 0)
    return torch.where(at_label, -others.sum(1, keepdim=True), others)


def subtract_mean(outputs: torch.Tensor, probabilities: torch.Tensor, top: torch.Tensor, dim: int) -> None:
    """Subtract the mean of R{z} under p, in place. Times p, the result is the second derivative along R{z}.

    R{z} is measured from its value at the most probable class. The result is the same, and little is left to subtract
    for a confident network.

    Args:
        outputs: R{z}, with classes in dimension ``dim``.
        probabilities: Softmax of the output, of a shape that broadcasts with ``outputs``.
        top: int64, the most probable class, of the shape of ``outputs`` but with one class.
        dim: Dimension of the classes.
    """
    outputs -= outputs.gather(dim, top)
    outputs -= (probabilities * outputs).sum(dim, keepdim=True)

"""Losses whose derivatives stay exact where the loss is small.

Once a network is sure of a sample, all that its loss still does is in the small probabilities. Written down
as they are usually, both derivatives subtract numbers near 1 and leave the rounding of them: at a loss of
1e-6, in float32, that is a thousandth of the Hessian's largest eigenvalue.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    one_hot,
    softplus,
)


def is_cross_entropy(loss: object) -> bool:
    """Tell whether a loss is torch's mean cross-entropy, as a function or a module, without any options."""
    if type(loss) is nn.CrossEntropyLoss:
        return vars(loss) == vars(nn.CrossEntropyLoss().train(loss.training))
    return loss is cross_entropy


def are_labels(targets: torch.Tensor) -> bool:
    """Tell whether targets are one class label for each sample, none of them ignored."""
    return targets.dim() == 1 and targets.dtype == torch.int64 and bool((targets >= 0).all())


def check_labels(targets: torch.Tensor, classes: int) -> None:
    """Check that targets are one label for each sample.

    Raises:
        ValueError: They are not int64 (n,) from 0 to below ``classes``.
    """
    if targets.dtype != torch.int64 or targets.dim() != 1:
        raise ValueError(
            f"the labels are {targets.dtype} of shape {tuple(targets.shape)}, expected torch.int64 (n,)"
        )
    wrong = targets[(targets < 0) | (targets >= classes)]
    if len(wrong):
        raise ValueError(
            f"a label is {int(wrong[0])}, but the network has {classes} classes: expected 0 to {classes - 1}"
        )


def mean_cross_entropy(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean of log Σ_c exp(z_c − z_y), the cross-entropy, for automatic differentiation.

    The label's own term is a constant, so no derivative ever holds p_y − 1.

    Args:
        outputs: z, (n, classes).
        targets: y, int64 (n,).
    """
    check_labels(targets, outputs.shape[1])
    at_label = one_hot(targets, outputs.shape[1]).bool()
    own = outputs.masked_fill(~at_label, 0).sum(1, keepdim=True)
    return (outputs - own).masked_fill(at_label, 0).logsumexp(1).mean()


def binary_cross_entropy(loss: object) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None:
    r"""Return a loss that equals torch's binary cross-entropy with logits; None if ``loss`` is another one.

    .. math::  w \, [\, p \, y \log(1 + e^{-z}) + (1 - y) \log(1 + e^{z}) \,]

    with weights w of the samples and p of the positive ones. Torch computes the second derivative of a
    confident positive logit as s(1 − s), whose second factor is zero in float32 from z = 17 on.

    Args:
        loss: ``torch.nn.functional.binary_cross_entropy_with_logits`` or a ``torch.nn.BCEWithLogitsLoss``.
    """
    if loss is binary_cross_entropy_with_logits:
        loss = nn.BCEWithLogitsLoss()
    if type(loss) is not nn.BCEWithLogitsLoss or loss.reduction not in ("mean", "sum"):
        return None
    weight, positive, reduction = loss.weight, loss.pos_weight, loss.reduction

    def equal_loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if outputs.shape != targets.shape:
            raise ValueError(
                f"the targets have shape {tuple(targets.shape)}, expected that of the outputs, "
                f"{tuple(outputs.shape)}"
            )
        below, above = targets * _log_one_plus_exp(-outputs), (1 - targets) * _log_one_plus_exp(outputs)
        losses = (below if positive is None else positive * below) + above
        losses = losses if weight is None else weight * losses
        return losses.mean() if reduction == "mean" else losses.sum()

    return equal_loss


def _log_one_plus_exp(values: torch.Tensor) -> torch.Tensor:
    """Return log(1 + eᶻ), with second derivatives that keep their digits on both sides of zero."""
    # Those of softplus do for z ≤ 0. The branch that is not chosen has to be finite as well.
    zero = torch.zeros_like(values)
    below, above = torch.where(values > 0, zero, values), torch.where(values > 0, values, zero)
    return torch.where(values > 0, above + softplus(-above), softplus(below))


def output_errors(probabilities: torch.Tensor, at_label: torch.Tensor) -> torch.Tensor:
    """Return δ = p − y, the derivative of each sample's cross-entropy by the network's output.

    At the label it is minus the sum of the other probabilities, which is p − 1 without the subtraction.

    Args:
        probabilities: (…, classes, …), softmax of the output, classes in dimension 1.
        at_label: bool, of a shape that broadcasts with it; True at the labels.
    """
    others = probabilities.masked_fill(at_label, 0)
    return torch.where(at_label, -others.sum(1, keepdim=True), others)


def subtract_mean(outputs: torch.Tensor, probabilities: torch.Tensor, top: torch.Tensor, dim: int) -> None:
    """Subtract from R{z} its mean under p, in place; times p, that is the second derivative along R{z}.

    The most probable class is the zero from which R{z} is measured: the result is the same, and near that
    class nothing is left to subtract.

    Args:
        outputs: R{z}, with classes in dimension ``dim``.
        probabilities: Softmax of the output, of a shape that broadcasts with it.
        top: int64, the most probable class, of the shape of ``outputs`` but for one class.
        dim: Dimension of the classes.
    """
    outputs -= outputs.gather(dim, top)
    outputs -= (probabilities * outputs).sum(dim, keepdim=True)

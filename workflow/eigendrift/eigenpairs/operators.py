"""The Hessian operator that fits a network best."""

import torch
from torch import nn

from eigendrift.eigenpairs.double_backward import DoubleBackwardHessian
from eigendrift.eigenpairs.hessian import Reduction
from eigendrift.eigenpairs.losses import are_labels, is_cross_entropy
from eigendrift.eigenpairs.network_checks import Loss, check_model, check_sample, unwrapped
from eigendrift.eigenpairs.perceptron import PerceptronHessian, fits_perceptron, is_perceptron
from eigendrift.numerics import full_precision


@full_precision()
def hessian_operator(
    model: nn.Module,
    loss: Loss,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    chunk_size: int | None = None,
    *,
    reduction: Reduction = "mean",
) -> DoubleBackwardHessian | PerceptronHessian:
    """Return the Hessian of a loss over a fixed sample, by the fastest operator that fits the network.

    The loss may read the model's parameters: a weight penalty ``wd / 2 * sum(p.square().sum() for p in
    model.parameters())`` raises every eigenvalue by ``wd``.

    Args:
        model: Network in the mode, in the dtype and on the device for its Hessian.
        loss: Returns one number from outputs and targets, such as ``torch.nn.functional.cross_entropy``.
        inputs: (n, …) on the model's device.
        targets: (n, …) on the model's device.
        chunk_size: Samples in one pass; None for all at once.
        reduction: Whether the loss is a mean or a sum over the samples, which decides how chunks are added up. A loss
            that weights, masks or ignores samples is no plain mean. With several chunks, let it return the sum, divided
            by a constant of your choice, and pass "sum".

    Returns:
        `PerceptronHessian` for the cross-entropy of a multilayer perceptron with class labels, otherwise
        `DoubleBackwardHessian`, which is the same matrix up to rounding. Torch's cross-entropies, ``logsigmoid`` and
        ``softplus`` keep their digits where they are small. Other losses are refused in float32 if they lose digits.

    Raises:
        ValueError: If inputs, targets and parameters do not fit each other, or there are none; a parameter is frozen,
            or not float32 or float64; the network or the loss fails; torch finds no derivative with respect to a
            parameter that matters; or the result would depend on ``chunk_size``.
        TypeError: If the model is no module, or inputs or targets are no tensors.
        FloatingPointError: If the loss is not finite, or second derivatives lose their digits in float32.

    Warns:
        UserWarning: If dropout or batch norm is in training mode, or the loss differs each time.
    """
    check_sample(inputs, targets)
    model = unwrapped(model)
    check_model(model)
    is_plain = reduction == "mean" and is_cross_entropy(loss) and are_labels(targets)
    if is_plain and is_perceptron(model) and fits_perceptron(model, inputs):
        return PerceptronHessian(model, inputs, targets, chunk_size)
    return DoubleBackwardHessian(model, loss, inputs, targets, chunk_size, reduction)

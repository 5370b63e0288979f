"""The Hessian operator that fits a network best."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from eigendrift.eigenpairs.hessian import DoubleBackwardHessian, Loss
from eigendrift.eigenpairs.perceptron import PerceptronHessian, fits_perceptron, is_perceptron


def hessian_operator(
    model: nn.Module,
    loss: Loss,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    chunk_size: int | None = None,
) -> DoubleBackwardHessian | PerceptronHessian:
    """Return the Hessian of the mean loss over a fixed sample, as fast as the network allows.

    Args:
        model: Network in the mode, on the device and in the dtype that its Hessian is wanted for.
        loss: Mean-reduced loss of outputs and targets, such as ``torch.nn.functional.cross_entropy``.
        inputs: (n, …) on the model's device.
        targets: (n, …) on the model's device.
        chunk_size: Samples that one pass works on; None for all at once.

    Returns:
        `PerceptronHessian` for the cross-entropy of a multilayer perceptron with class labels, otherwise
        `DoubleBackwardHessian`: the same matrix, to rounding.
    """
    if loss is cross_entropy and is_perceptron(model) and fits_perceptron(model, inputs, targets):
        return PerceptronHessian(model, inputs, targets, chunk_size)
    return DoubleBackwardHessian(model, loss, inputs, targets, chunk_size)

"""The Hessian operator that fits a network best."""

import torch
from torch import nn

from eigendrift.eigenpairs.hessian import DoubleBackwardHessian, Loss
from eigendrift.eigenpairs.layers import fits_perceptron, is_perceptron
from eigendrift.eigenpairs.perceptron import PerceptronHessian
from eigendrift.eigenpairs.softmax import are_labels, is_cross_entropy, mean_cross_entropy
from eigendrift.eigenpairs.symmetric import check_tensors


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
        `DoubleBackwardHessian`: the same matrix, to rounding. The cross-entropy with class labels, torch's
        function or module without options, keeps its digits where it is small; other losses have what they
        leave of them, which for a loss far below 1 may be few in float32.

    Raises:
        ValueError: Inputs, targets and parameters do not fit each other, or are none; a parameter is frozen
            or neither float32 nor float64; the loss is no single number or, with several chunks, no mean
            over the samples; ``chunk_size`` is below 1.
        TypeError: Inputs or targets are no tensors.
        RuntimeError: In ``torch.inference_mode``.
    """
    check_tensors(inputs, targets)
    if is_cross_entropy(loss) and are_labels(targets):
        if is_perceptron(model) and fits_perceptron(model, inputs):
            return PerceptronHessian(model, inputs, targets, chunk_size)
        loss = mean_cross_entropy
    return DoubleBackwardHessian(model, loss, inputs, targets, chunk_size)

"""Derivatives of the cross-entropy that stay exact where the loss is small.

Once a network is sure of a sample, all that its loss still does is in the small probabilities. Written down
as they are usually, both derivatives subtract numbers near 1 and leave the rounding of them: at a loss of
1e-6, in float32, that is a thousandth of the Hessian's largest eigenvalue.
"""

import torch


def output_errors(probabilities: torch.Tensor, labelled: torch.Tensor) -> torch.Tensor:
    """Return δ = p − y, the derivative of each sample's cross-entropy by the network's output.

    At the label it is minus the sum of the other probabilities, which is p − 1 without the subtraction.

    Args:
        probabilities: (…, classes, …), softmax of the output, classes in dimension 1.
        labelled: bool, of a shape that broadcasts with it; True at the labels.
    """
    others = probabilities.masked_fill(labelled, 0)
    return torch.where(labelled, -others.sum(1, keepdim=True), others)


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

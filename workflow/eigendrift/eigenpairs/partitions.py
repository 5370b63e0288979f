"""One sample in two partitions, which show whether a loss and its Hessian depend on the chunks."""

import math
from collections.abc import Iterator, Sequence

import torch

from eigendrift.eigenpairs.hessian import Chunk, Reduction
from eigendrift.eigenpairs.symmetric import length

# How far apart the losses of two partitions may be, relative to the loss. In float32, rounding was seen to
# separate losses by 2e-7 at most, and products by 8e-7.
CHUNK_TOLERANCE = {torch.float32: 2.0**-15, torch.float64: 2.0**-26}
PRODUCT_MARGIN = 10
# A network rounds as if its weights were off by so many roundings.
ROUNDINGS_OF_A_NETWORK = 10


def other_chunks(inputs: torch.Tensor, targets: torch.Tensor, size: int) -> Iterator[Chunk]:
    """Return a sample in another order, in chunks of another size and number, small where possible.

    Args:
        inputs: (n, …).
        targets: (n, …).
        size: Samples in a chunk, below n.
    """
    order = torch.randperm(len(inputs), device="cpu", generator=torch.Generator().manual_seed(0))
    for part in torch.split(order.to(inputs.device), other_chunk_size(len(inputs), size)):
        yield inputs[part], targets[part]


def other_chunk_size(samples: int, size: int) -> int:
    """Return a chunk size that differs from ``size``, as does the number of chunks.

    A loss may depend on either: a sum that is called a mean on the size, a weight penalty in a sum on the
    number.

    Args:
        samples: More than ``size``.
        size: Samples in a chunk.
    """
    number = math.ceil(samples / size)
    candidates = (max(2, size // 2), size + 1, samples)
    return next(other for other in candidates if other != size and math.ceil(samples / other) != number)


def rounding_of(length_of_weights: float, dtype: torch.dtype) -> float:
    """Return by how much the weights of a network would have to change to change it as rounding does."""
    return ROUNDINGS_OF_A_NETWORK * torch.finfo(dtype).eps * length_of_weights


def difference_of(
    losses: Sequence[float],
    others: Sequence[float],
    noise: float,
    product: torch.Tensor,
    other_product: torch.Tensor,
) -> str | None:
    """Return how the results of two partitions differ, or None if rounding explains it.

    Args:
        losses: Each chunk's share of the loss in one partition.
        others: The same in the other.
        noise: Rounding of the loss, which is most of a loss near zero.
        product: Product with the Hessian in one partition.
        other_product: The same in the other.
    """
    allowed = CHUNK_TOLERANCE[product.dtype]
    loss, other_loss = sum(losses), sum(others)
    if abs(loss - other_loss) > allowed * sum(map(abs, losses)) + noise:
        return f"the loss is {loss:.6g} in these chunks and {other_loss:.6g} in others"
    change = length(product - other_product)
    if change > PRODUCT_MARGIN * allowed * length(product):
        return f"a product changes by {change / length(product):.2g} of its length in other chunks"
    return None


def remedy_for(reduction: Reduction) -> str:
    """Return what to do about a loss that depends on the chunks."""
    if reduction == "sum":
        return (
            "if the loss is a mean, leave out reduction='sum'; if it adds something once, such as a weight "
            "penalty, which every chunk would add again, use a mean"
        )
    return "if the loss weights, masks or adds up samples, make it return a sum and pass reduction='sum'"

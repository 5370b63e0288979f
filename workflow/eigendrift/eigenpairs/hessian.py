"""The Hessian of a loss over a fixed sample, known by its exact products with vectors."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from threading import Lock
from typing import Generic, Literal, TypeAlias, TypeVar, get_args

import torch
from torch import nn

from eigendrift.eigenpairs.network_checks import check_model, check_sample
from eigendrift.eigenpairs.symmetric import rows_of, whole_number
from eigendrift.numerics import full_precision

Reduction: TypeAlias = Literal["mean", "sum"]
Chunk: TypeAlias = tuple[torch.Tensor, torch.Tensor]
Prepared = TypeVar("Prepared")


class HessianOperator(ABC, Generic[Prepared]):
    r"""The Hessian of a loss over a fixed sample.

    .. math::  H = \frac{1}{n} \sum_{i=1}^{n} \nabla^2_\theta \, \ell(f_\theta(x_i), y_i)

    for the N parameters in ``model.parameters()`` order, at their values when the operator is made, of which it keeps a
    copy. Inputs and targets are not copied and must not change while the operator is in use. For a loss that is a sum
    over the samples, the factor 1/n is missing.

    The sample is processed in chunks, whose Hessians are added up, so the result does not depend on the chunk size. One
    chunk determines the memory beyond the sample. What a product needs besides the vector is prepared once if one chunk
    holds the whole sample, otherwise again for every chunk. Products in several threads wait for each other.

    Attributes:
        size: N, the number of parameters.
        device: Where vectors must be.
        dtype: Dtype that vectors must have.
    """

    # Makes `numpy_vector @ operator` a TypeError; NumPy's own message would be about dimensions.
    __array_ufunc__ = None

    def __init__(
        self,
        model: nn.Module,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        chunk_size: int | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        """Prepare the operator.

        Args:
            model: Network in the mode, in the dtype and on the device for its Hessian.
            inputs: (n, …) on the model's device.
            targets: (n, …) on the model's device.
            chunk_size: Samples in one pass; None for all at once.
            reduction: Whether the loss is a mean or a sum over the samples.

        Raises:
            ValueError: If inputs and targets differ in length or are empty, ``chunk_size`` or ``reduction`` is invalid,
                or the model is refused by `check_model`.
            TypeError: If the model is no module, or inputs or targets are no tensors.
        """
        check_sample(inputs, targets)
        chunk = len(inputs) if chunk_size is None else whole_number("chunk_size", chunk_size)
        if chunk < 1:
            raise ValueError(f"chunk_size is {chunk}, expected at least 1, or None")
        if reduction not in get_args(Reduction):
            raise ValueError(f"reduction is {reduction!r}, expected 'mean' or 'sum'")
        check_model(model)
        first = next(model.parameters())
        self.device, self.dtype = first.device, first.dtype
        self.size = sum(parameter.numel() for parameter in model.parameters())
        self._alone = Lock()
        self._reduction = reduction
        self._samples = len(inputs)
        self._sample: Chunk = _constant(inputs), _constant(targets)
        self._chunks: list[Chunk] = list(zip(*(torch.split(part, chunk) for part in self._sample), strict=True))
        with self._working():
            self._kept = self._prepared_chunk(0) if len(self._chunks) == 1 else None

    @full_precision()
    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return Hv for a vector (N,), or the products (b, N) with each of b rows (b, N).

        Raises:
            TypeError: If the vectors are no tensor.
            ValueError: If the vectors are not of the operator's size, dtype and device, or the network has no second
                derivatives.
        """
        block = _constant(rows_of(vectors, self))
        if not len(block):
            return torch.empty_like(block).view(vectors.shape)
        with self._working():
            if self._kept is not None:
                if self._is_outdated(self._kept):
                    self._kept = self._prepared_chunk(0)
                return self._products(self._kept, block).view(vectors.shape)
            total = torch.zeros_like(block)
            for index, (inputs, _) in enumerate(self._chunks):
                products = self._products(self._prepared_chunk(index), block)
                total.add_(products, alpha=self._share(len(inputs)))
            return total.view(vectors.shape)

    def _prepared_chunk(self, index: int) -> Prepared:
        """Return what products over a chunk of the sample need besides the vectors."""
        return self._prepare(*self._chunks[index])

    def _share(self, samples: int) -> float:
        """Return the weight of a chunk with so many samples."""
        return samples / self._samples if self._reduction == "mean" else 1.0

    def _working(self) -> AbstractContextManager[object]:
        """Return the context in which the operator prepares and multiplies."""
        return self._alone

    def _is_outdated(self, prepared: Prepared) -> bool:
        """Return whether what was prepared can no longer be used."""
        return False

    @abstractmethod
    def _prepare(self, inputs: torch.Tensor, targets: torch.Tensor) -> Prepared:
        """Compute what the products over one chunk need besides the vectors."""

    @abstractmethod
    def _products(self, prepared: Prepared, block: torch.Tensor) -> torch.Tensor:
        """Return the products (b, N) of the loss over one chunk with b rows (b, N)."""


def _constant(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor without its graph, for use in derivatives."""
    needs_gradient = tensor.requires_grad and tensor.is_leaf
    # Tensors from torch.inference_mode cannot be part of a graph.
    constant = tensor.clone() if tensor.is_inference() else tensor.detach()
    return constant.requires_grad_(needs_gradient)

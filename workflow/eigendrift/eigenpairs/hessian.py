"""Exact products of the Hessian of a mean loss with vectors."""

from collections.abc import Callable

import torch
from torch import nn

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class HessianOperator:
    r"""The Hessian of the mean loss over a fixed sample, known by its products.

    .. math::  H = \frac{1}{n} \sum_{i=1}^{n} \nabla^2_\theta \, \ell(f_\theta(x_i), y_i)

    for the N parameters in ``model.parameters()`` order. The product is exact (Pearlmutter 1994): it
    differentiates :math:`\langle \nabla L, v \rangle` once more. The sample is worked on in chunks, each
    weighted by its share of the sample, so the result does not depend on the chunk size. If one chunk holds
    the whole sample, its gradient's graph is kept and every product costs one backward pass.

    Attributes:
        size: N, the number of parameters.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        chunk_size: int | None = None,
    ) -> None:
        """Prepare the operator.

        Args:
            model: Network in the mode, on the device and in the dtype that its Hessian is wanted for.
            loss: Mean-reduced loss of outputs and targets, such as ``torch.nn.functional.cross_entropy``.
            inputs: (n, …) on the model's device.
            targets: (n, …) on the model's device.
            chunk_size: Samples that one pass works on; None for all at once.
        """
        self._model = model
        self._loss = loss
        self._parameters = list(model.parameters())
        chunk = len(inputs) if chunk_size is None else chunk_size
        self._chunks = list(zip(torch.split(inputs, chunk), torch.split(targets, chunk), strict=True))
        self._samples = len(inputs)
        self._kept = self._gradient(*self._chunks[0]) if len(self._chunks) == 1 else None
        self.size = sum(parameter.numel() for parameter in self._parameters)

    @property
    def device(self) -> torch.device:
        """Where vectors must be."""
        return self._parameters[0].device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype that vectors must have."""
        return self._parameters[0].dtype

    def __matmul__(self, vector: torch.Tensor) -> torch.Tensor:
        """Return Hv for a vector (N,) on the model's device and in its dtype."""
        if self._kept is not None:
            return self._differentiate(self._kept, vector, keep=True)
        total = torch.zeros_like(vector)
        for inputs, targets in self._chunks:
            product = self._differentiate(self._gradient(inputs, targets), vector, keep=False)
            total.add_(product, alpha=len(inputs) / self._samples)
        return total

    def _gradient(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        loss = self._loss(self._model(inputs), targets)
        gradients = torch.autograd.grad(loss, self._parameters, create_graph=True)
        return torch.cat([gradient.flatten() for gradient in gradients])

    def _differentiate(self, gradient: torch.Tensor, vector: torch.Tensor, *, keep: bool) -> torch.Tensor:
        products = torch.autograd.grad(
            gradient, self._parameters, vector, retain_graph=keep, materialize_grads=True
        )
        return torch.cat([product.flatten() for product in products])

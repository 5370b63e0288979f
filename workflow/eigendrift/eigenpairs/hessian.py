"""The Hessian of a mean loss, known by its exact products with vectors."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from eigendrift.eigenpairs.symmetric import rows_of

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Prepared = TypeVar("Prepared")


class HessianOperator(ABC, Generic[Prepared]):
    r"""The Hessian of the mean loss over a fixed sample.

    .. math::  H = \frac{1}{n} \sum_{i=1}^{n} \nabla^2_\theta \, \ell(f_\theta(x_i), y_i)

    for the N parameters in ``model.parameters()`` order. They must not change while the operator is in use;
    products refuse to go on once they have. The sample is worked on in chunks, each weighted by its share of
    the sample, so the result does not depend on the chunk size if the loss is the mean of what each sample
    has by itself (it is not with ignored or weighted classes, or with batch normalization in training mode).
    Memory beyond the sample itself is that of one chunk. What a product needs besides the vector is prepared
    once if one chunk holds the whole sample, otherwise anew for every chunk.

    Attributes:
        size: N, the number of parameters.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        chunk_size: int | None = None,
    ) -> None:
        """Prepare the operator.

        Args:
            model: Network in the mode, on the device and in the dtype that its Hessian is wanted for.
            inputs: (n, …) on the model's device.
            targets: (n, …) on the model's device.
            chunk_size: Samples that one pass works on; None for all at once.

        Raises:
            ValueError: Inputs and targets differ in length, or there are none; a chunk holds no sample; or
                a parameter is frozen or neither float32 nor float64.
        """
        if not len(inputs) == len(targets) > 0:
            raise ValueError(f"{len(inputs)} inputs and {len(targets)} targets, expected as many of each")
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size is {chunk_size}, expected at least 1, or None")
        frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
        if frozen:
            raise ValueError(f"parameter '{frozen[0]}' does not require a gradient, expected all of them to")
        for name, parameter in model.named_parameters():
            # Shorter ones leave too few digits for residuals, let alone for second derivatives.
            if parameter.dtype not in (torch.float32, torch.float64):
                raise ValueError(
                    f"parameter '{name}' is {parameter.dtype}, expected float32 or float64; convert the "
                    "network and its inputs with .float()"
                )
        self._parameters = list(model.parameters())
        self.size = sum(parameter.numel() for parameter in self._parameters)
        chunk = len(inputs) if chunk_size is None else chunk_size
        self._state = self._state_of_parameters()
        self._chunks = list(zip(torch.split(inputs, chunk), torch.split(targets, chunk), strict=True))
        self._samples = len(inputs)
        self._kept = self._prepare(*self._chunks[0]) if len(self._chunks) == 1 else None

    @property
    def device(self) -> torch.device:
        """Where vectors must be."""
        return self._parameters[0].device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype that vectors must have."""
        return self._parameters[0].dtype

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return Hv for a vector (N,), or the products (b, N) with each of b rows (b, N).

        Raises:
            ValueError: The vectors are not of the operator's size, dtype and device.
            RuntimeError: The network's weights have changed since the operator was made.
        """
        block = rows_of(vectors, self)
        if self._state_of_parameters() != self._state:
            raise RuntimeError("the network's weights changed after its Hessian was prepared; make a new one")
        if not len(block):
            return torch.empty_like(vectors)
        if self._kept is not None:
            return self._products(self._kept, block).view_as(vectors)
        total = torch.zeros_like(block)
        for inputs, targets in self._chunks:
            products = self._products(self._prepare(inputs, targets), block)
            total.add_(products, alpha=len(inputs) / self._samples)
        return total.view_as(vectors)

    def _state_of_parameters(self) -> list[tuple[int, int]]:
        """Return what differs once parameters are replaced, or changed in a way that torch counts."""
        return [(parameter.data_ptr(), parameter._version) for parameter in self._parameters]

    @abstractmethod
    def _prepare(self, inputs: torch.Tensor, targets: torch.Tensor) -> Prepared:
        """Compute what the products over one chunk need besides the vectors."""

    @abstractmethod
    def _products(self, prepared: Prepared, block: torch.Tensor) -> torch.Tensor:
        """Return the products (b, N) of the mean loss over one chunk with b rows (b, N)."""


class DoubleBackwardHessian(HessianOperator[torch.Tensor]):
    r"""The Hessian of any network and any mean loss.

    Differentiates :math:`\langle \nabla L, v \rangle` once more (Pearlmutter 1994); what is prepared is the
    gradient with its graph. It is as right as torch's second derivatives: those of ``weight_norm`` over one
    dimension, for one, are not symmetric.
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
        super().__init__(model, inputs, targets, chunk_size)

    @torch.enable_grad()
    def _prepare(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        # The other implementations of attention have no second derivative.
        with sdpa_kernel(SDPBackend.MATH):
            loss = self._loss(self._model(inputs), targets)
            gradients = torch.autograd.grad(loss, self._parameters, create_graph=True, materialize_grads=True)
        return torch.cat([gradient.flatten() for gradient in gradients])

    def _products(self, prepared: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
        products = torch.empty_like(block)
        for vector, product in zip(block, products, strict=True):
            parts = torch.autograd.grad(
                prepared, self._parameters, vector, retain_graph=True, materialize_grads=True
            )
            torch.cat([part.flatten() for part in parts], out=product)
        return products

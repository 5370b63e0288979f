"""The Hessian of a mean loss, known by its exact products with vectors."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Generic, TypeVar

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from eigendrift.eigenpairs.request import whole_number
from eigendrift.eigenpairs.symmetric import check_lengths, rows_of

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Prepared = TypeVar("Prepared")


class HessianOperator(ABC, Generic[Prepared]):
    r"""The Hessian of the mean loss over a fixed sample.

    .. math::  H = \frac{1}{n} \sum_{i=1}^{n} \nabla^2_\theta \, \ell(f_\theta(x_i), y_i)

    for the N parameters in ``model.parameters()`` order, at the values that they have when the operator is
    made: it keeps a copy. Inputs and targets, which it does not copy, must not change while it is in use. The
    sample is worked on in chunks, each weighted by its share of the sample, so the result does not depend on
    the chunk size. Memory beyond the sample itself is that of one chunk. What a product needs besides the
    vector is prepared once if one chunk holds the whole sample, otherwise anew for every chunk. Products in
    several threads wait for each other.

    Attributes:
        size: N, the number of parameters.
        device: Where vectors must be.
        dtype: Dtype that vectors must have.
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
                a parameter is frozen or neither float32 nor float64, or there is none.
            TypeError: Inputs or targets are no tensors.
            RuntimeError: In ``torch.inference_mode``.
        """
        check_lengths(inputs, targets)
        chunk = len(inputs) if chunk_size is None else whole_number("chunk_size", chunk_size)
        if chunk < 1:
            raise ValueError(f"chunk_size is {chunk}, expected at least 1, or None")
        _check_parameters(dict(model.named_parameters()))
        _refuse_inference_mode()
        first = next(model.parameters())
        self.device, self.dtype = first.device, first.dtype
        self.size = sum(parameter.numel() for parameter in model.parameters())
        self._alone = Lock()
        self._chunks = list(zip(torch.split(inputs, chunk), torch.split(targets, chunk), strict=True))
        self._samples = len(inputs)
        self._kept = self._prepare(*self._chunks[0]) if len(self._chunks) == 1 else None

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return Hv for a vector (N,), or the products (b, N) with each of b rows (b, N).

        Raises:
            ValueError: The vectors are not of the operator's size, dtype and device.
            RuntimeError: In ``torch.inference_mode``, if there are several chunks.
        """
        block = rows_of(vectors, self)
        if not len(block):
            return torch.empty_like(vectors)
        with self._alone:
            if self._kept is not None:
                return self._products(self._kept, block).view_as(vectors)
            _refuse_inference_mode()
            total = torch.zeros_like(block)
            for inputs, targets in self._chunks:
                products = self._products(self._prepare(inputs, targets), block)
                total.add_(products, alpha=len(inputs) / self._samples)
            return total.view_as(vectors)

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
    dimension, for one, are not symmetric. What the network draws at random, such as dropout in training mode,
    is drawn once.
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

        Raises:
            ValueError: The loss is no single number; or, with several chunks, it is not the mean of what each
                sample has by itself, as with a sum, with ignored or weighted classes, or with batch
                normalization or dropout in training mode; or as `HessianOperator`.
        """
        self._model = model
        self._loss = loss
        self._weights = {name: _copy(parameter) for name, parameter in model.named_parameters()}
        self._buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        super().__init__(model, inputs, targets, chunk_size)
        if len(self._chunks) > 1:
            for chunk in self._chunks:
                self._check_mean(*chunk)

    @torch.no_grad()
    def _check_mean(self, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        """Hold the loss of a chunk against those of its halves."""
        samples = len(inputs)
        if samples == 1:
            return
        whole = self._loss_of(inputs, targets).double()
        halves = zip(inputs.tensor_split(2), targets.tensor_split(2), strict=True)
        mean = torch.stack([len(half[0]) / samples * self._loss_of(*half).double() for half in halves]).sum()
        rounding = torch.finfo(self.dtype).eps ** 0.5
        if not torch.allclose(whole, mean, rtol=rounding, equal_nan=True):
            raise ValueError(
                f"the loss of {samples} samples is {whole.item():.6g}, and {mean.item():.6g} as the mean of "
                "its halves, expected the same, because chunks are weighted by their size; use a mean over "
                "the samples, without ignored or weighted classes, and model.eval(), or no chunk_size"
            )

    def _loss_of(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        # The other implementations of attention have no second derivative.
        with sdpa_kernel(SDPBackend.MATH):
            outputs = functional_call(self._model, (self._weights, self._buffers), inputs)
            loss = self._loss(outputs, targets)
        if not isinstance(loss, torch.Tensor):
            raise ValueError(
                f"the loss is a {type(loss).__name__}, expected the mean over the samples, a tensor"
            )
        if loss.numel() != 1:
            raise ValueError(f"the loss has shape {tuple(loss.shape)}, expected the mean over the samples")
        return loss.reshape(())

    @torch.enable_grad()
    def _prepare(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        loss = self._loss_of(inputs, targets)
        weights = list(self._weights.values())
        gradients = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True)
        return torch.cat([gradient.flatten() for gradient in gradients])

    def _products(self, prepared: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
        weights = list(self._weights.values())
        if not prepared.requires_grad:  # The loss is linear in the weights.
            return torch.zeros_like(block)
        products = torch.empty_like(block)
        for vector, product in zip(block, products, strict=True):
            parts = torch.autograd.grad(prepared, weights, vector, retain_graph=True, materialize_grads=True)
            torch.cat([part.flatten() for part in parts], out=product)
        return products


def _copy(parameter: nn.Parameter) -> torch.Tensor:
    return parameter.detach().clone().requires_grad_(parameter.requires_grad)


def _check_parameters(parameters: Mapping[str, nn.Parameter]) -> None:
    if not parameters:
        raise ValueError("the network has no parameters, expected some to take the Hessian by")
    for name, parameter in parameters.items():
        if not parameter.requires_grad:
            raise ValueError(f"parameter '{name}' does not require a gradient, expected all of them to")
        # Shorter ones leave too few digits for residuals, let alone for second derivatives.
        if parameter.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"parameter '{name}' is {parameter.dtype}, expected float32 or float64; convert the "
                "network and its inputs with .float()"
            )


def _refuse_inference_mode() -> None:
    if torch.is_inference_mode_enabled():
        raise RuntimeError("there are no derivatives in torch.inference_mode; use torch.no_grad instead")

"""The Hessian of any network and any loss, by differentiating twice."""

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from eigendrift.eigenpairs.derivative_checks import (
    Float64,
    check_operations,
    check_product,
    check_reach,
    other_chunk_size,
    varies,
)
from eigendrift.eigenpairs.hessian import Chunk, HessianOperator, Reduction
from eigendrift.eigenpairs.losses import ExactDerivatives
from eigendrift.eigenpairs.network_checks import Loss, check_model, explained, in_training_mode, loss_of, unwrapped
from eigendrift.eigenpairs.snapshot import Snapshot
from eigendrift.eigenpairs.symmetric import length, standard_normal
from eigendrift.errors import warn
from eigendrift.numerics import full_precision, seeded

# A product in float32 may differ from the same product in float64 by as much as one of the compared samples, which may
# cross a kink of the network. Rounding alone was seen to change products by at most 7e-5.
SAMPLES_FOR_DIGITS = 500
CHANGED_IN_PLACE = (
    "the inputs, the targets or something else that the network or the loss reads has changed since the "
    "operator was made; make a new operator"
)
# How far the losses of two partitions may differ, relative to the loss. In float32, rounding was seen to change losses
# by at most 2e-7, and products by at most 8e-7.
CHUNK_TOLERANCE = {torch.float32: 2.0**-15, torch.float64: 2.0**-26}
# What to do about a loss that depends on the chunks.
REMEDIES: dict[Reduction, str] = {
    "mean": "if the loss weights, masks or adds up samples, make it return a sum and pass reduction='sum'",
    "sum": (
        "if the loss is a mean, leave out reduction='sum'; if it adds something once, such as a weight "
        "penalty, use a mean, because every chunk would add the penalty again"
    ),
}


@dataclass(frozen=True)
class _Gradient:
    """The gradient of the loss over one chunk, ready to be differentiated again.

    Attributes:
        flat: (N,), with its graph.
        loss: The loss, without a graph.
        state: State of the parameters when the gradient was computed, see `Snapshot.state`.
    """

    flat: torch.Tensor
    loss: torch.Tensor
    state: list[object]


class DoubleBackwardHessian(HessianOperator[_Gradient]):
    r"""The Hessian of any network and any loss.

    Differentiates :math:`\langle \nabla L, v \rangle` once more (Pearlmutter 1994), from a prepared gradient with its
    graph. The Hessian is only as accurate as torch's second derivatives. The module `losses` replaces those that are
    known to be wrong or to lose digits. When the operator is made in float32, a product is compared with the same
    product in float64.

    The operator differentiates with respect to the network's own parameters, which hold the operator's values during a
    product. Anything that reads the parameters therefore counts: the loss, as with a weight penalty, and code that runs
    during the backward pass, as with activation checkpointing. A network that draws random numbers draws the same
    numbers for each product.
    """

    @full_precision()
    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        chunk_size: int | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        """Prepare the operator; the arguments are those of `hessian_operator`.

        Raises:
            ValueError: If the network or the loss fails or changes parameters or inputs in place, the loss is not a
                single number, torch finds no derivative with respect to a parameter that matters, or the result would
                depend on the chunks; or as `HessianOperator`.
            TypeError: If the loss cannot be called; or as `HessianOperator`.
            FloatingPointError: If the loss is not finite, or second derivatives lose their digits in float32.
        """
        self._model, self._loss = unwrapped(model), loss
        check_model(self._model)
        if not callable(loss):
            raise TypeError(f"the loss is a {type(loss).__name__}, expected a function of outputs and targets")
        self._snapshot = Snapshot(self._model, loss)
        self._is_reach_checked = self._are_derivatives_checked = False
        # Each chunk's share of the loss when the operator was made.
        self._losses: list[float] = []
        super().__init__(self._model, inputs, targets, chunk_size, reduction)
        with self._working():
            doubts = self._doubts()
        self._snapshot.check_unchanged()
        with self._working():
            if self._kept is not None:
                self._losses = [self._kept.loss.item()]
            else:
                self._check_chunks(doubts)
            # In float64, random draws would be different.
            if self.dtype == torch.float32 and not doubts:
                self._check_digits()
        if doubts:
            warn(doubts)

    @contextmanager
    def _working(self) -> Iterator[None]:
        # Around backward passes as well, which run the network again if it has activation checkpoints.
        with (
            self._snapshot.restored(),
            _twice_differentiable(self._model),
            ExactDerivatives(),
            seeded(0, [next(iter(self._snapshot.parameters.values())).device]),
        ):
            yield

    def _is_outdated(self, prepared: _Gradient) -> bool:
        return prepared.state != self._snapshot.state()

    def _prepared_chunk(self, index: int) -> _Gradient:
        prepared = super()._prepared_chunk(index)
        loss = self._share(len(self._chunks[index][0])) * prepared.loss.item()
        before = self._losses[index] if self._losses else loss
        if abs(loss - before) > CHUNK_TOLERANCE[self.dtype] * abs(before):
            raise ValueError(CHANGED_IN_PLACE)
        return prepared

    def _prepare(self, inputs: torch.Tensor, targets: torch.Tensor) -> _Gradient:
        loss = self._loss_of(inputs, targets)
        parameters = self._snapshot.parameters
        values = list(parameters.values())
        with explained("the loss cannot be differentiated by the parameters"):
            parts = torch.autograd.grad(loss, values, create_graph=True, allow_unused=True)
        if not self._is_reach_checked:
            self._is_reach_checked = True
            check_reach("the loss", parts, parameters, lambda: self._loss_of(inputs, targets))
        return _Gradient(torch.cat(_filled(parts, values)), loss.detach(), self._snapshot.state())

    def _products(self, prepared: _Gradient, block: torch.Tensor) -> torch.Tensor:
        products = torch.zeros_like(block)
        parameters = list(self._snapshot.parameters.values())
        for vector, product in zip(block, products, strict=True):
            parts: Sequence[torch.Tensor | None] = [None] * len(parameters)
            if prepared.flat.requires_grad:
                with explained("the network has no second derivatives", was_changed=CHANGED_IN_PLACE):
                    parts = torch.autograd.grad(prepared.flat, parameters, vector, retain_graph=True, allow_unused=True)
            if not self._are_derivatives_checked:
                self._are_derivatives_checked = True
                self._check_derivatives(prepared, parts)
            torch.cat(_filled(parts, parameters), out=product)
        return products

    def _loss_of(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of samples, a single finite number with its graph."""
        return loss_of(self._model, self._loss, inputs, targets)

    def _doubts(self) -> str | None:
        """Return a warning if the Hessian is not that of the network in evaluation mode."""
        if culprit := in_training_mode(self._model):
            return (
                f"{culprit} is in training mode, so the Hessian is that of one random draw, or of samples "
                "that depend on each other through batch norm; call model.eval() first"
            )
        if varies(self._snapshot.parameters, lambda: self._loss_of(*self._chunks[0])):
            return (
                "the loss differs each time it is computed, so the Hessian is that of one random draw or one "
                "state; call model.eval() first, and remove random draws and counters from network and loss"
            )
        return None

    def _check_derivatives(self, gradient: _Gradient, parts: Sequence[torch.Tensor | None]) -> None:
        """Check second derivatives once, given those of the first product."""
        parameters = self._snapshot.parameters
        check_reach("the gradient", parts, parameters, lambda: self._prepare(*self._chunks[0]).flat)
        if functions := check_operations(gradient.flat):
            # Few samples, because some of many would cross a kink at any step of the differences.
            few = self._few(8)
            direction = standard_normal(self, torch.Generator().manual_seed(0))
            direction *= self._length_of_weights() / length(direction)
            product = self._products(self._prepare(*few), direction[None])[0]
            check_product(functions, lambda: self._prepare(*few).flat, product, direction, parameters)

    def _check_chunks(self, doubts: str | None) -> None:
        """Compare the loss and a product over the chunks with the same over other chunks of the sample.

        Raises:
            ValueError: If they differ.
        """
        probe = standard_normal(self, torch.Generator().manual_seed(0))[None]
        inputs, targets = self._sample
        order = torch.randperm(len(inputs), device="cpu", generator=torch.Generator().manual_seed(0))
        parts = torch.split(order.to(inputs.device), other_chunk_size(len(inputs), len(self._chunks[0][0])))
        self._losses, gradient, product = self._measured(self._chunks, probe)
        others, _, other_product = self._measured(((inputs[part], targets[part]) for part in parts), probe)
        # A network rounds as if its weights were off by ten roundings, which matters for a loss near zero.
        nudge = 10 * torch.finfo(self.dtype).eps * self._length_of_weights()
        noise = nudge * length(gradient) + nudge**2 * length(product)
        allowed = CHUNK_TOLERANCE[self.dtype]
        loss, other_loss, change = sum(self._losses), sum(others), length(product - other_product)
        if abs(loss - other_loss) > allowed * sum(map(abs, self._losses)) + noise:
            difference = f"the loss is {loss:.6g} in these chunks and {other_loss:.6g} in others"
        elif change > 10 * allowed * length(product):
            difference = f"a product changes by {change / length(product):.2g} of its length in other chunks"
        else:
            return
        raise ValueError(
            f"the Hessian depends on how the sample is cut into chunks: {difference}; "
            f"{doubts or REMEDIES[self._reduction]}, or leave out chunk_size"
        )

    def _measured(self, chunks: Iterable[Chunk], probe: torch.Tensor) -> tuple[list[float], torch.Tensor, torch.Tensor]:
        """Return each chunk's share of the loss, the gradient of the loss (N,), and a product (1, N)."""
        losses: list[float] = []
        gradient, product = torch.zeros_like(probe[0]), torch.zeros_like(probe)
        for inputs, targets in chunks:
            prepared, share = self._prepare(inputs, targets), self._share(len(inputs))
            losses.append(share * prepared.loss.item())
            gradient.add_(prepared.flat.detach(), alpha=share)
            product.add_(self._products(prepared, probe), alpha=share)
        return losses, gradient, product

    def _check_digits(self) -> None:
        """Compare a product with the same product in float64, over few samples and, if they differ, over all.

        Raises:
            FloatingPointError: If they differ over all samples, because too many digits are lost.
        """
        probe = standard_normal(self, torch.Generator().manual_seed(0))[None]
        for chunks in ([self._few(SAMPLES_FOR_DIGITS)], self._chunks):
            *_, narrow = self._measured(chunks, probe)
            try:
                with Float64():
                    *_, wide = self._measured(chunks, probe)
            except ValueError:
                # The network or the loss needs float32.
                return
            difference, size = length(narrow - wide), max(length(wide), sys.float_info.min)
            if difference <= 1 / SAMPLES_FOR_DIGITS * size:
                return
        raise FloatingPointError(
            "the second derivatives lose their digits in float32: a product differs by "
            f"{difference / size:.2g} of its length from the same in float64; convert network, inputs and "
            "targets with .double()"
        )

    def _few(self, count: int) -> Chunk:
        """Return the first samples, or the first chunk if the loss fails on fewer samples."""
        inputs, targets = self._chunks[0]
        few = inputs[:count], targets[:count]
        try:
            self._prepare(*few)
        except ValueError:
            few = inputs, targets
        return few

    def _length_of_weights(self) -> float:
        return math.hypot(*(length(value) for value in self._snapshot.values))


@contextmanager
def _twice_differentiable(model: nn.Module) -> Iterator[None]:
    """Make torch choose implementations that have second derivatives."""
    with ExitStack() as undo:
        undo.enter_context(sdpa_kernel(SDPBackend.MATH))
        if any(isinstance(module, nn.RNNBase) for module in model.modules()):
            undo.callback(setattr, torch.backends.cudnn, "enabled", torch.backends.cudnn.enabled)
            torch.backends.cudnn.enabled = False
        yield


def _filled(parts: Sequence[torch.Tensor | None], parameters: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return the flat derivatives by each parameter, zero where torch finds none."""
    return [
        (torch.zeros_like(parameter) if part is None else part).flatten()
        for part, parameter in zip(parts, parameters, strict=True)
    ]

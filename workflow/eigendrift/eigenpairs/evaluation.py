"""A network and its loss, evaluated on some samples, with a sentence about whatever fails."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from eigendrift.eigenpairs.hessian import Loss
from eigendrift.errors import first_line


def loss_of(model: nn.Module, loss: Loss, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the loss of a network on some samples, a single finite number () with its graph.

    Args:
        model: The network.
        loss: Function of outputs and targets.
        inputs: (n, …).
        targets: (n, …).

    Raises:
        ValueError: If the network or the loss fails or changes its inputs in place, or the loss is not a
            single number that depends differentiably on the parameters.
        FloatingPointError: If the loss is not finite.
    """
    versions = inputs._version, targets._version
    with explained(f"the network fails on inputs of shape {_shape(inputs)} in {inputs.dtype}"):
        outputs = model(inputs)
    kind, advice = f"outputs of shape {_shape(outputs)}", ""
    if not isinstance(outputs, torch.Tensor):
        kind = f"the network's output, a {type(outputs).__name__},"
        part = "o['logits']" if isinstance(outputs, Mapping) else "o.logits"
        part = "o[0]" if type(outputs) in (tuple, list) else part
        advice = f"; let the loss take a tensor out of it, as in lambda o, y: loss({part}, y)"
    with explained(f"the loss fails on {kind} and targets of shape {_shape(targets)}", advice):
        value = loss(outputs, targets)
    if (inputs._version, targets._version) != versions:
        raise ValueError(
            "the network or the loss changes its inputs in place, so every pass would see different inputs; "
            "make it work on a copy"
        )
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"the loss is a {type(value).__name__}, expected a tensor that holds one number")
    if value.numel() != 1:
        raise ValueError(
            f"the loss has shape {_shape(value)}, expected the mean over the samples, or their sum with "
            "reduction='sum'"
        )
    if not value.isfinite():
        raise FloatingPointError(f"the loss is {value.item()}, expected a finite number")
    if not value.requires_grad:
        raise ValueError(
            "the loss does not depend differentiably on the parameters; look for torch.no_grad, detach, item "
            "and numpy in the network and the loss"
        )
    return value.reshape(())


@contextmanager
def explained(what: str, advice: str = "", was_changed: str = "") -> Iterator[None]:
    """Say in a sentence what fails in code that is not the library's.

    Args:
        what: What fails.
        advice: What to do about it.
        was_changed: What to say if something that was kept for derivatives has been changed in place.

    Raises:
        ValueError: If it does.
    """
    try:
        yield
    except (torch.OutOfMemoryError, FloatingPointError):
        raise
    except Exception as error:
        if was_changed and "modified by an inplace operation" in first_line(error):
            raise ValueError(was_changed) from error
        raise ValueError(f"{what} ({first_line(error)}){advice}") from error


def _shape(value: object) -> object:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__

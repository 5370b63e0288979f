"""Networks, samples and losses: whether their Hessian can be computed, with a clear error if it cannot."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.parameter import is_lazy

from eigendrift.eigenpairs.symmetric import check_dtype_and_device, check_no_transform
from eigendrift.errors import first_line

Loss: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network inside the wrappers of ``torch.compile`` and data parallelism.

    Compiled code has no second derivative, and the wrappers only matter for training.
    """
    while isinstance(model, nn.Module):
        is_parallel = isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel)
        # Where the wrapper registers it. Other wrappers may pass on attributes of the wrapped network.
        inner = model._modules.get("module" if is_parallel else "_orig_mod")
        if inner is None:
            break
        model = inner
    return model


def check_model(model: nn.Module) -> None:
    """Check that a network has parameters by which its Hessian can be computed.

    Raises:
        TypeError: If the network is no module.
        ValueError: If there are no parameters, or they are frozen, of several dtypes or devices, or of a kind that has
            no second derivatives.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"the model is a {type(model).__name__}, expected a torch.nn.Module; turn a function into the "
            "forward method of a module with the parameters for the Hessian"
        )
    parameters = dict(model.named_parameters())
    if not parameters:
        raise ValueError("the network has no parameters, so there is no Hessian to compute")
    first_name, first = next(iter(parameters.items()))
    for name, parameter in parameters.items():
        _check_parameter(f"parameter '{name}'", parameter)
        if (parameter.dtype, parameter.device) != (first.dtype, first.device):
            raise ValueError(
                f"parameter '{name}' is {parameter.dtype} on {parameter.device}, and '{first_name}' "
                f"{first.dtype} on {first.device}, expected the same; convert the network with .to()"
            )
    for path, module in model.named_modules():
        name = f"module '{path}' ({type(module).__name__})"
        if isinstance(module, torch.jit.ScriptModule):
            raise ValueError(
                f"{name} is TorchScript, whose state cannot be exchanged; build the network from Python code and "
                "load its weights"
            )
        for attribute, unset, fault in (
            ("sparse", False, "has sparse gradients, which have no derivatives"),
            ("scale_grad_by_freq", False, "rescales its gradients, so they are not derivatives of the loss"),
            ("max_norm", None, "changes its weight in the forward pass"),
        ):
            if isinstance(module, nn.Embedding | nn.EmbeddingBag) and getattr(module, attribute) not in (False, None):
                raise ValueError(f"{name} {fault}; set its attribute {attribute} to {unset}")


def _check_parameter(name: str, parameter: nn.Parameter) -> None:
    if is_lazy(parameter):
        raise ValueError(f"{name} has no values yet; apply the network to a sample once")
    if type(parameter.data) is not torch.Tensor or parameter.layout != torch.strided:
        kind = f"{type(parameter.data).__name__} of layout {parameter.layout}"
        raise ValueError(f"{name} is a {kind}, expected a dense torch.Tensor; gather the whole network first")
    check_dtype_and_device(name, parameter.dtype, parameter.device)
    if not parameter.requires_grad:
        raise ValueError(f"{name} does not require a gradient, expected all of them to; call model.requires_grad_()")
    if parameter.is_inference():
        raise ValueError(
            f"{name} was made in torch.inference_mode, where nothing has derivatives; make the network, or "
            "load its weights, outside of it"
        )


def in_training_mode(model: nn.Module) -> str | None:
    """Return the module that makes a network behave differently in training; None if there is none."""
    for name, module in model.named_modules():
        if module.training and (
            isinstance(module, _BatchNorm)
            or (isinstance(module, _DropoutNd) and module.p > 0)
            or (isinstance(module, nn.RNNBase | nn.MultiheadAttention) and module.dropout > 0)
        ):
            return f"module '{name}' ({type(module).__name__})"
    return None


def check_sample(inputs: torch.Tensor, targets: torch.Tensor) -> None:
    """Check that a sample is dense tensors with as many targets as inputs, and at least one of each.

    Raises:
        TypeError: If one is no tensor.
        ValueError: If one is sparse, nested or a single number, the numbers of samples differ or are zero, or a
            transform of ``torch.func`` is active.
    """
    check_no_transform("make the operator outside")
    for name, given in (("inputs", inputs), ("targets", targets)):
        if not isinstance(given, torch.Tensor):
            found = type(given).__name__
            raise TypeError(
                f"{name} is a {found}, expected a torch.Tensor of all samples, such as "
                f"torch.as_tensor({name}), or torch.cat of a loader's batches; a network that takes several "
                "tensors must be wrapped in a module that takes one"
            )
        if given.is_nested or given.layout != torch.strided:
            kind = "nested" if given.is_nested else "sparse"
            advice = "torch.nested.to_padded_tensor" if given.is_nested else f"{name}.to_dense()"
            raise ValueError(f"{name} is a {kind} tensor, expected a dense one, such as {advice}")
        if not given.dim():
            raise ValueError(f"{name} is a single number, expected a tensor (n, …) of n samples")
    if not len(inputs) == len(targets) > 0:
        raise ValueError(
            f"{len(inputs)} inputs and {len(targets)} targets, expected equal numbers, at least one of each"
        )


def loss_of(model: nn.Module, loss: Loss, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the loss of a network on samples, a single finite number () with its graph.

    Args:
        model: The network.
        loss: Function of outputs and targets.
        inputs: (n, …).
        targets: (n, …).

    Raises:
        ValueError: If the network or the loss fails or changes its inputs in place, or the loss is not a single number
            that depends differentiably on the parameters.
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
        advice = f"; pass a loss that picks a tensor, such as lambda o, y: loss({part}, y)"
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
            f"the loss has shape {_shape(value)}, expected the mean over the samples, or their sum with reduction='sum'"
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
    """Turn an error in the user's code into a ValueError of one sentence.

    Args:
        what: What fails.
        advice: What to do about it.
        was_changed: The whole sentence if something that was kept for derivatives has changed in place.

    Raises:
        ValueError: If the code inside fails.
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

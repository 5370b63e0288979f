"""Checks that the Hessian of a network can be computed, with a clear error if it cannot."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.parameter import is_lazy

from eigendrift.eigenpairs.operator_checks import check_kind


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network inside what ``torch.compile`` or data parallelism wrap around it.

    Compiled code has no second derivative, and the wrappers' own work is for training.
    """
    while (inner := _inside(model)) is not None:
        model = inner
    return model


def _inside(model: object) -> nn.Module | None:
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        inner: nn.Module | None = model.module
    elif isinstance(model, nn.Module):
        # As torch.compile registers it. Other wrappers may have the attribute of what they wrap.
        inner = model._modules.get("_orig_mod")
    else:
        inner = None
    return inner


def check_model(model: nn.Module) -> None:
    """Check that a network has parameters that its Hessian can be taken by.

    Raises:
        TypeError: If it is no module.
        ValueError: If there are no parameters, or they are frozen, of several dtypes or devices, or of a kind
            that has no second derivatives.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"the model is a {type(model).__name__}, expected a torch.nn.Module, whose parameters the "
            "Hessian is by; make a function the forward method of a module"
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
    for name, module in model.named_modules():
        _check_module(f"module '{name}' ({type(module).__name__})", module)


def _check_module(name: str, module: nn.Module) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        raise ValueError(
            f"{name} is TorchScript, whose state cannot be exchanged; build the network from Python code and "
            "load its weights"
        )
    if not isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return
    for attribute, unset, fault in (
        ("sparse", False, "has sparse gradients, which have no derivatives"),
        ("scale_grad_by_freq", False, "rescales its gradients, so they are not derivatives of the loss"),
        ("max_norm", None, "changes its weight in the forward pass"),
    ):
        if getattr(module, attribute) not in (False, None):
            raise ValueError(f"{name} {fault}; set its attribute {attribute} to {unset}")


def _check_parameter(name: str, parameter: nn.Parameter) -> None:
    if is_lazy(parameter):
        raise ValueError(f"{name} has no values yet; apply the network to a sample once")
    if type(parameter.data) is not torch.Tensor or parameter.layout != torch.strided:
        kind = f"{type(parameter.data).__name__} of layout {parameter.layout}"
        raise ValueError(f"{name} is a {kind}, expected a dense torch.Tensor; gather the whole network first")
    check_kind(name, parameter.dtype, parameter.device)
    if not parameter.requires_grad:
        raise ValueError(
            f"{name} does not require a gradient, expected all of them to; call model.requires_grad_()"
        )
    if parameter.is_inference():
        raise ValueError(
            f"{name} was made in torch.inference_mode, where nothing has derivatives; make the network, or "
            "load its weights, outside of it"
        )


def in_training_mode(model: nn.Module) -> str | None:
    """Return what makes a network behave differently in training, such as dropout; None if nothing does."""
    for name, module in model.named_modules():
        if module.training and (
            isinstance(module, _BatchNorm)
            or (isinstance(module, _DropoutNd) and module.p > 0)
            or (isinstance(module, nn.RNNBase | nn.MultiheadAttention) and module.dropout > 0)
        ):
            return f"module '{name}' ({type(module).__name__})"
    return None

"""The state of a network and its loss at one moment, which can be restored while something is computed.

An operator must not follow a network that goes on training, so it keeps a copy of the weights. But it must
differentiate by the network's own parameters: the loss may read them, as a weight penalty does, and so may
whatever runs during the backward pass, as activation checkpointing does. So the operator works on the network
itself. It exchanges the current values for its own, and exchanges them back when it is done.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from threading import RLock
from typing import Any

import torch
from torch import nn

# Two operators of one network, or of two that share layers, must not exchange its values at the same time.
_ONE_AT_A_TIME = RLock()


class Snapshot:
    """The parameters, buffers, attributes and modes of a network and its loss, as they are at one moment.

    Attributes:
        parameters: The network's own parameters by name, in ``model.parameters()`` order.
        values: Their values.
    """

    def __init__(self, model: nn.Module, loss: object = None, values: nn.Module | None = None) -> None:
        """Copy values and modes.

        Args:
            model: The network.
            loss: The loss; if it is a module or the method of one, that module's state is kept as well.
            values: Network of the same architecture to copy parameters and buffers from; None for ``model``.
        """
        values = model if values is None else values
        self.parameters = dict(model.named_parameters())
        self.values = [parameter.detach().clone() for parameter in values.parameters()]
        sources = dict(zip(model.modules(), values.modules(), strict=True))
        others = [module for module in _modules_of(loss) if module not in sources]
        sources |= {module: module for module in others}
        self._attributes = {
            module: {**_copied(vars(module)), "_buffers": _cloned(source._buffers)}
            for module, source in sources.items()
        }
        # Parameters of the loss are constants of the network's Hessian.
        known = set(self.parameters.values())
        self._constants = {
            parameter: parameter.detach().clone()
            for module in others
            for parameter in module.parameters(recurse=False)
            if parameter not in known
        }
        self._spoilt: str | None = None

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Restore the saved state, and return to the current state on exit, even after an error.

        Raises:
            ValueError: If a parameter is changed in place meanwhile.
        """
        with _ONE_AT_A_TIME, ExitStack() as undo:
            self._check_values()
            for module, attributes in self._attributes.items():
                undo.callback(object.__setattr__, module, "__dict__", vars(module))
                # A copy, because a network may count its calls, or batch norm average over them.
                fresh = {**_copied(attributes), "_buffers": _cloned(attributes["_buffers"])}
                object.__setattr__(module, "__dict__", fresh)
            for parameter, value in self._exchanged():
                undo.callback(setattr, parameter, "data", parameter.data)
                parameter.data = value
            for parameter in self.parameters.values():
                undo.callback(parameter.requires_grad_, parameter.requires_grad)
                parameter.requires_grad_()
                # Hooks on parameters change gradients for the optimizer, such as by clipping.
                if hooks := parameter._backward_hooks:
                    undo.callback(setattr, parameter, "_backward_hooks", hooks)
                    parameter._backward_hooks = None
            versions = self._versions()
            try:
                yield
            finally:
                names = [f"'{name}'" for name in self.parameters] + ["of the loss"] * len(self._constants)
                changes = zip(names, versions, self._versions(), strict=True)
                self._spoilt = next((name for name, before, now in changes if before != now), None)
            self._check_values()

    def check_unchanged(self) -> None:
        """Check that the values are those of the network now, right after they were copied and used.

        Raises:
            ValueError: If the network or the loss has changed them.
        """
        for (name, parameter), value in zip(self.parameters.items(), self.values, strict=True):
            if not parameter.data.equal(value) and not parameter.data.isnan().any():
                self._spoilt = f"'{name}'"
        self._check_values()

    def state(self) -> list[object]:
        """Return what decides whether a graph of the parameters can still be used, while they are restored.

        A graph refers to a parameter by a node, which changes when the parameter is converted, and checks its
        version, which changes when it is updated in place. Neither depends on the parameter's current values.
        """
        parameters = self.parameters.values()
        nodes = [torch.autograd.graph.get_gradient_edge(parameter).node for parameter in parameters]
        return [*nodes, *self._versions()]

    def _exchanged(self) -> Iterator[tuple[nn.Parameter, torch.Tensor]]:
        yield from zip(self.parameters.values(), self.values, strict=True)
        yield from self._constants.items()

    def _versions(self) -> list[int]:
        return [parameter._version for parameter, _ in self._exchanged()]

    def _check_values(self) -> None:
        if self._spoilt is not None:
            raise ValueError(
                f"the network or the loss changes parameter {self._spoilt} in place, so every pass would use "
                "different values; make it work on a copy"
            )


def _modules_of(loss: object) -> list[nn.Module]:
    """Return the modules of a loss that is a module or a method of one."""
    owner = loss if isinstance(loss, nn.Module) else getattr(loss, "__self__", None)
    if not isinstance(owner, nn.Module):
        return []
    # Scripted modules have no attributes in Python.
    return [module for module in owner.modules() if not isinstance(module, torch.jit.ScriptModule)]


def _copied(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return attributes, with copies of dictionaries (of submodules, hooks, …), lists and sets."""
    return {
        name: copy(value) if type(value) in (dict, OrderedDict, list, set) else value
        for name, value in attributes.items()
    }


def _cloned(buffers: dict[str, torch.Tensor | None]) -> dict[str, torch.Tensor | None]:
    return {name: None if buffer is None else buffer.detach().clone() for name, buffer in buffers.items()}

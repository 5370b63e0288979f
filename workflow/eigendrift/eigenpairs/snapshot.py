"""The state of a network and its loss at one moment, which can be restored while something is computed.

An operator must not change while its network goes on training, so it keeps a copy of the weights. But it must
differentiate by the network's own parameters, because the loss and code that runs during the backward pass may read
them. So it swaps in its own values, and swaps the current values back when it is done.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from itertools import zip_longest
from threading import RLock
from typing import Any

import torch
from torch import nn

# Two operators of one network, or of networks that share layers, must not swap values at the same time.
_ONE_AT_A_TIME = RLock()


class Snapshot:
    """The parameters, buffers, attributes and modes of a network and its loss at one moment.

    Attributes:
        parameters: The network's own parameters by name, in ``model.parameters()`` order.
        values: The values of the parameters.
    """

    def __init__(self, model: nn.Module, loss: object = None, values: nn.Module | None = None) -> None:
        """Copy values and modes.

        Args:
            model: The network.
            loss: The loss. If it is a module or a module's method, the module's state is kept as well.
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
        constants = {
            parameter: parameter.detach().clone()
            for module in others
            for parameter in module.parameters(recurse=False)
            if parameter not in known
        }
        self._exchanged = [*zip(self.parameters.values(), self.values, strict=True), *constants.items()]
        self._spoilt: str | None = None

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Restore the saved state, and return to the current state on exit, even after an error.

        Raises:
            ValueError: If the network or the loss changes a parameter in place.
        """
        with _ONE_AT_A_TIME, ExitStack() as undo:
            self._check_values()
            for module, attributes in self._attributes.items():
                undo.callback(object.__setattr__, module, "__dict__", vars(module))
                # A copy, because a network may count its calls, and batch norm may average over calls.
                fresh = {**_copied(attributes), "_buffers": _cloned(attributes["_buffers"])}
                object.__setattr__(module, "__dict__", fresh)
            for parameter, value in self._exchanged:
                undo.callback(setattr, parameter, "data", parameter.data)
                parameter.data = value
            for parameter in self.parameters.values():
                undo.callback(parameter.requires_grad_, parameter.requires_grad)
                parameter.requires_grad_()
                # Hooks on parameters change gradients for the optimizer, for example by clipping.
                if hooks := parameter._backward_hooks:
                    undo.callback(setattr, parameter, "_backward_hooks", hooks)
                    parameter._backward_hooks = None
            versions = self._versions()
            try:
                yield
            finally:
                names = [f"'{name}'" for name in self.parameters]
                changes = zip_longest(names, versions, self._versions(), fillvalue="of the loss")
                self._spoilt = next((name for name, before, now in changes if before != now), None)
            self._check_values()

    def check_unchanged(self) -> None:
        """Check, after first use, that the network still has the same values.

        Raises:
            ValueError: If the network or the loss has changed them.
        """
        for (name, parameter), value in zip(self.parameters.items(), self.values, strict=True):
            if not parameter.data.equal(value) and not parameter.data.isnan().any():
                self._spoilt = f"'{name}'"
        self._check_values()

    def state(self) -> list[object]:
        """Return a state that changes when a graph of the restored parameters can no longer be used.

        A graph refers to a parameter by a node, which changes when the parameter is converted, and checks the
        parameter's version, which changes with updates in place. Neither depends on current values.
        """
        parameters = self.parameters.values()
        nodes = [torch.autograd.graph.get_gradient_edge(parameter).node for parameter in parameters]
        return [*nodes, *self._versions()]

    def _versions(self) -> list[int]:
        return [parameter._version for parameter, _ in self._exchanged]

    def _check_values(self) -> None:
        if self._spoilt is not None:
            raise ValueError(
                f"the network or the loss changes parameter {self._spoilt} in place, so every pass would use "
                "different values; make it work on a copy"
            )


def _modules_of(loss: object) -> list[nn.Module]:
    """Return the modules of a loss that is a module or a module's method; for other losses, none."""
    owner = loss if isinstance(loss, nn.Module) else getattr(loss, "__self__", None)
    if not isinstance(owner, nn.Module):
        return []
    # Scripted modules have no attributes in Python.
    return [module for module in owner.modules() if not isinstance(module, torch.jit.ScriptModule)]


def _copied(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return attributes with copies of dictionaries (of submodules, hooks, …), lists and sets."""
    return {
        name: copy(value) if type(value) in (dict, OrderedDict, list, set) else value
        for name, value in attributes.items()
    }


def _cloned(buffers: dict[str, torch.Tensor | None]) -> dict[str, torch.Tensor | None]:
    return {name: None if buffer is None else buffer.detach().clone() for name, buffer in buffers.items()}

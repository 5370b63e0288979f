"""The state of a network at one moment, which can be restored for as long as something is computed.

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

import torch
from torch import nn

# Two operators of one network, or of two that share layers, must not exchange its values at the same time.
_ONE_AT_A_TIME = RLock()


class Snapshot:
    """The parameters, buffers and modes of a network, as they are when this is made.

    Attributes:
        parameters: The network's own parameters by name, in ``model.parameters()`` order.
        values: Their values.
    """

    def __init__(self, model: nn.Module, values: nn.Module | None = None) -> None:
        """Copy values and modes.

        Args:
            model: The network.
            values: Network of the same architecture to copy parameters and buffers from; None for ``model``.
        """
        values = model if values is None else values
        self.parameters = dict(model.named_parameters())
        self.values = [parameter.detach().clone() for parameter in values.parameters()]
        self._modules = [
            (module, {**_attributes(module), "_buffers": _attributes(source)["_buffers"]})
            for module, source in zip(model.modules(), values.modules(), strict=True)
        ]

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Restore the state for a while, and return to the current one at the end, whatever happens."""
        with _ONE_AT_A_TIME, ExitStack() as undo:
            for module, attributes in self._modules:
                undo.callback(object.__setattr__, module, "__dict__", vars(module))
                object.__setattr__(module, "__dict__", attributes)
            for parameter, value in zip(self.parameters.values(), self.values, strict=True):
                undo.callback(setattr, parameter, "data", parameter.data)
                parameter.data = value
                undo.callback(parameter.requires_grad_, parameter.requires_grad)
                parameter.requires_grad_()
                # Hooks on parameters change gradients for the optimizer, such as by clipping.
                if hooks := parameter._backward_hooks:
                    undo.callback(setattr, parameter, "_backward_hooks", hooks)
                    parameter._backward_hooks = None
            yield

    def state(self) -> list[object]:
        """Return what decides whether a graph of the parameters can still be used, while they are restored.

        A graph refers to a parameter by a node, which changes when the parameter is converted, and checks its
        version, which changes when it is updated in place. Neither has to do with the values in it now.
        """
        parameters = list(self.parameters.values())
        nodes = [torch.autograd.graph.get_gradient_edge(parameter).node for parameter in parameters]
        return [*nodes, *(parameter._version for parameter in parameters)]


def _attributes(module: nn.Module) -> dict[str, object]:
    """Return a module's attributes, with copies of its dictionaries (of submodules, hooks, …) and buffers."""
    attributes = {
        name: copy(value) if type(value) in (dict, OrderedDict) else value
        for name, value in vars(module).items()
    }
    buffers = {
        name: None if buffer is None else buffer.detach().clone() for name, buffer in module._buffers.items()
    }
    return attributes | {"_buffers": buffers}

"""The same computation in float64, which shows how many digits float32 has left."""

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# Functions that need the tensors that they are given, and not copies of them.
IDENTITY_MATTERS = ("__get__", "__set__", "__delete__", "grad", "requires_grad_", "register_hook")


class Float64(TorchFunctionMode):
    """A scope in which functions of torch take float32 tensors as float64, and return float64.

    Derivatives by float32 tensors are rounded to float32 only where they reach these.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        """Call a function of torch in float64."""
        options = kwargs or {}
        name = getattr(function, "__name__", "")
        if name in IDENTITY_MATTERS:
            found = function(*args, **options)
            return torch.float64 if found is torch.float32 else found
        if name == "__setitem__" or (name.endswith("_") and not name.endswith("__")):
            # Changes the first tensor in place, which may be a buffer.
            return function(*args[:1], *_widened(args[1:]), **_widened(options))
        return _widened(function(*_widened(args), **_widened(options)))


def _widened(value: Any) -> Any:
    """Return a value with float64 in place of float32, in lists and dictionaries as well."""
    if isinstance(value, torch.Tensor):
        return value.double() if value.dtype == torch.float32 else value
    if value is torch.float32:
        return torch.float64
    if type(value) in (tuple, list):
        return type(value)(map(_widened, value))
    if type(value) is dict:
        return {key: _widened(part) for key, part in value.items()}
    return value

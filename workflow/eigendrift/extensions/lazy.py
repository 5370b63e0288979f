"""Functions that are imported when they are called, so that their names cost nothing."""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy(module: str, function: str) -> Callable[..., Any]:
    """Return a function that stands for one of another module.

    Whatever reads a declaration with it does not depend on what that module needs, neither at run time nor in
    the workflow, which looks for import statements. Who calls it has to import the module for that.

    Args:
        module: Name of the module.
        function: Name of the function in it.
    """

    def call(*arguments: Any, **keywords: Any) -> Any:
        return getattr(import_module(module), function)(*arguments, **keywords)

    return call

"""What an optimizer does to the curvature of a network.

Data flows one way, and packages import only from packages to their left:
``data → training → eigenpairs → null → study → metrics → claims and figures``.

You can import every name of ``eigendrift.api`` from here. The first use imports ``eigendrift.api`` and torch.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Importing a subpackage must not import the interface, and torch with it.
    is_offered = name == "__all__" or not (name.startswith("_") or find_spec(f"{__name__}.{name}"))
    api = import_module(f"{__name__}.api") if is_offered else None
    if not hasattr(api, name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(api, name)


def __dir__() -> list[str]:
    names: list[str] = import_module(f"{__name__}.api").__all__
    return [*globals(), *names]

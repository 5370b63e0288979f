"""What an optimizer does to the curvature of a network.

Data flows one way, and modules import only to the left:
``data → training → eigenpairs → null → study → metrics → claims and figures``.

What ``eigendrift.api`` offers can be imported from here; it is imported when it is asked for, and torch with
it.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Parts of the package are no part of the interface, and must not cost its imports.
    is_offered = name == "__all__" or not (name.startswith("_") or find_spec(f"{__name__}.{name}"))
    api = import_module(f"{__name__}.api") if is_offered else None
    if not hasattr(api, name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(api, name)


def __dir__() -> list[str]:
    names: list[str] = import_module(f"{__name__}.api").__all__
    return [*globals(), *names]

"""All extensions by kind and name: those that the package ships, and those of plug-ins."""

from collections import ChainMap
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TypeVar

from eigendrift.errors import UserError
from eigendrift.extensions.kinds import KINDS, Extension

E = TypeVar("E", bound=Extension)

# By kind. A map from `known` also shows what plug-ins add later.
_MAPS: dict[type[Extension], "ChainMap[str, Any]"] = {}
_SOURCES: dict[tuple[type[Extension], str], Path] = {}


def known(kind: type[E], *shipped: E) -> MutableMapping[str, E]:
    """Return all extensions of a kind by name: first those that the package ships, then those of plug-ins.

    Args:
        kind: Class of the extensions.
        *shipped: Extensions that the package ships, passed once, where they are declared.
    """
    chain = _MAPS.setdefault(kind, ChainMap({}, {}))
    chain.maps[1].update({extension.name: extension for extension in shipped})
    return chain


def add(extension: Extension, source: Path) -> None:
    """Add an extension of a plug-in.

    Raises:
        UserError: If the name is taken.
    """
    kind = next(kind for kind in KINDS if isinstance(extension, kind))
    name, taken_by = extension.name, known(kind)
    if name in taken_by:
        owner = _SOURCES.get((kind, name))
        whose = f"the plug-in {owner} has" if owner else "eigendrift itself has"
        raise UserError(f"Plug-in {source} adds the {kind.KIND} '{name}', a name that {whose} already; choose another.")
    taken_by[name] = extension
    _SOURCES[kind, name] = source


def source_of(kind: type[Extension], name: str) -> Path | None:
    """Return the plug-in that an extension comes from; None if the package ships it."""
    return _SOURCES.get((kind, name))


def added() -> list[tuple[Path, Extension]]:
    """Return the extensions of plug-ins, each with its file."""
    return [(source, known(kind)[name]) for (kind, name), source in _SOURCES.items()]


def forget_plugins() -> None:
    """Forget the extensions of plug-ins, so that others can be read."""
    for chain in _MAPS.values():
        chain.maps[0].clear()
    _SOURCES.clear()

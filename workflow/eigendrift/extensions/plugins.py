"""Plug-ins, which are Python files with a list ``EXTENSIONS``: finding and reading them."""

import importlib
import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from eigendrift.digests import digest
from eigendrift.errors import UserError
from eigendrift.extensions.kinds import KINDS
from eigendrift.extensions.registry import add, added, forget_plugins

PACKAGE = "eigendrift_plugins_"


def plugin_files(configured: Any) -> list[Path]:
    """Return the files of the configuration's ``plugins``.

    Args:
        configured: A list of files and directories; paths start at the working directory. Every ``.py`` file in a
            directory is a plug-in, except files starting with ``_``, which are helpers.

    Returns:
        Paths, relative to the working directory if they are below it.

    Raises:
        UserError: If it is no such list, or if a file or directory does not exist.
    """
    if not isinstance(configured, list) or not all(isinstance(path, str) for path in configured):
        raise UserError(
            f"Config key 'plugins' is {configured!r}, expected a list of files and directories; write it as "
            "plugins: [path]."
        )
    return list(dict.fromkeys(file for path in configured for file in _files_at(Path(path).expanduser())))


def load_plugins(files: Iterable[str | Path]) -> None:
    """Read plug-ins, and forget those read before.

    Raises:
        UserError: If a file cannot be imported, declares nothing, or declares something that is not allowed.
    """
    forget_plugins()
    for file in map(Path, files):
        extensions = getattr(_imported(file), "EXTENSIONS", None)
        if not isinstance(extensions, list | tuple) or not extensions:
            found = f"{extensions!r} instead of a list" if extensions else "no list"
            raise UserError(
                f"Plug-in {file} has {found} EXTENSIONS; write EXTENSIONS = [Optimizer(…)] or another of the classes "
                "of eigendrift.extensions."
            )
        for extension in extensions:
            if not isinstance(extension, KINDS):
                raise UserError(
                    f"Plug-in {file} has {extension!r} in EXTENSIONS, expected objects of the classes of "
                    "eigendrift.extensions."
                )
            add(extension, file)


def files_read() -> list[str]:
    """Return the files of the plug-ins that were read."""
    return sorted({str(source) for source, _ in added()})


def error_in_plugin(error: BaseException) -> str | None:
    """Return a sentence about an error in the code of a plug-in; None if it happened elsewhere."""
    frames = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").startswith(PACKAGE)
    ]
    if not frames:
        return None
    file, line = frames[-1]
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"Plug-in {_shown(Path(file))}, line {line}: {what}; fix it and run the same command again."


def _files_at(path: Path) -> list[Path]:
    if path.is_file() and path.suffix == ".py":
        return [_shown(path)]
    if path.is_dir():
        if files := sorted(file for file in path.glob("*.py") if not file.name.startswith("_")):
            return [_shown(file) for file in files]
        raise UserError(
            f"Config key 'plugins' names the directory {str(path)!r}, which holds no plug-in; add a .py file "
            "whose name does not start with '_', or remove the entry."
        )
    what = "is not a .py file" if path.exists() else "does not exist"
    raise UserError(
        f"Config key 'plugins' names {str(path)!r}, which {what}; paths start at {Path.cwd()}, so fix or "
        "remove the entry."
    )


def _shown(path: Path) -> Path:
    """Return a path in one form, however it was written."""
    relative = Path(os.path.relpath(path))
    return path.resolve() if relative.parts[0] == os.pardir else relative


def _imported(file: Path) -> ModuleType:
    # A package per directory lets a plug-in import files next to it, ``from ._helpers import …``, and keeps its name
    # from conflicting with another module.
    directory = str(file.resolve().parent)
    package = ModuleType(f"{PACKAGE}{digest(directory.encode())[:12]}")
    package.__path__ = [directory]
    sys.modules.setdefault(package.__name__, package)
    name = f"{package.__name__}.{file.stem}"
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"Plug-in {file} cannot be imported here ({error}); fix the name, install what it needs, or "
            "import it inside the function that needs it, because declarations are read before jobs start."
        ) from error
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"Plug-in {file} cannot be read: {what}; fix it.") from error

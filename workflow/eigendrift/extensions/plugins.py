"""Reading plug-ins: Python files with a list ``EXTENSIONS``."""

import importlib
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from eigendrift.digests import digest
from eigendrift.errors import UserError
from eigendrift.extensions.base import Extension
from eigendrift.extensions.kinds import KINDS
from eigendrift.extensions.registry import add, added, forget_plugins

LIST = "EXTENSIONS"
PACKAGE = "eigendrift_plugins_"


def plugin_files(configured: Any) -> list[Path]:
    """Return the files that the configuration's ``plugins`` stands for.

    Args:
        configured: A list of files and directories; paths start at the working directory. Of a directory,
            every ``.py`` file counts whose name does not start with '_'; those that do are for the others to
            import.

    Returns:
        Paths, relative to the working directory where they lie below it.

    Raises:
        UserError: It is no such list, or something is not there.
    """
    if not isinstance(configured, list) or not all(isinstance(path, str) for path in configured):
        raise UserError(
            f"Config key 'plugins' is {configured!r}, expected a list of files and directories; write it as "
            "plugins: [path]."
        )
    found: dict[Path, None] = {}
    for path in configured:
        found |= dict.fromkeys(_files_at(Path(path).expanduser()))
    return list(found)


def load_plugins(files: Iterable[str | Path]) -> None:
    """Read plug-ins, in place of those read before, and make their extensions known.

    Raises:
        UserError: A file cannot be imported, declares nothing, or what it declares does not fit.
    """
    forget_plugins()
    for file in map(Path, files):
        for extension in _declared(file):
            add(extension, file)


def files_read() -> list[str]:
    """Return the plug-ins that were read."""
    return sorted({str(source) for source, _ in added()})


def told_of_plugin(error: BaseException) -> str | None:
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
    return f"Plug-in {_shown(Path(file))}, line {line}: {what}; mend it and run the same command again."


def _files_at(path: Path) -> list[Path]:
    if path.is_file() and path.suffix == ".py":
        return [_shown(path)]
    if path.is_dir():
        if files := sorted(file for file in path.glob("*.py") if not file.name.startswith("_")):
            return [_shown(file) for file in files]
        raise UserError(
            f"Config key 'plugins' names the directory {str(path)!r}, which holds no plug-in; put a .py file "
            "there whose name does not start with '_', or remove the entry."
        )
    what = "is no .py file" if path.exists() else "does not exist"
    raise UserError(
        f"Config key 'plugins' names {str(path)!r}, which {what}; paths start at {Path.cwd()}, so mend or "
        "remove the entry."
    )


def _shown(path: Path) -> Path:
    """Return a path as Snakemake is to see it: the same whoever writes it in whatever way."""
    relative = Path(os.path.relpath(path))
    return path.resolve() if relative.parts[0] == os.pardir else relative


def _declared(file: Path) -> Sequence[Extension]:
    extensions = getattr(_imported(file), LIST, None)
    if not isinstance(extensions, list | tuple) or not extensions:
        found = f"{extensions!r} in place of a list" if extensions else "no list"
        raise UserError(
            f"Plug-in {file} has {found} {LIST}; write {LIST} = [Optimizer(…)] or another of the classes of "
            "eigendrift.extensions."
        )
    for extension in extensions:
        if not isinstance(extension, KINDS):
            raise UserError(
                f"Plug-in {file} has {extension!r} in {LIST}, expected objects of the classes of "
                "eigendrift.extensions."
            )
    return extensions


def package_of(file: Path) -> str:
    """Return the package as whose module a plug-in is imported: its directory, under a name of its own.

    So it can import what lies beside it, ``from ._helpers import …``, and its own name stands in nobody's
    way.
    """
    return f"{PACKAGE}{digest(str(file.resolve().parent).encode())[:12]}"


def _imported(file: Path) -> ModuleType:
    package = ModuleType(package_of(file))
    package.__path__ = [str(file.resolve().parent)]
    sys.modules.setdefault(package.__name__, package)
    name = f"{package.__name__}.{file.stem}"
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"Plug-in {file} cannot be imported here ({error}); mend the name, install what it needs, or "
            "import it inside the function that needs it, because declarations are read before jobs start."
        ) from error
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"Plug-in {file} cannot be read: {what}; mend it.") from error

"""Plug-ins, which are Python files with a list ``EXTENSIONS``: reading and checking them."""

import importlib
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

from eigendrift.digests import digest
from eigendrift.errors import UserError
from eigendrift.extensions.kinds import KINDS, Figure, Metric, Model, NullModel, Optimizer
from eigendrift.extensions.registry import add, added, forget_plugins, known

PACKAGE = "eigendrift_plugins_"
DEFINITIONS = "#/$defs/"
# Names of files and directories that the package itself uses.
USED: dict[Any, str] = {Figure: r"(fig|ext)\d.*", NullModel: r"(untrained|wide)-.*|.*-baseline|observed|wide"}
# Variables of a data set's runs, in addition to the arrays of metrics stores.
OF_RUNS = ("optimizer", "seed", "diverged_at", "unconverged")


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


def check_declarations(definitions: Mapping[str, Any], arrays: Iterable[str]) -> None:
    """Check the declarations of plug-ins against each other, after all were read.

    Args:
        definitions: ``$defs`` of the configuration's schema, to which settings may refer.
        arrays: Names of arrays and dimensions that metrics stores have.

    Raises:
        UserError: If a name is used for something else, a figure's metric does not exist, a caption is not
            reStructuredText, or the schema of a setting is not a JSON schema.
    """
    used = {**USED, Metric: "|".join(map(re.escape, (*arrays, *OF_RUNS)))}
    for source, extension in added():
        names = [names for kind, names in used.items() if isinstance(extension, kind)]
        if any(re.fullmatch(pattern, extension.name) for pattern in names):
            raise UserError(
                f"Plug-in {source} adds the {extension.KIND} '{extension.name}', a name that eigendrift "
                "itself uses; choose another."
            )
        for metric in extension.metrics if isinstance(extension, Figure) else ():
            if metric not in known(Metric):
                raise UserError(
                    f"Plug-in {source} has a figure of the metric '{metric}', which no plug-in declares; add "
                    "that plug-in, or remove the metric from the figure's metrics."
                )
        if isinstance(extension, Figure) and (wrong := _wrong_in(extension.caption)):
            raise UserError(
                f"Plug-in {source} declares the figure '{extension.name}', whose caption is not "
                f"reStructuredText: {wrong} Fix it."
            )
        settings = extension.settings if isinstance(extension, Optimizer | Model) else {}
        for setting, schema in settings.items():
            if wrong := _wrong_in_schema(schema, definitions):
                raise UserError(
                    f"Plug-in {source} declares the {extension.KIND} '{extension.name}', whose setting '{setting}' "
                    f"{wrong}; fix it."
                )


def _wrong_in(text: str) -> str | None:
    """Return the first mistake in a reStructuredText; None if there is none."""
    from docutils.core import publish_doctree
    from docutils.utils import Reporter, SystemMessage

    alone = {"file_insertion_enabled": False, "raw_enabled": False, "warning_stream": StringIO()}
    try:
        publish_doctree(text, settings_overrides={**alone, "halt_level": Reporter.WARNING_LEVEL})
    except SystemMessage as error:
        # The message starts with place and level: <string>:1: (WARNING/2) …
        return str(error).partition(") ")[2]
    return None


def _wrong_in_schema(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str | None:
    """Return the first mistake in the schema of a setting; None if there is none."""
    from jsonschema import Draft202012Validator, SchemaError

    for reference in _references(schema):
        if str(reference).removeprefix(DEFINITIONS) not in definitions:
            known_ones = ", ".join(f"{DEFINITIONS}{name}" for name in definitions)
            return f"refers to {reference!r}, expected one of {known_ones}"
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"has an invalid schema: {error.message}"
    return None


def _references(schema: Any) -> Iterator[Any]:
    if isinstance(schema, Mapping):
        yield from (value for key, value in schema.items() if key == "$ref")
        schema = list(schema.values())
    for part in schema if isinstance(schema, list) else ():
        yield from _references(part)

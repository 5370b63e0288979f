"""The digest of the code that a job runs: its script, every module that it imports, and its plug-ins.

Each rule has the digest as a parameter, so Snakemake reruns a job if and only if code that the job uses has changed. A
job compares the digest with the files on disk when it starts and again before it publishes, so a result never counts as
made by other code. A job on a cluster is a snakemake of its own, which reads rules and configuration again. It compares
them with the record that the first snakemake left with the results.
"""

import ast
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from eigendrift.digests import digest, digest_json
from eigendrift.errors import UserError

WORKFLOW = Path(__file__).resolve().parents[1]
RECORD = Path("logs/code.json")
CONFIGURATION = "the configuration"


def code_of(script: str, modules: Iterable[str] = (), plugins: Iterable[str | Path] = ()) -> list[Path]:
    """Return the files that a job's code consists of, in order.

    Only `import` statements are followed, wherever they are in a file. Installed packages do not count.

    Args:
        script: Name of the script, such as `train`.
        modules: Names of modules that the script imports by name, such as `eigendrift.figures.claims`.
        plugins: Files of plug-ins.
    """
    left = {WORKFLOW / "scripts" / f"{script}.py", *map(Path.absolute, map(Path, plugins))}
    left |= {file for module in modules for file in _files_of(WORKFLOW, module)}
    found: set[Path] = set()
    while left:
        found |= left
        left = set().union(*(_imported_by(file, file.read_bytes()) for file in left)) - found
    return sorted(found)


def digest_of(files: Iterable[Path], digests: Mapping[str, str] | None = None) -> str:
    """Return one digest of the names and contents of files, the same wherever the clone is.

    Args:
        files: As `code_of` returns them.
        digests: Digests of the contents by `name_of` file; by default those of the files on disk.
    """
    contents = [
        # A plug-in may be in any directory.
        (
            file.name if os.path.isabs(name) or name.startswith(os.pardir) else name,
            digests.get(name, "") if digests else _content(file),
        )
        for name, file in sorted((name_of(file), file) for file in files)
    ]
    return digest_json(contents)


def verify(expected: str, script: str, modules: Iterable[str] = (), plugins: Iterable[str] = ()) -> None:
    """Check that the code of a job is still the code in its parameters.

    Args:
        expected: The digest in the job's parameters.
        script: Name of the script, such as `train`.
        modules: Names of modules that the script imports by name.
        plugins: Files of plug-ins.

    Raises:
        UserError: If a file of the code has changed.
    """
    try:
        current = digest_of(code_of(script, modules, plugins))
    except (FileNotFoundError, UserError):
        current = ""
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be read ({error.strerror}); fix this and run snakemake again."
        ) from None
    if current != expected:
        raise UserError(_refusal(f"The code of this job (scripts/{script}.py and what it imports)"))


def digests_at_start(plugins: Iterable[Path], configuration: Any) -> dict[str, str]:
    """Return digests of everything that a snakemake reads, by `name_of` file.

    Args:
        plugins: Files of plug-ins.
        configuration: The configuration as the user wrote it.
    """
    clone = WORKFLOW.parent
    files = [clone / "Snakefile", *WORKFLOW.rglob("*.smk"), *WORKFLOW.rglob("*.py")]
    files += [*WORKFLOW.glob("schemas/*"), *clone.glob("envs/*.yaml")]
    files += [imported for plugin in plugins for imported in code_of("data", plugins=[plugin])]
    return {
        # Editors keep hidden files next to a file that is open.
        **{name_of(file): _content(file) for file in files if not file.name.startswith(".")},
        CONFIGURATION: digest_json(configuration),
    }


def write_record(results: Path, digests: Mapping[str, str]) -> None:
    """Leave the digests with which a snakemake started, for its jobs on a cluster.

    Raises:
        UserError: If the disk is full.
    """
    # Jobs import this module before they hand over to a fork, so it imports little.
    from eigendrift.stores.files import write_json

    write_json(results / RECORD, digests)


def recorded_digests(results: Path, current: Mapping[str, str]) -> dict[str, str]:
    """Return the digests with which the snakemake of a cluster job started.

    Args:
        results: Directory of the study.
        current: The digests of what the job's own snakemake has read. Modules that it has not imported may differ:
            each job checks its own with `verify`.

    Raises:
        UserError: If rules, schemas, environments or the configuration have changed, or there is no record.
    """
    path = results / RECORD
    try:
        recorded = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise UserError(
            f"{path}, the record of the code with which snakemake started, cannot be read; run snakemake "
            "again without --no-hooks, which writes it."
        ) from None
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    imported = {name_of(Path(file)) for file in files if file}
    for name in sorted(current.keys() & recorded.keys()):
        if current[name] != recorded[name] and (name in imported or not name.endswith(".py")):
            raise UserError(_refusal(name if name == CONFIGURATION else os.path.relpath(WORKFLOW / name)))
    return recorded


@cache
def name_of(file: Path) -> str:
    """Return the path of a file below the clone, from the directory of the workflow; else its absolute path."""
    path = Path(os.path.realpath(file.parent)) / file.name
    return os.path.relpath(path, WORKFLOW) if path.is_relative_to(WORKFLOW.parent) else str(path)


def _refusal(what: str) -> str:
    return (
        f"{what} has changed since snakemake started; undo the edit, or run snakemake again after this run has ended."
    )


def _content(file: Path) -> str:
    return digest(file.read_bytes())


# Dozens of rules share most modules. The content is a key, so that an edited file is parsed again.
@cache
def _imported_by(file: Path, source: bytes) -> frozenset[Path]:
    """Return the files that a file imports, or may import as a part of a package."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{os.path.relpath(file)} is not Python ({error}); fix it and run snakemake again.") from None
    found: set[Path] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names, base = [alias.name for alias in node.names], WORKFLOW
        elif isinstance(node, ast.ImportFrom):
            names = [".".join(filter(None, (node.module, alias.name))) for alias in node.names]
            base = file.parents[node.level - 1] if node.level else WORKFLOW
        else:
            continue
        found.update(imported for name in names for imported in _files_of(base, name))
    return frozenset(found)


def _files_of(base: Path, module: str) -> Iterator[Path]:
    """Yield the file of a module and the `__init__.py` files of its packages, if they exist."""
    for part in module.split("."):
        package, single = base / part / "__init__.py", base / f"{part}.py"
        if package.is_file():
            yield package
        elif single.is_file():
            yield single
        elif not (base / part).is_dir():
            # The names of api.py are also names of the package, without an import statement.
            if base == WORKFLOW / "eigendrift" and not part.startswith("__"):
                yield base / "api.py"
            return
        base = base / part

"""Jobs run the code with which their snakemake began, or none: later edits wait for the next one.

Snakemake records with a result the code that it began with (rules/code.smk), but a job reads its modules when
it starts, perhaps hours later. If it ran whatever it finds then, its result would count as that of another
code, for good if the edit is undone. So the snakemake at work leaves digests of its files with the results,
and jobs import nothing that has another one. On a cluster each job is a snakemake of its own, which reads
rules and configuration again; for these the same holds.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from eigendrift.errors import UserError
from eigendrift.stores.files import write_json
from forkserver import script_name

HERE = Path(__file__).resolve().parent
RECORD = Path("logs/code.json")
# Where the record is, for the scripts that a snakemake starts.
VARIABLE = "EIGENDRIFT_CODE"
CONFIGURATION = "the configuration"
# That of eigendrift.extensions.plugins, which most jobs have no use for.
PLUGINS = "eigendrift_plugins_"
# What Snakemake writes between what a script needs to know and the script.
PREAMBLE_END = b"\n######## snakemake preamble end #########\n"


def digest_of(content: bytes) -> str:
    """Return a digest of what a file holds."""
    return hashlib.sha256(content).hexdigest()


def digests_of(files: Iterable[Path], configuration: Any) -> dict[str, str]:
    """Return digests of what a snakemake reads, by names that are the same wherever the clone is mounted.

    Args:
        files: Of these, what is there and is not hidden, as what editors keep beside a file that is open.
        configuration: As it was written.
    """
    there = [file for file in files if file.is_file() and not file.name.startswith(".")]
    written = json.dumps(configuration, sort_keys=True, default=str)
    return {
        **{name_of(file): digest_of(file.read_bytes()) for file in there},
        CONFIGURATION: digest_of(written.encode()),
    }


def name_of(file: str | Path) -> str:
    """Return a file's path from the directory of the workflow, or all of it if it is not in this clone."""
    directory, name = os.path.split(file)
    path = Path(os.path.realpath(directory)) / name
    return os.path.relpath(path, HERE) if HERE.parent in path.parents else str(path)


def leave_record(results: Path, digests: Mapping[str, str]) -> None:
    """Leave what a snakemake began with, for its jobs; the scripts that it starts itself find it, too.

    Raises:
        UserError: There is no room for it.
    """
    write_json(results / RECORD, digests)
    os.environ[VARIABLE] = str((results / RECORD).resolve())


def check_job(results: Path, digests: Mapping[str, str]) -> None:
    """Check what the snakemake of a job has read against what the one at work began with, and guard imports.

    Args:
        results: Directory of the study.
        digests: Of what this one has read; of modules it matters when they are imported.

    Raises:
        UserError: Something has changed in between, or what there was is not to be found out.
    """
    os.environ[VARIABLE] = str((results / RECORD).resolve())
    began_with = _read_record()
    # What was added is nothing to a Snakefile that does not include it, and that is the same.
    for name in digests.keys() & began_with.keys():
        if not name.endswith(".py"):
            _refuse_other(name, digests[name], began_with)
    _guard_imports(began_with)


def guard_script() -> None:
    """Let this process, which runs a script, import nothing that its snakemake did not begin with.

    Raises:
        UserError: The script, or what was imported before, has changed since, or what there was is not to be
            found out.
    """
    if VARIABLE in os.environ:
        began_with = _read_record()
        # The copy that Snakemake runs.
        _, _, source = Path(sys.argv[0]).read_bytes().partition(PREAMBLE_END)
        _refuse_other(f"scripts/{script_name()}", digest_of(source), began_with)
        _guard_imports(began_with)


class _Read(SourceFileLoader):
    """Runs the content that was checked; bytecode may be of another content of the same size and second."""

    def __init__(self, name: str, path: str, content: bytes) -> None:
        super().__init__(name, path)
        self._content = content

    def get_code(self, fullname: str) -> CodeType:
        """Compile a module."""
        return self.source_to_code(self._content, self.path)


class _Unedited(MetaPathFinder):
    """Finds those modules of the project and of plug-ins that have not changed."""

    def __init__(self, began_with: Mapping[str, str]) -> None:
        self._began_with = began_with
        names = (Path(name.removeprefix("scripts/")) for name in began_with)
        self._roots = {name.parts[0].removesuffix(".py") for name in names}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module that may be imported; of others, such as installed packages, None.

        Raises:
            UserError: Its file has changed, is new or is gone.
        """
        if not self._may_be_ours(fullname):
            # What is added to the project's directory would stand before an installed package of its name.
            self._checked(PathFinder.find_spec(fullname, [str(HERE)]) if path is None else None, fullname)
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None:
            self._refuse_gone(fullname, path or [str(HERE)])
        elif (content := self._checked(spec, fullname)) is not None and spec.origin:
            spec.loader = _Read(fullname, spec.origin, content)
        return spec

    def check_imported(self) -> None:
        """Check what was imported before.

        Raises:
            UserError: The file of a module has changed.
        """
        for name in filter(self._may_be_ours, list(sys.modules)):
            self._checked(getattr(sys.modules[name], "__spec__", None), name)

    def _may_be_ours(self, name: str) -> bool:
        return name.partition(".")[0] in self._roots or name.startswith(PLUGINS)

    def _checked(self, spec: ModuleSpec | None, name: str) -> bytes | None:
        """Return what is in a module's file, if it is one of the project or of a plug-in."""
        file = spec and spec.has_location and spec.origin
        if not file or not (HERE in Path(os.path.realpath(file)).parents or name.startswith(PLUGINS)):
            return None
        content = Path(file).read_bytes()
        _refuse_other(name_of(file), digest_of(content), self._began_with)
        return content

    def _refuse_gone(self, name: str, path: Iterable[str]) -> None:
        """Refuse what is not found if it was there; who imports it may have a way to do without."""
        for place in path:
            for file in (f"{name.rpartition('.')[2]}.py", f"{name.rpartition('.')[2]}/__init__.py"):
                _refuse_other(name_of(Path(place) / file), None, self._began_with)


def _guard_imports(began_with: Mapping[str, str]) -> None:
    guard = _Unedited(began_with)
    guard.check_imported()
    sys.meta_path.insert(0, guard)


def _read_record() -> dict[str, str]:
    path = Path(os.environ[VARIABLE])
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise UserError(
            f"{path}, in which snakemake says with which code it began, cannot be read; run snakemake again, "
            "which writes it, without --no-hooks."
        ) from None


def _refuse_other(name: str, digest: str | None, began_with: Mapping[str, str]) -> None:
    """Refuse one file, or the configuration, that is not what it was.

    Args:
        name: What it is called in the record.
        digest: Of what it is now; None if it is not there.
        began_with: The record.
    """
    if digest == began_with.get(name):
        return
    what = name if name == CONFIGURATION else os.path.relpath(HERE / name)
    how = "is gone" if digest is None else "has changed" if name in began_with else "is new"
    raise UserError(
        f"{what} {how} since snakemake started, whose jobs run only what was there then; undo that, or run "
        "snakemake again once it has ended."
    )

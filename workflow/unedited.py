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
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from eigendrift.errors import UserError
from eigendrift.stores.files import write_json

HERE = Path(__file__).resolve().parent
RECORD = Path("logs/code.json")
# Where the record is, for the scripts that a snakemake starts.
VARIABLE = "EIGENDRIFT_CODE"
CONFIGURATION = "the configuration"
PLUGINS = "eigendrift_plugins_"


def digest_of(content: bytes) -> str:
    """Return a digest of what a file holds."""
    return hashlib.sha256(content).hexdigest()


def digests_of(files: Iterable[Path], configuration: Any) -> dict[str, str]:
    """Return digests of what a snakemake begins with, by paths from the directory of the workflow.

    Those are the same wherever a clone is mounted.
    """
    written = json.dumps(configuration, sort_keys=True, default=str)
    return {
        **{_name(file): digest_of(file.read_bytes()) for file in files},
        CONFIGURATION: digest_of(written.encode()),
    }


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
        digests: Of rules and configuration, as this one has read them.

    Raises:
        UserError: Something was edited in between, or nothing says what there was.
    """
    os.environ[VARIABLE] = str((results / RECORD).resolve())
    began = _record()
    for name, digest in digests.items():
        _compare(name, digest, began)
    _guard(began)


def guard_script() -> None:
    """Let this process, which runs a script, import nothing that its snakemake did not begin with.

    Raises:
        UserError: It has done so already.
    """
    if VARIABLE in os.environ:
        began = _record()
        # Snakemake runs a copy, tmp<random>.<name of the script>.
        script = Path(sys.argv[0]).name.partition(".")[2]
        _check(HERE / "scripts" / script, began)
        _guard(began)


class _Unedited(MetaPathFinder):
    """Finds the modules of the project and of plug-ins that have not been edited."""

    def __init__(self, began: Mapping[str, str]) -> None:
        self._began = began
        self._roots = {Path(name.removeprefix("scripts/")).parts[0].removesuffix(".py") for name in began}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module that may be imported; of others, such as installed packages, None.

        Raises:
            UserError: Its file was edited, added or removed.
        """
        if not self._may_be_ours(fullname):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None:
            _compare(f"{fullname.replace('.', '/')}.py", None, self._began)
        else:
            self._check(fullname, spec.origin)
        return spec

    def check_imported(self) -> None:
        """Check what was imported before.

        Raises:
            UserError: The file of a module was edited since snakemake had started.
        """
        for name in filter(self._may_be_ours, list(sys.modules)):
            self._check(name, getattr(sys.modules[name], "__file__", None))

    def _may_be_ours(self, name: str) -> bool:
        return name.partition(".")[0] in self._roots or name.startswith(PLUGINS)

    def _check(self, name: str, file: str | None) -> None:
        if file and (HERE in Path(file).parents or name.startswith(PLUGINS)):
            _check(Path(file), self._began)


def _guard(began: Mapping[str, str]) -> None:
    guard = _Unedited(began)
    guard.check_imported()
    sys.meta_path.insert(0, guard)


def _record() -> dict[str, str]:
    path = Path(os.environ[VARIABLE])
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(
            f"{path}, which says with which code snakemake began, cannot be read; run snakemake again, which "
            "writes it, and without --no-hooks."
        ) from None


def _check(file: Path, began: Mapping[str, str]) -> None:
    _compare(_name(file), digest_of(file.read_bytes()), began)


def _compare(name: str, digest: str | None, began: Mapping[str, str]) -> None:
    """Compare one file, or the configuration, as it is now with what it was.

    Args:
        name: What it is called in the record.
        digest: Of what it is now; None if it is not there.
        began: The record.
    """
    if digest == began.get(name):
        return
    what = name if name == CONFIGURATION else os.path.relpath(HERE / name)
    how = "removed" if digest is None else "edited" if name in began else "added"
    raise UserError(
        f"{what} was {how} after this snakemake had started, whose jobs take nothing but what was there "
        "then; run snakemake again."
    )


def _name(file: Path) -> str:
    return os.path.relpath(os.path.realpath(file), HERE)

"""Directories are replaced atomically: a kill before any access to the disk leaves none in part."""

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eigendrift.stores.files import publish_directory

OLD, NEW = ({f"{name}/{index}": name for index in range(3)} for name in ("old", "new"))
# Audit events that Python raises before it accesses the disk.
ACCESSES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink"}
left: list[int] = []


class Killed(BaseException):
    """No code handles this exception, just as none handles a kill."""


def count(event: str, _: object) -> None:
    if left and event in ACCESSES:
        left[0] -= 1
        if left[0] < 0:
            raise Killed


@contextmanager
def killed_after(accesses: int) -> Iterator[None]:
    left[:] = [accesses]
    try:
        yield
    finally:
        left.clear()


def fill(directory: Path, content: dict[str, str]) -> Path:
    for name, text in content.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def found(directory: Path) -> dict[str, str]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_text() for path in files}


@pytest.mark.parametrize("before", [OLD, {}], ids=["replacing another", "alone"])
def test_a_directory_is_the_old_one_or_the_new_one_or_not_there(before: dict[str, str], tmp_path: Path) -> None:
    # A hook cannot be removed; if `left` is empty, this one does nothing.
    sys.addaudithook(count)
    killed = True
    for accesses in itertools.count():
        final = fill(tmp_path / str(accesses) / "final", before)
        built = fill(final.with_name("built"), NEW)
        try:
            with killed_after(accesses):
                publish_directory(built, final)
            killed = False
        except Killed:
            assert not final.exists() or found(final) in (before, NEW)
            # The next job deletes what the killed one left.
            publish_directory(fill(built, NEW), final)
        assert found(final) == NEW
        assert list(final.parent.iterdir()) == [final]
        if not killed:
            break
    assert accesses >= 1 + len(before)

"""Progress of a long job that survives a kill at any moment.

A job's progress lies in a hidden directory beside the store it builds. Snakemake does not know of it, so it
outlives failed jobs. It belongs to one key, a digest of the job's settings and code: progress made under
another key is thrown away, because its continuation would mix two computations.
"""

import fcntl
import hashlib
import io
import json
import logging
import os
import shlex
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from eigendrift.errors import UserError
from eigendrift.stores.files import make_directory, package_versions, write_file, write_json
from eigendrift.stores.records import Records

logger = logging.getLogger(__name__)

T = TypeVar("T")


def progress_key(settings: Mapping[str, Any], files: Iterable[str | Path]) -> str:
    """Digest what a computation depends on: settings, files, and the numerical packages.

    Args:
        settings: The settings, as plain JSON values.
        files: Code and input manifests whose content matters.
    """
    digest = hashlib.sha256(json.dumps([settings, package_versions()], sort_keys=True).encode())
    for file in files:
        digest.update(hashlib.sha256(Path(file).read_bytes()).digest())
    return digest.hexdigest()


class Progress:
    """Records that a job has finished so far, and the state from which it goes on."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def state_path(self) -> Path:
        """Where the job keeps its state; the job writes it with `replace_state`."""
        return self.directory / "state"

    def replace_state(self, write: Callable[[IO[bytes]], object]) -> None:
        """Let ``write(file)`` write a new state, and put it in the place of the old one at once."""
        self._write(self.state_path, write)

    def read_state(self, read: Callable[[IO[bytes]], T]) -> T:
        """Return what ``read(file)`` makes of the state.

        Raises:
            UserError: The state is damaged.
        """
        with self._opened(self.state_path) as file:
            return read(file)

    def save(self, index: int, record: Mapping[str, np.ndarray]) -> None:
        """Keep one record; when this returns, the record survives a kill.

        Raises:
            UserError: There is no room for it.
        """
        self._write(self._path(index), lambda file: np.savez(file, allow_pickle=False, **record))

    def load(self, index: int) -> dict[str, np.ndarray]:
        """Return one record.

        Raises:
            UserError: It is damaged.
        """
        with self._opened(self._path(index)) as file, np.load(file, allow_pickle=False) as record:
            return dict(record)

    def completed(self) -> int:
        """Count the records without a gap from index 0."""
        index = 0
        while self._path(index).exists():
            index += 1
        return index

    def column(self, name: str, length: int) -> Sequence[np.ndarray]:
        """Return one array of all records as a sequence that loads a record when it is used."""
        return _Column(self, name, length)

    @contextmanager
    def part(self, name: str) -> Iterator["Progress"]:
        """Open the progress of a part of the job, such as a training; delete it when the part is done."""
        directory = self.directory / name
        make_directory(directory)
        part = Progress(directory)
        yield part
        # First the state: what a kill leaves of the rest then is no progress to go on from.
        part.state_path.unlink(missing_ok=True)
        shutil.rmtree(directory)

    def _path(self, index: int) -> Path:
        return self.directory / f"record-{index:05d}.npz"

    def _write(self, path: Path, write: Callable[[IO[bytes]], object]) -> None:
        # Into memory first: then it is known what it takes, and no library words a full disk in its own way.
        content = io.BytesIO()
        write(content)
        write_file(path, content.getbuffer(), lasting=False)

    @contextmanager
    def _opened(self, path: Path) -> Iterator[IO[bytes]]:
        try:
            with path.open("rb") as file:
                yield file
        # Both formats are zip files, whose members carry checksums.
        except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
            raise UserError(
                f"The progress of an interrupted job is damaged, in {path}; to start this job anew, run "
                f"`rm -rf {shlex.quote(str(self.directory))}` and then snakemake again."
            ) from None


class _Column(Records):
    def __init__(self, progress: Progress, name: str, length: int) -> None:
        self._progress = progress
        self._name = name
        self._length = length

    def __len__(self) -> int:
        return self._length

    def record(self, index: int) -> np.ndarray:
        path = self._progress._path(index)
        with self._progress._opened(path) as file, np.load(file, allow_pickle=False) as record:
            return np.asarray(record[self._name])


@contextmanager
def resumable(store: Path, key: str) -> Iterator[Progress]:
    """Open the progress of the job that builds ``store``; delete it when the job succeeds.

    Only one process at a time holds it: a second one waits, so that the orphan of a killed snakemake and its
    successor do not write into each other.

    Args:
        store: The store that the job builds.
        key: What the job computes, see `progress_key`.
    """
    directory = store.with_name(f".{store.stem}-progress")
    with _exclusive(directory):
        marker = directory / "key.json"
        if not marker.exists() or json.loads(marker.read_text()) != key:
            _clear(directory)
            write_json(marker, key)
        progress = Progress(directory)
        if done := progress.completed():
            logger.info("Resuming from %s with %d records done.", directory, done)
        yield progress
        _clear(directory)
        (directory / "lock").unlink()
        # A third process may have come meanwhile and made its own lock.
        with suppress(OSError):
            directory.rmdir()


def _clear(directory: Path) -> None:
    # First the key: what a kill leaves of the rest then belongs to nobody and is thrown away.
    (directory / "key.json").unlink(missing_ok=True)
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


@contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    while True:
        make_directory(directory)
        # The holder before us deletes the directory when it succeeds: before we open the lock, or while we
        # wait for it, and then we hold a lock on nothing.
        try:
            lock = (directory / "lock").open("a")
        except FileNotFoundError:
            continue
        with lock:
            _wait_for(lock, directory)
            if _is_current(lock, directory / "lock"):
                yield
                return


def _wait_for(lock: IO[str], directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        logger.info("Another process is at work in %s; waiting for it to end.", directory)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _is_current(lock: IO[str], path: Path) -> bool:
    try:
        return os.fstat(lock.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False

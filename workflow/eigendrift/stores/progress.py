"""Progress of a long job that survives a kill at any moment.

The progress of a job is in a hidden directory next to the store that the job builds. Snakemake does not know the
directory, so it survives failed jobs. It belongs to one key, a digest of the job's settings and code. Progress made
under another key is deleted, because resuming from it would mix two computations.
"""

import fcntl
import io
import json
import logging
import os
import shlex
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar, overload

import numpy as np

from eigendrift.digests import digest, digest_json
from eigendrift.errors import UserError
from eigendrift.stores.files import make_directory, package_versions, write_file, write_json

logger = logging.getLogger(__name__)

T = TypeVar("T")

DIGEST_LENGTH = len(digest(b""))


class Records(Sequence[np.ndarray], ABC):
    """Records of one array, such as the eigenvectors of every checkpoint, loaded when they are used."""

    @abstractmethod
    def record(self, index: int) -> np.ndarray:
        """Return the record with an index from 0 to the length minus 1."""

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.record(index)


def progress_key(settings: Mapping[str, Any], files: Iterable[str | Path]) -> str:
    """Return a digest of what a computation depends on: settings, code, files, and numerical packages.

    Args:
        settings: The settings and a digest of the code, as plain JSON values.
        files: Input manifests whose content matters.
    """
    contents = [digest(Path(file).read_bytes()) for file in files]
    return digest_json([settings, package_versions(), contents])


class Progress:
    """The records that a job has finished so far, and the state from which it resumes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def state_path(self) -> Path:
        """Path of the job's state, which `replace_state` writes."""
        return self.directory / "state"

    def replace_state(self, write: Callable[[IO[bytes]], object]) -> None:
        """Let ``write(file)`` write a new state, and replace the old state by it atomically."""
        self._write(self.state_path, write)

    def read_state(self, read: Callable[[IO[bytes]], T]) -> T:
        """Return what ``read(file)`` returns for the state.

        Raises:
            UserError: If the state is damaged.
        """
        return read(self._read(self.state_path))

    def save(self, index: int, record: Mapping[str, np.ndarray]) -> None:
        """Save one record; when this returns, the record survives a kill.

        Raises:
            UserError: If the disk is full.
        """
        self._write(self._path(index), lambda file: np.savez(file, allow_pickle=False, **record))

    def load(self, index: int) -> dict[str, np.ndarray]:
        """Return one record.

        Raises:
            UserError: If the record is damaged.
        """
        with np.load(self._read(self._path(index)), allow_pickle=False) as record:
            return dict(record)

    def completed(self) -> int:
        """Return the number of records from index 0 up to the first gap."""
        index = 0
        while self._path(index).exists():
            index += 1
        return index

    def column(self, name: str, length: int) -> Sequence[np.ndarray]:
        """Return one array of all records as a sequence that loads each record when it is used."""
        return _Column(self, name, length)

    def stacked(self, names: Iterable[str], length: int) -> dict[str, np.ndarray]:
        """Return small arrays of all records by name, each stacked into one; every record is read once."""
        listed = list(names)
        records = map(self.load, range(length))
        rows = [{name: record[name] for name in listed} for record in records]
        return {name: np.array([row[name] for row in rows]) for name in listed}

    @contextmanager
    def part(self, name: str) -> Iterator["Progress"]:
        """Open the progress of a part of the job, such as a training, and delete it when the part is done."""
        part = Progress(self.directory / name)
        make_directory(part.directory)
        yield part
        # The state goes first: without it, whatever a kill leaves is not resumed.
        part.state_path.unlink(missing_ok=True)
        shutil.rmtree(part.directory)

    def _path(self, index: int) -> Path:
        return self.directory / f"record-{index:05d}.npz"

    def _write(self, path: Path, write: Callable[[IO[bytes]], object]) -> None:
        # The content goes to memory first, so that its size is known if the disk is full.
        content = io.BytesIO()
        write(content)
        # The readers of the formats inside, torch.load above all, do not check everything that they use.
        checksum = digest(content.getbuffer()).encode()
        content.seek(0, io.SEEK_END)
        content.write(checksum)
        write_file(path, content.getbuffer(), lasting=False)

    def _read(self, path: Path) -> IO[bytes]:
        """Return the content that `_write` wrote, checked before anything parses it."""
        # A missing file has no checksum, so it is refused like a damaged one.
        content = path.read_bytes() if path.is_file() else b""
        body, checksum = content[:-DIGEST_LENGTH], content[-DIGEST_LENGTH:]
        if checksum != digest(body).encode():
            raise UserError(
                f"The progress of an interrupted job is damaged, in {path}; to start the job over, run "
                f"`rm -rf {shlex.quote(str(self.directory))}` and then snakemake again."
            )
        return io.BytesIO(body)


class _Column(Records):
    def __init__(self, progress: Progress, name: str, length: int) -> None:
        self._progress = progress
        self._name = name
        self._length = length

    def __len__(self) -> int:
        return self._length

    def record(self, index: int) -> np.ndarray:
        path = self._progress._path(index)
        with np.load(self._progress._read(path), allow_pickle=False) as record:
            return np.asarray(record[self._name])


@contextmanager
def resumable(store: Path, key: str) -> Iterator[Progress]:
    """Open the progress of the job that builds ``store``, and delete it when the job succeeds.

    Only one process at a time can open it and a second one waits, so that a job that outlives a killed snakemake and
    the job that succeeds it never write to the same files.

    Args:
        store: The store that the job builds.
        key: What the job computes, see `progress_key`.
    """
    directory = store.with_name(f".{store.stem}-progress")
    with _exclusive(directory):
        marker = directory / "key.json"
        try:
            belongs = json.loads(marker.read_text("utf-8")) == key
        except (FileNotFoundError, ValueError):
            belongs = False
        if not belongs:
            _clear(directory)
            write_json(marker, key)
        progress = Progress(directory)
        if done := progress.completed():
            logger.info("Resuming from %s with %d records done.", directory, done)
        yield progress
        _clear(directory)
        (directory / "lock").unlink()
        # A third process may have created its own lock in the meantime.
        with suppress(OSError):
            directory.rmdir()


def _clear(directory: Path) -> None:
    # The key goes first: without it, whatever a kill leaves belongs to no job and is deleted later.
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
        # A job that succeeds deletes the directory. If that happens before this process opens the lock, or while it
        # waits, the lock is of no use.
        try:
            lock = (directory / "lock").open("a")
        except FileNotFoundError:
            continue
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.info("Another process is using %s; waiting for it to end.", directory)
                fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                is_current = os.fstat(lock.fileno()).st_ino == (directory / "lock").stat().st_ino
            except FileNotFoundError:
                continue
            if is_current:
                yield
                return

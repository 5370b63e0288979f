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

DIGEST_BYTES = hashlib.sha256().digest_size


def progress_key(settings: Mapping[str, Any], files: Iterable[str | Path]) -> str:
    """Digest what a computation depends on: settings, code, files, and the numerical packages.

    Args:
        settings: The settings and a digest of the code, as plain JSON values.
        files: Input manifests whose content matters.
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
        return read(self._read(self.state_path))

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
        with np.load(self._read(self._path(index)), allow_pickle=False) as record:
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

    def stacked(self, names: Iterable[str], length: int) -> dict[str, np.ndarray]:
        """Return small arrays of all records, each as one array, by name; every record is read once."""
        rows: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for index in range(length):
            record = self.load(index)
            for name, values in rows.items():
                values.append(record[name])
        return {name: np.array(values) for name, values in rows.items()}

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
        # Readers of the formats within do not check all that they use, torch.load least of all.
        digest = hashlib.sha256(content.getbuffer()).digest()
        content.seek(0, io.SEEK_END)
        content.write(digest)
        write_file(path, content.getbuffer(), lasting=False)

    def _read(self, path: Path) -> IO[bytes]:
        """Return what `_write` was given, checked before anything parses it."""
        # A file that is missing has no digest either.
        content = path.read_bytes() if path.is_file() else b""
        body, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
        if digest != hashlib.sha256(body).digest():
            raise UserError(
                f"The progress of an interrupted job is damaged, in {path}; to start this job anew, run "
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
        if _key_in(marker) != key:
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


def _key_in(marker: Path) -> str | None:
    """Return whose progress this is; None, which is nobody's, if that is not said or cannot be read."""
    try:
        key: str | None = json.loads(marker.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return key


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

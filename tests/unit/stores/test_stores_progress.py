"""Progress of unfinished jobs: its key, lifetime and damage, and that one process at a time uses it."""

import ast
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import torch

from eigendrift.errors import UserError
from eigendrift.stores import progress as module
from eigendrift.stores.progress import Progress, progress_key, resumable

WORKFLOW = Path(module.__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "run" / "trajectory.zarr"


def directory_of(store: Path) -> Path:
    return store.with_name(".trajectory-progress")


def record(value: int) -> dict[str, np.ndarray]:
    return {"weights": np.full(5, value, np.float32), "loss": np.array(value / 7)}


def interrupted(store: Path, key: str = "key", records: int = 3, state: bytes = b"state") -> None:
    """Run a job that saves some records and a state, and fails."""

    def write_state(file: IO[bytes]) -> None:
        file.write(state)

    with pytest.raises(InterruptedError), resumable(store, key) as progress:  # noqa: PT012
        for index in range(records):
            progress.save(index, record(index))
        progress.replace_state(write_state)
        raise InterruptedError


class TestSurvival:
    def test_an_interrupted_job_finds_its_records_and_state(self, store: Path) -> None:
        interrupted(store)
        with resumable(store, "key") as progress:
            assert progress.completed() == 3
            assert progress.read_state(lambda file: file.read()) == b"state"
            for index in range(3):
                for name, values in progress.load(index).items():
                    assert values.dtype == record(index)[name].dtype
                    np.testing.assert_array_equal(values, record(index)[name])

    def test_a_part_is_deleted_when_it_is_done_and_stays_when_it_is_interrupted(self, store: Path) -> None:
        with pytest.raises(InterruptedError), resumable(store, "key") as progress:  # noqa: PT012
            with progress.part("first") as part:
                part.save(0, record(7))
            assert not part.directory.exists()
            with progress.part("second") as part:
                part.save(0, record(8))
                raise InterruptedError
        with resumable(store, "key") as progress, progress.part("second") as part:
            assert part.completed() == 1
            np.testing.assert_array_equal(part.load(0)["weights"], record(8)["weights"])
        assert not directory_of(store).exists()

    def test_progress_of_another_key_is_deleted_including_its_parts(self, store: Path) -> None:
        interrupted(store, "old")
        with (  # noqa: PT012
            pytest.raises(InterruptedError),
            resumable(store, "old") as progress,
            progress.part("part") as part,
        ):
            part.save(0, record(7))
            raise InterruptedError
        with resumable(store, "new") as progress:
            assert progress.completed() == 0
            assert not progress.state_path.exists()
            with progress.part("part") as part:
                assert part.completed() == 0

    def test_success_deletes_it(self, store: Path) -> None:
        with resumable(store, "key") as progress:
            progress.save(0, record(0))
            assert directory_of(store).exists()
        assert list(store.parent.iterdir()) == []

    def test_records_count_up_to_the_first_gap(self, tmp_path: Path) -> None:
        progress = Progress(tmp_path)
        for index in (0, 1, 3):
            progress.save(index, record(index))
        assert progress.completed() == 2

    def test_a_state_that_fails_to_be_written_leaves_the_old_one(self, store: Path) -> None:
        def fail(file: IO[bytes]) -> None:
            file.write(b"a part")
            raise InterruptedError

        interrupted(store)
        with pytest.raises(InterruptedError), resumable(store, "key") as progress:
            progress.replace_state(fail)
        with resumable(store, "key") as progress:
            assert progress.read_state(lambda file: file.read()) == b"state"

    @pytest.mark.parametrize(
        ("key", "deleted"),
        [*(("new", number) for number in range(5)), *(("key", number) for number in range(7))],
    )
    def test_a_kill_during_deletion_leaves_all_records_or_none(
        self, key: str, deleted: int, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Records are deleted when the key is new, and when the job succeeds."""
        interrupted(store)
        unlink, calls = Path.unlink, iter(range(100))

        def killed_after_some(path: Path, missing_ok: bool = False) -> None:
            if next(calls) == deleted:
                raise InterruptedError
            unlink(path, missing_ok)

        with monkeypatch.context() as patch, pytest.raises(InterruptedError):  # noqa: PT012
            patch.setattr(Path, "unlink", killed_after_some)
            with resumable(store, key):
                pass
            raise InterruptedError
        with resumable(store, "key") as progress:
            assert progress.completed() in (0, 3)
            assert progress.state_path.exists() == (progress.completed() == 3)


class TestColumn:
    def test_is_a_sequence_that_reads_one_record_at_a_time(self, tmp_path: Path) -> None:
        progress = Progress(tmp_path)
        for index in range(4):
            progress.save(index, record(index))
        column = progress.column("weights", 4)
        assert len(column) == 4
        np.testing.assert_array_equal(np.array(list(column))[:, 0], [0, 1, 2, 3])
        np.testing.assert_array_equal(np.array(column[1:3])[:, 0], [1, 2])
        (tmp_path / "record-00000.npz").unlink()
        np.testing.assert_array_equal(column[3], record(3)["weights"])
        with pytest.raises(IndexError):
            column[4]


KEY = "5e" * 32
RECORD = {"weights": np.linspace(-1, 1, 23, dtype=np.float32), "loss": np.array(0.3)}
FLIPS = 60


def trained_state() -> dict[str, Any]:
    """Return the state of a small network and its optimizer, as in training."""
    network = torch.nn.Linear(5, 3)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(2, 5)).sum().backward()
    optimizer.step()
    parts = {"model": network.state_dict(), "optimizer": optimizer.state_dict()}
    return {"step": 7, "generator": torch.get_rng_state(), **parts}


STATE = trained_state()


def same(left: Any, right: Any) -> bool:
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def read_state(progress: Progress) -> bool:
    return same(progress.read_state(lambda file: torch.load(file, weights_only=True)), STATE)


def read_record(progress: Progress) -> bool:
    record, column = progress.load(0), progress.column("weights", 1)[0]
    return all(map(np.array_equal, (*record.values(), column), (*RECORD.values(), RECORD["weights"])))


@pytest.fixture
def progress(tmp_path: Path) -> Progress:
    """The progress of an interrupted job that saved a record and a state."""
    with pytest.raises(InterruptedError), resumable(tmp_path / "s.zarr", KEY) as progress:  # noqa: PT012
        progress.save(0, RECORD)
        progress.replace_state(lambda file: torch.save(STATE, file))
        raise InterruptedError
    return progress


@pytest.mark.parametrize(("name", "read"), [("state", read_state), ("record-00000.npz", read_record)])
def test_all_damage_to_state_and_records_is_noticed(
    name: str, read: Callable[[Progress], bool], progress: Progress
) -> None:
    path = progress.directory / name
    content = path.read_bytes()
    assert read(progress)
    random = np.random.default_rng(0)
    for place in random.integers(len(content), size=FLIPS):
        flipped = bytes([content[place] ^ (1 << int(random.integers(8)))])
        for damaged in (content[:place] + flipped + content[place + 1 :], content[:place]):
            path.write_bytes(damaged)
            with pytest.raises(UserError, match=rf"damaged, in .*{name}; .*`rm -rf \S+-progress`"):
                read(progress)
    path.unlink()
    with pytest.raises(UserError, match="damaged"):
        read(progress)


def test_progress_with_a_damaged_key_is_never_resumed(progress: Progress) -> None:
    """The job starts over instead."""
    path = progress.directory / "key.json"
    files = {file: file.read_bytes() for file in progress.directory.iterdir()}
    for place in range(len(files[path])):
        for damaged in (*(flip(files[path], place, bit) for bit in (0, 5)), files[path][:place]):
            for file, content in files.items():
                file.write_bytes(content)
            path.write_bytes(damaged)
            with (  # noqa: PT012
                pytest.raises(InterruptedError),
                resumable(progress.directory.with_name("s.zarr"), KEY) as again,
            ):
                # White space around the key may differ.
                assert again.completed() == 0 or f'"{KEY}"'.encode() in damaged
                raise InterruptedError


def flip(content: bytes, place: int, bit: int) -> bytes:
    return content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]


class TestKey:
    def test_depends_on_settings_and_on_the_content_of_files(self, tmp_path: Path) -> None:
        code = tmp_path / "code.py"
        code.write_text("one")
        first = progress_key({"a": 1, "b": 2}, [code])
        assert progress_key({"b": 2, "a": 1}, [str(code)]) == first
        assert progress_key({"a": 1, "b": 3}, [code]) != first
        assert progress_key({"a": 1, "b": 2}, []) != first
        code.write_text("two")
        assert progress_key({"a": 1, "b": 2}, [code]) != first

    def test_depends_on_the_numerical_packages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        first = progress_key({}, [])
        monkeypatch.setattr(module, "package_versions", lambda: {"torch": "0"})
        assert progress_key({}, []) != first


def test_the_keys_of_resumable_jobs_depend_on_settings_device_inputs_and_code() -> None:
    found = {}
    for path in (WORKFLOW / "scripts").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "progress_key":
                found[path.stem] = tuple(map(ast.unparse, node.args))
    settings = "{**settings, 'device': device.type, 'code': snakemake.params.code}"
    of_many = (settings, "snakemake.input.manifests")
    of_one = (settings, "[snakemake.input.manifest]")
    assert found == {"train": of_one, "eigenpairs": of_many, "null": of_many}


def start(store: Path, body: str) -> subprocess.Popen[str]:
    """Start a process that runs ``body`` with the progress of ``store``."""
    code = (
        "import logging, sys, time; from pathlib import Path; import numpy as np\n"
        "from eigendrift.stores.progress import resumable\n"
        "logging.basicConfig(stream=sys.stdout, level=logging.INFO, format='%(message)s')\n"
        f"with resumable(Path({str(store)!r}), 'key') as progress:\n"
    ) + "".join(f"    {line}\n" for line in body.splitlines())
    environment = os.environ | {"PYTHONPATH": str(WORKFLOW), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)


def said(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"the process ended without saying {words!r}")


class TestProcesses:
    def test_a_second_process_waits_until_the_first_one_has_succeeded(self, store: Path) -> None:
        signalled = store.parent / "go"
        with start(
            store,
            "progress.save(0, {'a': np.zeros(2)})\n"
            "print('holding')\n"
            f"while not Path({str(signalled)!r}).exists(): time.sleep(0.01)\n",
        ) as first:
            said(first, "holding")
            with start(store, "print('completed', progress.completed())") as second:
                said(second, "Another process is using")
                time.sleep(0.1)
                assert second.poll() is None
                signalled.touch()
                said(second, "completed 0")
            assert second.returncode == 0
        assert first.returncode == 0
        assert list(store.parent.iterdir()) == [signalled]

    def test_a_killed_process_leaves_its_records(self, store: Path) -> None:
        with start(
            store,
            "for index in range(10 ** 6):\n"
            "    progress.save(index, {'a': np.arange(1000) + index})\n"
            "    if index >= 5: print('saved', index)",
        ) as job:
            said(job, "saved 20")
            job.send_signal(signal.SIGKILL)
        assert job.returncode == -signal.SIGKILL
        with resumable(store, "key") as progress:
            done = progress.completed()
            assert done > 20
            for index in range(done):
                np.testing.assert_array_equal(progress.load(index)["a"], np.arange(1000) + index)

    def test_processes_take_turns(self, store: Path) -> None:
        """Processes arrive while others delete the directory, and no two use it at the same time."""
        inside = store.parent.parent / "inside"
        body = (
            f"Path({str(inside)!r}).open('x').close()\n"
            "progress.save(0, {'a': np.zeros(2)})\n"
            "time.sleep(0.005)\n"
            f"Path({str(inside)!r}).unlink()"
        )
        code = (
            "from pathlib import Path; import numpy as np, time\n"
            "from eigendrift.stores.progress import resumable\n"
            "for _ in range(8):\n"
            f"    with resumable(Path({str(store)!r}), 'key') as progress:\n"
        ) + "".join(f"        {line}\n" for line in body.splitlines())
        environment = os.environ | {"PYTHONPATH": str(WORKFLOW)}
        crowd = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(3)]
        assert [process.wait() for process in crowd] == [0, 0, 0]
        assert list(store.parent.iterdir()) == []


def test_a_directory_that_another_job_deletes_is_created_again(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.parent.mkdir()
    mkdir, deletions = Path.mkdir, iter([True, True, False])

    def deleted_at_once(path: Path, *args: int, **options: bool) -> None:
        mkdir(path, *args, **options)
        if next(deletions):
            path.rmdir()

    monkeypatch.setattr(module.Path, "mkdir", deleted_at_once)
    with resumable(store, "key") as progress:
        progress.save(0, record(0))
        assert progress.completed() == 1

"""Stores that are refused: wrong arrays when writing, damage and interruptions when reading."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from store_helpers import columns_of
from zarr.core.sync import loop as zarr_loop
from zarr.storage import LocalStore

from eigendrift.errors import UserError
from eigendrift.stores import writing as module
from eigendrift.stores.arrays import SCHEMA_VERSION, STORES, ArraySpec
from eigendrift.stores.files import manifest_path
from eigendrift.stores.reading import open_store, read_manifest
from eigendrift.stores.writing import write_store

FLIPS = 1
TESTS, WORKFLOW = Path(__file__).parent, Path(module.__file__).parents[2]


def changed(name: str, change: Callable[[np.ndarray], Any]) -> dict[str, Any]:
    columns = columns_of("eigenpairs")
    return columns | {name: change(columns[name])}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in columns_of("eigenpairs").items() if key != name}


class TestWriting:
    @pytest.mark.parametrize(
        ("columns", "words"),
        [
            (changed("eigenvalue", lambda a: a.astype(np.float32)), "'eigenvalue' has shape .*float32"),
            (changed("eigenvector", lambda a: a.astype(np.float64)), "'eigenvector' has .*float64"),
            (changed("eigenvalue", lambda a: a[..., None]), r"'eigenvalue' has shape \(4, 2, 1\)"),
            (changed("gap", lambda a: a[:, :1]), "'gap' has 1 along 'rank', other arrays 2"),
            (changed("eigenvector", lambda a: a[:3]), "'eigenvector' has 3 along 'checkpoint'"),
            (
                changed("eigenvector", lambda a: [*a[:3], a[3].astype(np.float64)]),
                "record 3 .* has another",
            ),
            (changed("eigenvector", lambda a: [*a[:3], a[3][:1]]), "record 3 .* has another"),
            (without("residual"), "'residual' is missing from a store of kind 'eigenpairs'"),
            (columns_of("eigenpairs") | {"colour": np.zeros(4)}, "'eigenpairs' has no array 'colour'"),
        ],
    )
    def test_refused(self, columns: dict[str, Any], words: str, tmp_path: Path) -> None:
        store = tmp_path / "e.zarr"
        with pytest.raises(ValueError, match=words):
            write_store(store, "eigenpairs", columns, {})
        assert not store.exists()
        assert not manifest_path(store).exists()


class FailsAt:
    """Records one of which cannot be read."""

    def __init__(self, records: np.ndarray, index: int) -> None:
        self._records, self._index = records, index

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> np.ndarray:
        if index == self._index:
            raise InterruptedError
        return self._records[index]


class TestInterruptions:
    def test_a_failure_leaves_nothing(self, tmp_path: Path) -> None:
        store = tmp_path / "e.zarr"
        with pytest.raises(InterruptedError):
            write_store(store, "eigenpairs", changed("eigenvector", lambda a: FailsAt(a, 2)), {})
        assert not store.exists()
        assert not manifest_path(store).exists()
        write_store(store, "eigenpairs", columns_of("eigenpairs"), {})
        assert sorted(path.name for path in tmp_path.iterdir()) == ["e.json", "e.zarr"]

    def test_a_failure_leaves_the_old_store(self, tmp_path: Path) -> None:
        store = tmp_path / "e.zarr"
        write_store(store, "eigenpairs", columns_of("eigenpairs"), {})
        before = manifest_path(store).read_bytes()
        with pytest.raises(InterruptedError):
            write_store(store, "eigenpairs", changed("eigenvector", lambda a: FailsAt(a, 2)), {})
        assert manifest_path(store).read_bytes() == before
        np.testing.assert_array_equal(open_store(store, "eigenpairs")["gap"].values, columns_of("eigenpairs")["gap"])

    @pytest.mark.parametrize("blocked", ["publish_directory", "write_json"])
    def test_an_old_manifest_never_describes_a_new_store(
        self, blocked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = tmp_path / "e.zarr"
        write_store(store, "eigenpairs", columns_of("eigenpairs"), {})

        def fail(*_: object) -> None:
            raise InterruptedError

        monkeypatch.setattr(module, blocked, fail)
        with pytest.raises(InterruptedError):
            write_store(store, "eigenpairs", columns_of("eigenpairs", seed=1), {})
        assert not manifest_path(store).exists()
        with pytest.raises(UserError, match=r"e\.json is missing or damaged"):
            open_store(store, "eigenpairs")

    @pytest.mark.slow
    def test_killed_at_any_moment_the_store_is_the_old_one_or_the_new_one(self, tmp_path: Path) -> None:
        store = tmp_path / "e.zarr"
        code = (
            "import itertools, sys; from pathlib import Path\n"
            "from eigendrift.stores.writing import write_store; from store_helpers import columns_of\n"
            "both = [columns_of('eigenpairs', seed) for seed in (0, 1)]\n"
            "for columns in itertools.cycle(both):\n"
            f"    write_store(Path({str(store)!r}), 'eigenpairs', columns, {{}})"
        )
        both = [columns_of("eigenpairs", seed) for seed in (0, 1)]
        write_store(store, "eigenpairs", both[0], {})
        moments = np.random.default_rng(0)
        for _ in range(3):
            writer = subprocess.Popen(
                [sys.executable, "-c", code], env={"PYTHONPATH": f"{WORKFLOW}:{TESTS}"}, cwd=tmp_path
            )
            started = time.monotonic()
            before = store.stat().st_ino
            while store.exists() and store.stat().st_ino == before and time.monotonic() - started < 20:
                time.sleep(0.01)
            time.sleep(moments.uniform(0, 0.1))
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            if store.exists() and manifest_path(store).exists():
                read = open_store(store, "eigenpairs").load()
                assert any(
                    all(np.array_equal(read[name].values, values) for name, values in columns.items())
                    for columns in both
                )
            write_store(store, "eigenpairs", both[0], {})
        assert sorted(path.name for path in tmp_path.iterdir()) == ["e.json", "e.zarr"]


def rewrite_manifest(store: Path, **changes: object) -> None:
    path = manifest_path(store)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


CHUNK_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "flipped": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "checksum": lambda content: content[:-1] + bytes([content[-1] ^ 128]),
    "cut": lambda content: content[: len(content) // 2],
    "emptied": lambda content: b"",
    "longer": lambda content: content + b"\0",
    "zeros": lambda content: bytes(len(content)),
}
MANIFEST_DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": lambda store: manifest_path(store).unlink(),
    "cut": lambda store: manifest_path(store).write_text(manifest_path(store).read_text()[:100]),
    "not_text": lambda store: manifest_path(store).write_bytes(b"\xff\xfe\x00"),
    "a_list": lambda store: manifest_path(store).write_text("[]"),
    "no_version": lambda store: manifest_path(store).write_text("{}"),
    "version": lambda store: rewrite_manifest(store, schema_version=99),
    "settings": lambda store: rewrite_manifest(store, settings={"seed": 1}),
    "summary": lambda store: rewrite_manifest(store, summary={"diverged_at": 3}),
    "no_checksum": lambda store: rewrite_manifest(store, checksum=None),
}


def edit_group(store: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = store / "zarr.json"
    metadata = json.loads(path.read_text())
    change(metadata)
    path.write_text(json.dumps(metadata))


def arrays_of(metadata: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = metadata["consolidated_metadata"]["metadata"]
    return found


MISMATCH = "does not belong to .*e.json, or its zarr.json is damaged"
STORE_DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (shutil.rmtree, "is missing"),
    "empty": (lambda store: (shutil.rmtree(store), store.mkdir()), "zarr.json is missing"),
    "no_group": (lambda store: (store / "zarr.json").unlink(), "zarr.json is missing"),
    "cut": (lambda store: (store / "zarr.json").write_text("{"), MISMATCH),
    "a_list": (lambda store: (store / "zarr.json").write_text("[]"), MISMATCH),
    "no_arrays": (lambda store: edit_group(store, lambda m: m.pop("consolidated_metadata")), MISMATCH),
    "shape": (
        lambda store: edit_group(store, lambda m: arrays_of(m)["gap"].update(shape=[4, 1])),
        MISMATCH,
    ),
    "settings": (
        lambda store: edit_group(store, lambda m: m["attributes"]["settings"].update(seed=1)),
        MISMATCH,
    ),
    "foreign": (
        lambda store: (shutil.rmtree(store), zarr.create_group(store, zarr_format=3)),
        MISMATCH,
    ),
}


class TestReading:
    @pytest.fixture
    def store(self, tmp_path: Path) -> Path:
        path = tmp_path / "e.zarr"
        write_store(path, "eigenpairs", columns_of("eigenpairs"), {})
        return path

    @pytest.mark.parametrize("damage", MANIFEST_DAMAGES)
    def test_manifest_refused(self, damage: str, store: Path) -> None:
        MANIFEST_DAMAGES[damage](store)
        version = f"schema version 99, expected {SCHEMA_VERSION}"
        words = version if damage == "version" else "e.json is (missing or )?damaged"
        with pytest.raises(UserError, match=words) as refusal:
            read_manifest(store)
        assert f"run `rm -rf {store} {manifest_path(store)}` and then snakemake again" in str(refusal.value)
        assert "\n" not in str(refusal.value)

    @pytest.mark.parametrize("damage", STORE_DAMAGES)
    def test_store_refused(self, damage: str, store: Path) -> None:
        change, words = STORE_DAMAGES[damage]
        change(store)
        with pytest.raises(UserError, match=words) as refusal:
            open_store(store, "eigenpairs")
        assert f"run `rm -rf {store} {manifest_path(store)}` and then snakemake again" in str(refusal.value)
        assert "\n" not in str(refusal.value)

    def test_another_kind_or_an_older_registry_is_refused(self, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(UserError, match="is of kind 'eigenpairs', expected 'null'"):
            open_store(store, "null")
        specs = {
            "gap": ArraySpec("gap", ("checkpoint", "pair"), "Another array."),
            "residual": ArraySpec("residual", ("checkpoint", "rank"), "Another array.", dtype="float32"),
        }
        for name, other in specs.items():
            arrays = tuple(other if spec.name == name else spec for spec in STORES["eigenpairs"].arrays)
            monkeypatch.setitem(STORES, "eigenpairs", replace(STORES["eigenpairs"], arrays=arrays))
            with pytest.raises(UserError, match=f"array '{name}' is .*, expected .* of {other.dtype}"):
                open_store(store, "eigenpairs")
            monkeypatch.undo()

    @pytest.mark.parametrize("name", [spec.name for spec in STORES["eigenpairs"].arrays])
    def test_a_damaged_or_lost_chunk_is_refused(self, name: str, store: Path) -> None:
        chunk = max(path for path in (store / name / "c").rglob("*") if path.is_file())
        key, content = chunk.relative_to(store / name), chunk.read_bytes()
        for damage in CHUNK_DAMAGES.values():
            chunk.write_bytes(damage(content))
            with pytest.raises(UserError, match=f"chunk {key} of array '{name}' does not have the content") as refusal:
                open_store(store, "eigenpairs")[name].load()
            assert f"run `rm -rf {store} {manifest_path(store)}` and then snake" in str(refusal.value)
        chunk.unlink()
        with pytest.raises(UserError, match=f"chunk {key} of array '{name}' is missing"):
            open_store(store, "eigenpairs")

    def test_other_chunks_are_read_before_a_refusal(self, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Otherwise asyncio would report them like a bug when the process ends."""
        chunk = min(path for path in (store / "eigenvector/c").rglob("*") if path.is_file())
        chunk.write_bytes(b"")
        get = LocalStore.get

        async def slow(self: LocalStore, key: str, *arguments: Any) -> Any:
            await asyncio.sleep(0 if key.endswith(str(chunk.relative_to(store))) else 0.5)
            return await get(self, key, *arguments)

        monkeypatch.setattr(LocalStore, "get", slow)
        with pytest.raises(UserError, match="does not have the content"):
            open_store(store, "eigenpairs")["eigenvector"].load()
        assert asyncio.all_tasks(zarr_loop[0]) == set()

    def test_a_store_with_the_manifest_of_another_is_refused(self, store: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.zarr"
        write_store(other, "eigenpairs", columns_of("eigenpairs", seed=1), {})
        manifest_path(other).replace(manifest_path(store))
        with pytest.raises(UserError, match=MISMATCH):
            open_store(store, "eigenpairs")


@pytest.mark.parametrize(
    "kind",
    ["eigenpairs", "trajectory"]
    + [pytest.param(kind, marks=pytest.mark.slow) for kind in STORES if kind not in ("eigenpairs", "trajectory")],
)
def test_every_flipped_bit_is_noticed_or_harmless(kind: str, tmp_path: Path) -> None:
    """The store is refused or has the content that was written, since some metadata have a copy."""
    store = tmp_path / "s.zarr"
    columns = columns_of(kind)
    write_store(store, kind, columns, {"seed": 3}, {"diverged_at": None})
    intact = open_store(store, kind)
    random = np.random.default_rng(list(kind.encode()))
    files = sorted(path for path in [manifest_path(store), *store.rglob("*")] if path.is_file())
    refused = 0
    for path in files:
        content = path.read_bytes()
        for place in random.integers(len(content), size=FLIPS):
            damaged = bytes([content[place] ^ (1 << int(random.integers(8)))])
            path.write_bytes(content[:place] + damaged + content[place + 1 :])
            try:
                read = open_store(store, kind).load()
            except UserError:
                refused += 1
            else:
                assert read.attrs == intact.attrs
                for name, values in columns.items():
                    np.testing.assert_array_equal(read[name].values, values)
        path.write_bytes(content)
    chunks = sum(path.name != "zarr.json" for path in files)
    assert refused > FLIPS * chunks * 0.9


def test_intact_chunks_in_the_wrong_place_are_refused(tmp_path: Path) -> None:
    """The checksum inside the chunk is right, but it belongs to another checkpoint, array or store."""
    store, other = tmp_path / "s.zarr", tmp_path / "other.zarr"
    for path, seed in ((store, 0), (other, 1)):
        write_store(path, "trajectory", columns_of("trajectory", seed), {"seed": 3})
    places = ("weights/c/0/0", "weights/c/1/0", "gradient/c/0/0", "train_loss/c/0", "test_loss/c/0")
    intact = {place: (store / place).read_bytes() for place in places}
    damages = [
        {"weights/c/0/0": intact["weights/c/1/0"], "weights/c/1/0": intact["weights/c/0/0"]},
        {"weights/c/0/0": intact["gradient/c/0/0"]},
        {"train_loss/c/0": intact["test_loss/c/0"]},
        *({place: (other / place).read_bytes()} for place in places),
    ]
    for damage in damages:
        for place, content in damage.items():
            (store / place).write_bytes(content)
        for place in damage:
            name, _, chunk = place.partition("/")
            with pytest.raises(UserError, match=rf"s\.zarr is damaged: chunk {chunk} of array '{name}' does not"):
                open_store(store, "trajectory")[name][int(chunk[2])].load()
            (store / place).write_bytes(intact[place])
    open_store(store, "trajectory").load()

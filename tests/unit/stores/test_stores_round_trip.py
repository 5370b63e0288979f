"""What is written is read back, by this library and by xarray alone."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from store_helpers import SIZES, columns_of

from eigendrift.errors import UserError
from eigendrift.stores.arrays import SCHEMA_VERSION, STORES
from eigendrift.stores.files import manifest_path
from eigendrift.stores.reading import open_run, open_store, read_manifest
from eigendrift.stores.writing import write_store


def written(path: Path, kind: str) -> Path:
    store = path / f"{kind}.zarr"
    write_store(store, kind, columns_of(kind), {"seed": 3}, {"note": None})
    return store


@pytest.mark.parametrize("kind", STORES)
def test_round_trip(kind: str, tmp_path: Path) -> None:
    store = written(tmp_path, kind)
    read = open_store(store, kind)
    for name, values in columns_of(kind).items():
        assert read[name].dtype == values.dtype
        np.testing.assert_array_equal(read[name].values, values)
    assert read.attrs["settings"] == {"seed": 3}
    assert read.attrs["summary"] == {"note": None}
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{kind}.json", f"{kind}.zarr"]
    plain = xr.open_zarr(store)
    for spec in STORES[kind].arrays:
        assert plain[spec.name].dims == spec.dims
        assert plain[spec.name].attrs["units"] == spec.unit
        assert plain[spec.name].attrs["long_name"] == spec.meaning
        metadata = json.loads((store / spec.name / "zarr.json").read_text())
        assert metadata["zarr_format"] == 3
        assert [codec["name"] for codec in metadata["codecs"]] == ["bytes", "zstd", "crc32c"]
        if spec.recorded:
            shape = [SIZES[dim] for dim in spec.dims]
            assert metadata["chunk_grid"]["configuration"]["chunk_shape"] == [1, *shape[1:]]
            assert sum(path.is_file() for path in (store / spec.name / "c").rglob("*")) == shape[0]
    names = {spec.name for spec in STORES[kind].arrays}
    assert set(plain.coords) == names & {"step", "rank", "layer", "draw", "seed"}


def test_second_moment_may_be_missing(tmp_path: Path) -> None:
    columns = columns_of("trajectory")
    del columns["second_moment"]
    write_store(tmp_path / "trajectory.zarr", "trajectory", columns, {})
    assert "second_moment" not in open_store(tmp_path / "trajectory.zarr", "trajectory")


def test_reading_one_checkpoint_reads_only_its_chunk(tmp_path: Path) -> None:
    store = written(tmp_path, "eigenpairs")
    read = open_store(store, "eigenpairs")
    for index, chunk in enumerate(sorted((store / "eigenvector/c").iterdir())):
        if index != 2:
            (chunk / "0/0").write_bytes(b"broken")
    expected = columns_of("eigenpairs")["eigenvector"]
    np.testing.assert_array_equal(read["eigenvector"][2].values, expected[2])
    with pytest.raises(UserError, match="array 'eigenvector' does not have the content"):
        read["eigenvector"][1].load()


def test_arrays_without_records_are_cut_into_chunks_of_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eigendrift.stores.writing.CHUNK_BYTES", 60)
    store = written(tmp_path, "data")
    images = zarr.open_group(store, mode="r")["train_images"]
    assert images.chunks == (2, 2, 3)  # type: ignore[union-attr]
    np.testing.assert_array_equal(open_store(store, "data")["train_images"].values, columns_of("data")["train_images"])


def test_the_same_content_gives_the_same_manifest_to_the_byte(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        contents.append(manifest_path(written(tmp_path / name, "eigenpairs")).read_bytes())
    assert contents[0] == contents[1]


def test_manifest_says_shapes_settings_versions_and_summary(tmp_path: Path) -> None:
    manifest = read_manifest(written(tmp_path, "eigenpairs"))
    assert manifest["kind"] == "eigenpairs"
    assert manifest["schema_version"] == SCHEMA_VERSION
    assert manifest["settings"] == {"seed": 3}
    assert manifest["summary"] == {"note": None}
    assert manifest["arrays"]["eigenvector"]["shape"] == [4, 2, 11]
    assert manifest["arrays"]["eigenvector"]["dims"] == ["checkpoint", "rank", "parameter"]
    assert set(manifest["versions"]) == {"eigendrift", "python", "numpy", "scipy", "torch", "zarr"}


@pytest.mark.parametrize("kind", ["eigenpairs", "minimum"])
def test_the_digest_depends_on_every_array(kind: str, tmp_path: Path) -> None:
    digests = set()
    for number, changed in enumerate([None, *columns_of(kind)]):
        columns = columns_of(kind)
        if changed:
            bits = np.ascontiguousarray(columns[changed]).view(np.uint8)
            bits.flat[-1] ^= 1
            assert zlib.crc32(bits) != zlib.crc32(columns_of(kind)[changed])
            columns[changed] = bits.view(columns[changed].dtype)
        store = tmp_path / f"{number}.zarr"
        write_store(store, kind, columns, {})
        digests.add(read_manifest(store)["digest"])
    assert len(digests) == 1 + len(columns_of(kind))


def test_an_environment_without_torch_writes_a_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eigendrift.stores.files.NUMERICAL_PACKAGES", ("numpy", "not_installed"))
    versions = read_manifest(written(tmp_path, "data"))["versions"]
    assert set(versions) == {"eigendrift", "python", "numpy"}


@pytest.mark.parametrize("seed", [0, 1])
def test_trajectory_and_eigenpairs_of_different_runs_are_refused(tmp_path: Path, seed: int) -> None:
    settings = {"trajectory": {"seed": 0}, "eigenpairs": {"training": {"seed": seed}}}
    paths = []
    for kind, own in settings.items():
        paths.append(tmp_path / f"{kind}.zarr")
        write_store(paths[-1], kind, columns_of(kind), own)
    if seed == 0:
        opened = open_run(*paths)
        assert [store.attrs["settings"] for store in opened] == list(settings.values())
        return
    with pytest.raises(
        UserError, match=r"trajectory\.zarr and .*eigenpairs\.zarr belong to different runs; .* `rm -rf"
    ):
        open_run(*paths)


def test_files_that_other_systems_leave_in_a_store_are_ignored(tmp_path: Path) -> None:
    store = tmp_path / "eigenpairs.zarr"
    columns = columns_of("eigenpairs")
    write_store(store, "eigenpairs", columns, {})
    for directory in [tmp_path, store, *(path for path in store.rglob("*") if path.is_dir())]:
        for name in ("._zarr.json", ".DS_Store", "._eigenpairs.json"):
            (directory / name).write_bytes(b"\0\5\x16\7")
    opened = open_store(store, "eigenpairs").load()
    np.testing.assert_array_equal(opened["eigenvalue"], columns["eigenvalue"])
    assert xr.open_zarr(store).load()["eigenvalue"].equals(opened["eigenvalue"].drop_attrs())

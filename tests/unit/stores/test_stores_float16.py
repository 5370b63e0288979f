"""Unit vectors in float16."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from store_helpers import columns_of

from eigendrift.digests import digest
from eigendrift.stores.arrays import from_float16, to_float16
from eigendrift.stores.reading import open_store, read_manifest
from eigendrift.stores.writing import write_store

SMALLEST = 2.0**-29
DIGITS = 2.0**-11


def unit(entries: np.ndarray) -> np.ndarray:
    return (entries / np.linalg.norm(entries)).astype(np.float32)


@pytest.mark.parametrize("size", [10, 1_000_000])
@pytest.mark.parametrize("spread", [0, 2], ids=["isotropic", "localized"])
def test_rounding_keeps_eleven_digits_of_large_and_small_entries(size: int, spread: int) -> None:
    generator = np.random.default_rng(0)
    vector = unit(generator.standard_normal(size) * np.exp(spread * generator.standard_normal(size)))
    after = from_float16(to_float16(vector))
    assert after.dtype == np.float32
    held = np.abs(vector) >= SMALLEST
    # Plain float16 would lose digits of most entries of a large vector.
    assert held.mean() > 0.99
    assert np.all(np.abs(after - vector)[held] <= DIGITS * np.abs(vector)[held])
    assert np.linalg.norm(after.astype(float) - vector) < 3e-4


def test_powers_of_two_and_nan_stay_the_same() -> None:
    vector = np.array([0, -1, np.nan, 2.0**-20], np.float32)
    np.testing.assert_array_equal(from_float16(to_float16(vector)), vector)


@pytest.fixture
def rounded() -> dict[str, np.ndarray]:
    columns = columns_of("eigenpairs")
    vectors = columns["eigenvector"] / np.linalg.norm(columns["eigenvector"], axis=-1, keepdims=True)
    return columns | {"eigenvector": to_float16(vectors)}


def test_a_store_in_float16_reads_as_float32_here_and_scaled_by_xarray(
    tmp_path: Path, rounded: dict[str, np.ndarray]
) -> None:
    write_store(tmp_path / "eigenpairs.zarr", "eigenpairs", rounded, {})
    expected = from_float16(rounded["eigenvector"])
    read = open_store(tmp_path / "eigenpairs.zarr", "eigenpairs")["eigenvector"]
    assert read.dtype == np.float32
    assert "scale_factor" not in read.attrs
    np.testing.assert_array_equal(read.values, expected)
    np.testing.assert_array_equal(read[2, 1:].values, expected[2, 1:])
    np.testing.assert_array_equal(xr.open_zarr(tmp_path / "eigenpairs.zarr")["eigenvector"].values, expected)


def test_the_digest_belongs_to_the_numbers_on_disk(tmp_path: Path, rounded: dict[str, np.ndarray]) -> None:
    store = tmp_path / "eigenpairs.zarr"
    write_store(store, "eigenpairs", rounded, {})
    on_disk = np.asarray(zarr.open_group(store, mode="r")["eigenvector"][:])  # type: ignore[index]
    entry = read_manifest(store)["arrays"]["eigenvector"]
    assert on_disk.dtype == np.float16
    assert entry["dtype"] == "float16"
    assert entry["sha256"] == digest(on_disk.tobytes())


@pytest.mark.parametrize(("kind", "name"), [("null", "eigenvector"), ("trajectory", "weights")])
def test_other_arrays_are_refused_in_float16(tmp_path: Path, kind: str, name: str) -> None:
    columns = columns_of(kind)
    columns[name] = to_float16(columns[name] / np.abs(columns[name]).max())
    with pytest.raises(ValueError, match=rf"'{name}' has shape .* of float16, expected .* of float32"):
        write_store(tmp_path / f"{kind}.zarr", kind, columns, {})


def test_a_store_in_float32_has_no_scale(tmp_path: Path) -> None:
    write_store(tmp_path / "eigenpairs.zarr", "eigenpairs", columns_of("eigenpairs"), {})
    metadata = json.loads((tmp_path / "eigenpairs.zarr/eigenvector/zarr.json").read_text())
    assert metadata["data_type"] == "float32"
    assert set(metadata["attributes"]) == {"units", "long_name"}

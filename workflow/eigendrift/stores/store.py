"""Writing and reading stores: zarr v3 groups that ``xarray.open_zarr`` reads as they are."""

import hashlib
import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from eigendrift.errors import UserError
from eigendrift.stores.files import package_versions, publish_directory, write_json
from eigendrift.stores.registry import SCHEMA_VERSION, STORES, ArraySpec

Column = np.ndarray | Sequence[np.ndarray]

# Small enough to hold a few at once, large enough that the number of files stays low.
CHUNK_BYTES = 16 * 2**20


def manifest_path(store: Path) -> Path:
    """Return where the manifest of a store lies: beside it, with the ending .json."""
    return store.with_suffix(".json")


def write_store(
    path: Path,
    kind: str,
    columns: Mapping[str, Column],
    settings: Mapping[str, Any],
    summary: Mapping[str, Any] | None = None,
) -> None:
    """Write a whole store, then its manifest; each appears complete or not at all.

    What stood there before stays until the new store is complete.

    Args:
        path: Directory of the store, ending in .zarr.
        kind: Name of the store's kind in the registry.
        columns: The arrays by name. Arrays that are stored one chunk per record may be any sequence of
            records, so that they need not fit into memory at once.
        settings: What the content depends on, as plain JSON values.
        summary: What a reader wants to know without opening the store, as plain JSON values.

    Raises:
        ValueError: An array is unknown to the registry, is missing, or has the wrong dimensions or dtype.
    """
    specs = _specs_for(kind, columns)
    attributes = {
        "kind": kind,
        "schema_version": SCHEMA_VERSION,
        "settings": dict(settings),
        "summary": dict(summary or {}),
    }
    building = path.with_name(f".{path.name}.partial")
    shutil.rmtree(building, ignore_errors=True)
    group = zarr.create_group(building, zarr_format=3, attributes=attributes | _coordinates(specs))
    sizes: dict[str, int] = {}
    arrays = {spec.name: _write_array(group, spec, columns[spec.name], sizes) for spec in specs}
    _consolidate(building)
    digest = hashlib.sha256(json.dumps(arrays, sort_keys=True).encode()).hexdigest()
    manifest = {**attributes, "digest": digest, "arrays": arrays, "versions": package_versions()}
    # A manifest vouches for the store beside it, so there is none while the stores change places.
    manifest_path(path).unlink(missing_ok=True)
    publish_directory(building, path)
    write_json(manifest_path(path), manifest)


def read_manifest(store: Path) -> dict[str, Any]:
    """Read the manifest of a store.

    Raises:
        UserError: There is none, or it is not JSON, or another version of eigendrift wrote it.
    """
    path = manifest_path(store)
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = manifest["schema_version"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path} is missing or damaged; {_rebuild(store)}.") from None
    _check_version(path, found, store)
    return manifest


def open_store(path: Path, kind: str) -> xr.Dataset:
    """Open a store for reading; arrays are loaded when they are used.

    Args:
        path: Directory of the store.
        kind: Name of the kind that is expected.

    Returns:
        The arrays under their registered names; ``attrs["settings"]`` is what they depend on, and
        ``attrs["summary"]`` what the writer summed up.

    Raises:
        UserError: The store is missing, of another kind or version, or its arrays are not as registered.
    """
    try:
        dataset: xr.Dataset = xr.open_zarr(path, consolidated=True, chunks=None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"Store {path} is missing or damaged; {_rebuild(path)}.") from None
    if (found := dataset.attrs.get("kind")) != kind:
        raise UserError(f"Store {path} is of kind '{found}', expected '{kind}'; {_rebuild(path)}.")
    _check_version(path, dataset.attrs.get("schema_version"), path)
    variables = {str(name): variable for name, variable in dataset.variables.items()}
    try:
        for spec in _specs_for(kind, variables):
            _check(spec, variables[spec.name].dims, variables[spec.name].dtype)
    except ValueError as error:
        raise UserError(f"Store {path} is damaged: {error}; {_rebuild(path)}.") from None
    return dataset


def _coordinates(specs: Sequence[ArraySpec]) -> dict[str, str]:
    """Tell xarray that the steps are a coordinate, which it sees by itself only of dimensions."""
    return {"coordinates": "step"} if any(spec.name == "step" for spec in specs) else {}


def _consolidate(store: Path) -> None:
    """Copy the arrays' metadata into the group's, so that nobody has to list the directory.

    Listing it costs a file access per array, and zarr warns of the time stamp that Snakemake puts there.
    """
    with warnings.catch_warnings():
        # Other readers of zarr v3 ignore the copy, so that it is not in the specification does no harm.
        warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
        zarr.consolidate_metadata(store)


def _check_version(path: Path, found: object, store: Path) -> None:
    if found != SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema version {found}, expected {SCHEMA_VERSION}: another version of eigendrift "
            f"wrote it; {_rebuild(store)}."
        )


def _rebuild(path: Path) -> str:
    return f"delete {path} and {manifest_path(path)} and run snakemake again to rebuild it"


def _specs_for(kind: str, names: Mapping[str, object]) -> list[ArraySpec]:
    specs = STORES[kind].arrays
    if unknown := set(names) - {spec.name for spec in specs}:
        raise ValueError(f"a store of kind '{kind}' has no array '{min(unknown)}'")
    if missing := {spec.name for spec in specs if not spec.optional} - set(names):
        raise ValueError(f"array '{min(missing)}' is missing from a store of kind '{kind}'")
    return [spec for spec in specs if spec.name in names]


def _check(spec: ArraySpec, dims: Sequence[object], dtype: np.dtype[Any]) -> None:
    if tuple(dims) != spec.dims or dtype != np.dtype(spec.dtype):
        raise ValueError(
            f"array '{spec.name}' is {tuple(dims)} of {dtype}, expected {spec.dims} of {spec.dtype}"
        )


def _check_column(
    spec: ArraySpec, shape: tuple[int, ...], dtype: np.dtype[Any], sizes: dict[str, int]
) -> None:
    if len(shape) != len(spec.dims) or dtype != np.dtype(spec.dtype):
        raise ValueError(
            f"array '{spec.name}' has shape {shape} of {dtype}, expected {spec.dims} of {spec.dtype}"
        )
    for dim, size in zip(spec.dims, shape, strict=True):
        if sizes.setdefault(dim, size) != size:
            raise ValueError(f"array '{spec.name}' has {size} along '{dim}', other arrays {sizes[dim]}")


def _write_array(group: zarr.Group, spec: ArraySpec, column: Column, sizes: dict[str, int]) -> dict[str, Any]:
    shape = (len(column), *np.shape(column[0])) if spec.recorded else np.shape(column)
    dtype = column[0].dtype if spec.recorded else np.asarray(column).dtype
    _check_column(spec, shape, dtype, sizes)
    array = group.create_array(
        spec.name,
        shape=shape,
        chunks=_chunks(spec, shape),
        dtype=spec.dtype,
        dimension_names=spec.dims,
        compressors=[ZstdCodec(level=3), Crc32cCodec()],
        # What a lost chunk of floats reads as: zeros would pass for data.
        fill_value=np.nan if spec.dtype.startswith("float") else 0,
        attributes={"units": spec.unit, "long_name": spec.meaning},
    )
    digest = hashlib.sha256()
    rows = range(len(column)) if spec.recorded else [slice(None)]
    for row in rows:
        block = np.ascontiguousarray(column[row])
        if spec.recorded and (block.shape != shape[1:] or block.dtype != dtype):
            raise ValueError(f"record {row} of array '{spec.name}' is not like the first one")
        array[row] = block
        digest.update(block.tobytes())
    return {
        "dims": list(spec.dims),
        "shape": list(shape),
        "dtype": spec.dtype,
        "sha256": digest.hexdigest(),
    }


def _chunks(spec: ArraySpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    if spec.recorded:
        return (1, *shape[1:])
    bytes_per_row = max(1, int(np.prod(shape[1:])) * np.dtype(spec.dtype).itemsize)
    return (min(shape[0], max(1, CHUNK_BYTES // bytes_per_row)), *shape[1:])

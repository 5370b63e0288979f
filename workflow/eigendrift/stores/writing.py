"""Writing stores: zarr v3 groups that ``xarray.open_zarr`` reads as they are."""

import hashlib
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from eigendrift.errors import UserError
from eigendrift.stores import float16
from eigendrift.stores.arrays import SCHEMA_VERSION, specs_for
from eigendrift.stores.checksums import chunk_digests, digest_of, metadata_digest, sealed
from eigendrift.stores.files import (
    manifest_path,
    package_versions,
    publish_directory,
    room_for,
    write_json,
)
from eigendrift.stores.specs import ArraySpec

Column = np.ndarray | Sequence[np.ndarray]

# Small enough to hold a few at once, large enough that the number of files stays low.
CHUNK_BYTES = 16 * 2**20


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
        UserError: There is no room for the store.
    """
    attributes: dict[str, Any] = {
        "kind": kind,
        "schema_version": SCHEMA_VERSION,
        "settings": dict(settings),
        "summary": dict(summary or {}),
    }
    building = path.with_name(f".{path.name}.partial")
    shutil.rmtree(building, ignore_errors=True)
    try:
        with room_for(path, sum(map(_bytes_of, columns.values()))):
            contents = _build(building, attributes, columns)
    except UserError:
        # Room that the next job may need.
        shutil.rmtree(building, ignore_errors=True)
        raise
    manifest = {**contents, "versions": package_versions(), "store_metadata": metadata_digest(building)}
    # A manifest vouches for the store beside it, so there is none while the stores change places.
    manifest_path(path).unlink(missing_ok=True)
    publish_directory(building, path)
    write_json(manifest_path(path), sealed(manifest))


def _bytes_of(column: Column) -> int:
    return len(column) * np.asarray(column[0]).nbytes if len(column) else 0


def _build(building: Path, attributes: Mapping[str, Any], columns: Mapping[str, Column]) -> dict[str, Any]:
    """Write a store, and return its attributes and what its arrays are."""
    specs = specs_for(attributes["kind"], columns)
    group = zarr.create_group(building, zarr_format=3, attributes={**attributes, **_coordinates(specs)})
    sizes: dict[str, int] = {}
    arrays = {spec.name: _write_array(group, spec, columns[spec.name], sizes) for spec in specs}
    digest = digest_of(arrays)
    group.attrs["digest"] = digest
    _consolidate(building)
    chunks = {name: {**array, "chunks": chunk_digests(building / name)} for name, array in arrays.items()}
    return {**attributes, "digest": digest, "arrays": chunks}


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


def _check_column(
    spec: ArraySpec, shape: tuple[int, ...], dtype: np.dtype[Any], sizes: dict[str, int]
) -> None:
    if len(shape) != len(spec.dims) or str(dtype) not in spec.dtypes:
        raise ValueError(
            f"array '{spec.name}' has shape {shape} of {dtype}, "
            f"expected {spec.dims} of {' or '.join(spec.dtypes)}"
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
        dtype=str(dtype),
        dimension_names=spec.dims,
        compressors=[ZstdCodec(level=3), Crc32cCodec()],
        # What a lost chunk of floats reads as elsewhere: zeros would pass for data.
        fill_value=np.nan if spec.dtype.startswith("float") else 0,
        attributes={"units": spec.unit, "long_name": spec.meaning, **_scale(dtype)},
        # Chunks that hold nothing but the fill value are written too, so that a missing one is a lost one.
        config={"write_empty_chunks": True},
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
        "dtype": str(dtype),
        "sha256": digest.hexdigest(),
    }


def _scale(dtype: np.dtype[Any]) -> dict[str, float]:
    return {"scale_factor": float16.SCALE_FACTOR} if dtype == float16.DTYPE else {}


def _chunks(spec: ArraySpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    if spec.recorded:
        return (1, *shape[1:])
    bytes_per_row = max(1, int(np.prod(shape[1:])) * np.dtype(spec.dtype).itemsize)
    return (min(shape[0], max(1, CHUNK_BYTES // bytes_per_row)), *shape[1:])

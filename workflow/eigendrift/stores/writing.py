"""Writing stores: zarr v3 groups that ``xarray.open_zarr`` reads as they are."""

import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from eigendrift.digests import digest, digest_json, digest_parts
from eigendrift.errors import UserError
from eigendrift.stores.arrays import FLOAT16, SCALE_FACTOR, SCHEMA_VERSION, ArraySpec, specs_for
from eigendrift.stores.files import manifest_path, package_versions, publish_directory, room_for, write_json

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
    """Write a store, then its manifest; each appears completely or not at all.

    An older store stays until the new one is complete.

    Args:
        path: Directory of the store, ending in .zarr.
        kind: Name of the store's kind in the registry.
        columns: The arrays by name. Arrays that are stored in one chunk per record may be any sequence of records, so
            that they need not fit into memory at once.
        settings: What the content depends on, as plain JSON values.
        summary: What a reader wants to know without opening the store, as plain JSON values.

    Raises:
        ValueError: If an array is unknown to the registry, is missing, or has the wrong dimensions or dtype.
        UserError: If the disk is full.
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
        # The next job may need the space.
        shutil.rmtree(building, ignore_errors=True)
        raise
    # The metadata are attributes, and shape, type and codecs of every array. Chunks have digests of their own.
    metadata = digest((building / "zarr.json").read_bytes())
    manifest = {**contents, "versions": package_versions(), "store_metadata": metadata}
    # An old manifest must never describe a new store, so it is deleted before the stores are swapped.
    manifest_path(path).unlink(missing_ok=True)
    publish_directory(building, path)
    write_json(manifest_path(path), {**manifest, "checksum": digest_json(manifest)})


def _bytes_of(column: Column) -> int:
    return len(column) * np.asarray(column[0]).nbytes if len(column) else 0


def _build(building: Path, attributes: Mapping[str, Any], columns: Mapping[str, Column]) -> dict[str, Any]:
    """Write a store; return its attributes, and the shape, dtype and digests of its arrays."""
    specs = specs_for(attributes["kind"], columns)
    # Steps are a coordinate although they are not named like a dimension.
    coordinates = {"coordinates": "step"} if "step" in columns else {}
    group = zarr.create_group(building, zarr_format=3, attributes={**attributes, **coordinates})
    sizes: dict[str, int] = {}
    arrays = {spec.name: _write_array(group, spec, columns[spec.name], sizes) for spec in specs}
    content = digest_json(arrays)
    group.attrs["digest"] = content
    with warnings.catch_warnings():
        # A copy of the arrays' metadata in the group's metadata saves readers from listing the directory, which costs
        # a file access per array. The copy is not in the specification of zarr v3, and other readers ignore it.
        warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
        zarr.consolidate_metadata(building)
    chunks = {name: {**array, "chunks": _chunk_digests(building / name)} for name, array in arrays.items()}
    return {**attributes, "digest": content, "arrays": chunks}


def _chunk_digests(array: Path) -> dict[str, str]:
    """Return the digests of an array's chunks by their keys, such as ``c/0/0``; a chunk does not contain its key."""
    chunks = (path for path in sorted((array / "c").rglob("*")) if path.is_file())
    return {path.relative_to(array).as_posix(): digest(path.read_bytes()) for path in chunks}


def _write_array(group: zarr.Group, spec: ArraySpec, column: Column, sizes: dict[str, int]) -> dict[str, Any]:
    shape = (len(column), *np.shape(column[0])) if spec.recorded else np.shape(column)
    dtype = column[0].dtype if spec.recorded else np.asarray(column).dtype
    if len(shape) != len(spec.dims) or str(dtype) not in spec.dtypes:
        raise ValueError(
            f"array '{spec.name}' has shape {shape} of {dtype}, expected {spec.dims} of {' or '.join(spec.dtypes)}"
        )
    for dim, size in zip(spec.dims, shape, strict=True):
        if sizes.setdefault(dim, size) != size:
            raise ValueError(f"array '{spec.name}' has {size} along '{dim}', other arrays {sizes[dim]}")
    scale = {"scale_factor": SCALE_FACTOR} if dtype == FLOAT16 else {}
    array = group.create_array(
        spec.name,
        shape=shape,
        chunks=_chunks(spec, shape),
        dtype=str(dtype),
        dimension_names=spec.dims,
        compressors=[ZstdCodec(level=3), Crc32cCodec()],
        # Other readers see the fill value instead of a lost chunk; zeros could be mistaken for data.
        fill_value=np.nan if spec.dtype.startswith("float") else 0,
        attributes={"units": spec.unit, "long_name": spec.meaning, **scale},
        # Chunks of nothing but the fill value are written, too, so a missing chunk is always a lost one.
        config={"write_empty_chunks": True},
    )

    def written_blocks() -> Iterator[bytes]:
        for row in range(len(column)) if spec.recorded else [slice(None)]:
            block = np.ascontiguousarray(column[row])
            if spec.recorded and (block.shape != shape[1:] or block.dtype != dtype):
                raise ValueError(f"record {row} of array '{spec.name}' has another shape or dtype than record 0")
            array[row] = block
            yield block.tobytes()

    sha256 = digest_parts(written_blocks())
    return {"dims": list(spec.dims), "shape": list(shape), "dtype": str(dtype), "sha256": sha256}


def _chunks(spec: ArraySpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    if spec.recorded:
        return (1, *shape[1:])
    bytes_per_row = max(1, int(np.prod(shape[1:])) * np.dtype(spec.dtype).itemsize)
    return (min(shape[0], max(1, CHUNK_BYTES // bytes_per_row)), *shape[1:])

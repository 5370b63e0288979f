"""Reading stores: what is missing, damaged or of another kind is refused by name."""

import json
import shlex
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from xarray.backends import BackendArray
from xarray.core.indexing import (
    ExplicitIndexer,
    IndexingSupport,
    LazilyIndexedArray,
    explicit_indexing_adapter,
)

from eigendrift.errors import UserError
from eigendrift.stores import half
from eigendrift.stores.files import manifest_path
from eigendrift.stores.registry import SCHEMA_VERSION, specs_for
from eigendrift.stores.seals import is_whole, metadata_digest
from eigendrift.stores.specs import ArraySpec


def read_manifest(store: Path) -> dict[str, Any]:
    """Read the manifest of a store.

    Raises:
        UserError: There is none, or it is not JSON, or another version of eigendrift wrote it.
    """
    path = manifest_path(store)
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _check_version(store, path, manifest["schema_version"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{path} is missing or damaged; {_rebuild(store)}.") from None
    if not is_whole(manifest):
        raise UserError(f"{path} is damaged; {_rebuild(store)}.")
    return manifest


def open_store(path: Path, kind: str) -> xr.Dataset:
    """Open a store for reading; arrays are loaded when they are used.

    Args:
        path: Directory of the store.
        kind: Name of the kind that is expected.

    Returns:
        The arrays under their registered names; ``attrs["settings"]`` is what they depend on, and
        ``attrs["summary"]`` what the writer summed up. Using a damaged chunk raises UserError.

    Raises:
        UserError: The store or its manifest is missing or damaged, they do not belong together, the store is
            of another kind or version, or its arrays are not as registered.
    """
    if not path.is_dir():
        raise UserError(f"Store {path} is missing; {_rebuild(path)}.")
    _check_metadata(path, read_manifest(path))
    group = zarr.open_group(path, mode="r", use_consolidated=True)
    arrays = dict(group.arrays())
    attributes = group.attrs.asdict()
    if (found := attributes["kind"]) != kind:
        raise UserError(f"Store {path} is of kind '{found}', expected '{kind}'; {_rebuild(path)}.")
    coordinates = str(attributes.pop("coordinates", "")).split()
    try:
        variables = {spec.name: _variable(path, spec, arrays[spec.name]) for spec in specs_for(kind, arrays)}
        return xr.Dataset(variables, attrs=attributes).set_coords(coordinates)
    except ValueError as error:
        raise UserError(f"Store {path} is damaged: {error}; {_rebuild(path)}.") from None


def _check_metadata(store: Path, manifest: dict[str, Any]) -> None:
    """Refuse a store whose metadata are not those of its manifest, before anything relies on them."""
    try:
        found = metadata_digest(store)
    except OSError:
        raise UserError(f"Store {store} is damaged: zarr.json is missing; {_rebuild(store)}.") from None
    if found != manifest["store_metadata"]:
        raise UserError(
            f"Store {store} is not the one that {manifest_path(store)} was written with, or its zarr.json is "
            f"damaged; {_rebuild(store)}."
        )


class _CheckedArray(BackendArray):
    """A zarr array that names its damaged chunks; one of half precision is read as float32."""

    def __init__(self, store: Path, name: str, array: zarr.Array[Any]) -> None:
        self.shape = array.shape
        self._half = array.dtype == half.DTYPE
        self.dtype = np.dtype(np.float32) if self._half else array.dtype
        self._store = store
        self._name = name
        self._array = array

    def __getitem__(self, key: ExplicitIndexer) -> np.ndarray:
        return np.asarray(explicit_indexing_adapter(key, self.shape, IndexingSupport.BASIC, self._read))

    def _read(self, key: tuple[int | slice, ...]) -> np.ndarray:
        try:
            stored = np.asarray(self._array[key])
        # Checksum and decompression errors come as ValueError or RuntimeError, by codec.
        except (OSError, ValueError, RuntimeError):
            raise UserError(
                f"Store {self._store} is damaged: chunk {self._damaged_chunk()} of array '{self._name}' does "
                f"not have the content that was written; {_rebuild(self._store)}."
            ) from None
        return half.unpacked(stored) if self._half else stored

    def _damaged_chunk(self) -> str:
        for index in _chunk_indices(self._array):
            try:
                self._array.get_block_selection(index)
            except (OSError, ValueError, RuntimeError):
                return self._array.metadata.encode_chunk_key(index)
        return "(unknown)"


def _variable(store: Path, spec: ArraySpec, array: zarr.Array[Any]) -> xr.Variable:
    dims = getattr(array.metadata, "dimension_names", None)
    if dims is None or tuple(dims) != spec.dims or str(array.dtype) not in spec.dtypes:
        raise ValueError(
            f"array '{spec.name}' is {dims} of {array.dtype}, "
            f"expected {spec.dims} of {' or '.join(spec.dtypes)}"
        )
    for index in _chunk_indices(array):
        key = array.metadata.encode_chunk_key(index)
        if not (store / spec.name / key).is_file():
            raise ValueError(f"chunk {key} of array '{spec.name}' is missing")
    attributes = array.attrs.asdict()
    attributes.pop("scale_factor", None)
    return xr.Variable(spec.dims, LazilyIndexedArray(_CheckedArray(store, spec.name, array)), attributes)


def _chunk_indices(array: zarr.Array[Any]) -> Iterator[tuple[int, ...]]:
    counts = (-(-size // chunk) for size, chunk in zip(array.shape, array.chunks, strict=True))
    return product(*(range(count) for count in counts))


def _check_version(store: Path, path: Path, found: object) -> None:
    if found != SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema version {found}, expected {SCHEMA_VERSION}: another version of eigendrift "
            f"wrote it; {_rebuild(store)}."
        )


def _rebuild(store: Path) -> str:
    paths = shlex.join([str(store), str(manifest_path(store))])
    return f"to rebuild it, run `rm -rf {paths}` and then snakemake again"

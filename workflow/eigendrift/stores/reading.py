"""Reading stores. A store that is missing, damaged or of another kind is refused with its name."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from xarray.backends import BackendArray
from xarray.core.indexing import ExplicitIndexer, IndexingSupport, LazilyIndexedArray, explicit_indexing_adapter
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, WrapperStore

from eigendrift.digests import digest, digest_json
from eigendrift.errors import UserError
from eigendrift.stores.arrays import FLOAT16, SCHEMA_VERSION, ArraySpec, from_float16, specs_for
from eigendrift.stores.files import how_to_rebuild, manifest_path


def read_manifest(store: Path) -> dict[str, Any]:
    """Return the manifest of a store.

    Raises:
        UserError: If the manifest is missing or damaged, or if another version of eigendrift wrote it.
    """
    path = manifest_path(store)
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        schema_version = manifest["schema_version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{path} is missing or damaged; {_rebuild(store)}.") from None
    if schema_version != SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema version {schema_version}, expected {SCHEMA_VERSION}: another version of eigendrift "
            f"wrote it; {_rebuild(store)}."
        )
    content = {key: value for key, value in manifest.items() if key != "checksum"}
    if manifest.get("checksum") != digest_json(content):
        raise UserError(f"{path} is damaged; {_rebuild(store)}.")
    return manifest


def open_store(path: Path, kind: str) -> xr.Dataset:
    """Open a store for reading; arrays are loaded when they are used.

    Args:
        path: Directory of the store.
        kind: Name of the expected kind.

    Returns:
        The arrays under their registered names. ``attrs["settings"]`` is what they depend on, and ``attrs["summary"]``
        is the writer's summary. Using a damaged chunk raises UserError.

    Raises:
        UserError: If the store or its manifest is missing or damaged, if they do not belong together, if the store has
            another kind or version, or if its arrays differ from the registry.
    """
    if not path.is_dir():
        raise UserError(f"Store {path} is missing; {_rebuild(path)}.")
    manifest = read_manifest(path)
    try:
        metadata = digest((path / "zarr.json").read_bytes())
    except OSError:
        raise UserError(f"Store {path} is damaged: zarr.json is missing; {_rebuild(path)}.") from None
    if metadata != manifest["store_metadata"]:
        raise UserError(
            f"Store {path} does not belong to {manifest_path(path)}, or its zarr.json is damaged; {_rebuild(path)}."
        )
    checked = _CheckedStore(path, {name: array["chunks"] for name, array in manifest["arrays"].items()})
    group = zarr.open_group(checked, mode="r", use_consolidated=True)
    arrays = dict(group.arrays())
    attributes = group.attrs.asdict()
    if (found := attributes["kind"]) != kind:
        raise UserError(f"Store {path} is of kind '{found}', expected '{kind}'; {_rebuild(path)}.")
    coordinates = str(attributes.pop("coordinates", "")).split()
    try:
        variables = {spec.name: _variable(spec, arrays[spec.name], checked) for spec in specs_for(kind, arrays)}
        return xr.Dataset(variables, attrs=attributes).set_coords(coordinates)
    except ValueError as error:
        raise UserError(f"Store {path} is damaged: {error}; {_rebuild(path)}.") from None


def open_run(trajectory: Path, eigenpairs: Path) -> tuple[xr.Dataset, xr.Dataset]:
    """Open the trajectory of a run and its eigenpairs.

    Raises:
        UserError: If a store is missing or damaged, or if they belong to different runs.
    """
    opened = open_store(trajectory, "trajectory"), open_store(eigenpairs, "eigenpairs")
    if opened[0].attrs["settings"] != opened[1].attrs["settings"]["training"]:
        both = (trajectory, manifest_path(trajectory), eigenpairs, manifest_path(eigenpairs))
        rebuild = how_to_rebuild(*both, what="both")
        raise UserError(f"Stores {trajectory} and {eigenpairs} belong to different runs; {rebuild}.")
    return opened


class _CheckedStore(WrapperStore[LocalStore]):
    """The files of a store, of which only chunks that match the manifest are read.

    Zarr reads chunks concurrently, and an exception from one would leave the others unfinished. So a damaged chunk
    reads as empty, and readers call :meth:`refuse_damage` afterwards.
    """

    def __init__(self, path: Path, chunks: Mapping[str, Mapping[str, str]]) -> None:
        super().__init__(LocalStore(path, read_only=True))
        self._path = path
        self._digests = {f"{name}/{key}": value for name, keys in chunks.items() for key, value in keys.items()}
        self._damaged: list[str] = []
        for chunk in self._digests:
            if not (path / chunk).is_file():
                raise self._refusal(chunk, "is missing")

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        try:
            content = await super().get(key, prototype, byte_range)
        except OSError:
            content = None
        expected = self._digests.get(key)
        if expected and (content is None or digest(content.to_bytes()) != expected):
            self._damaged.append(key)
            return None
        return content

    def refuse_damage(self) -> None:
        """Raise UserError if a chunk that was read is damaged."""
        if self._damaged:
            raise self._refusal(min(self._damaged), "does not have the content that was written")

    def _refusal(self, chunk: str, what: str) -> UserError:
        name, _, key = chunk.partition("/")
        return UserError(
            f"Store {self._path} is damaged: chunk {key} of array '{name}' {what}; {_rebuild(self._path)}."
        )


class _LazyArray(BackendArray):
    """A zarr array that xarray loads when it is used; float16 is read as float32."""

    def __init__(self, array: zarr.Array[Any], store: _CheckedStore) -> None:
        self.shape = array.shape
        self._is_float16 = array.dtype == FLOAT16
        self.dtype = np.dtype(np.float32) if self._is_float16 else array.dtype
        self._array = array
        self._store = store

    def __getitem__(self, key: ExplicitIndexer) -> np.ndarray:
        return np.asarray(explicit_indexing_adapter(key, self.shape, IndexingSupport.BASIC, self._read))

    def _read(self, key: tuple[int | slice, ...]) -> np.ndarray:
        stored = np.asarray(self._array[key])
        self._store.refuse_damage()
        return from_float16(stored) if self._is_float16 else stored


def _variable(spec: ArraySpec, array: zarr.Array[Any], store: _CheckedStore) -> xr.Variable:
    dims = getattr(array.metadata, "dimension_names", None)
    if dims is None or tuple(dims) != spec.dims or str(array.dtype) not in spec.dtypes:
        raise ValueError(
            f"array '{spec.name}' is {dims} of {array.dtype}, expected {spec.dims} of {' or '.join(spec.dtypes)}"
        )
    attributes = array.attrs.asdict()
    attributes.pop("scale_factor", None)
    return xr.Variable(spec.dims, LazilyIndexedArray(_LazyArray(array, store)), attributes)


def _rebuild(store: Path) -> str:
    return how_to_rebuild(store, manifest_path(store))

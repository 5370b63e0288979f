"""Eigenpairs on disk: which eigenvectors are kept, and in which precision."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eigendrift.eigenpairs.decompose import Decomposition
from eigendrift.stores.arrays import FLOAT16, to_float16
from eigendrift.stores.progress import Records
from eigendrift.stores.writing import Column, write_store


def write_eigenpairs(
    store: Path, whole: Path | None, pairs: Decomposition, settings: Mapping[str, Any], storage: Mapping[str, Any]
) -> None:
    """Write the eigenpairs of a run that the configuration keeps, and optionally a store with all of them.

    Args:
        store: Path of the store of eigenpairs that are kept.
        whole: Path of the store of all eigenpairs; None for no such store.
        pairs: The eigenpairs.
        settings: What the eigenpairs depend on; the stores have every n-th checkpoint, n being ``every``.
        storage: ``storage`` of the configuration.
    """
    attributes = {**settings, "storage": dict(storage)}
    vectors = pairs.columns["eigenvector"]
    if storage["dtype"] == FLOAT16:
        vectors = _Changed(vectors, lambda _, record: to_float16(record))
    if whole is not None:
        write_store(whole, "eigenpairs", {**pairs.columns, "eigenvector": vectors}, attributes, pairs.summary)
    remaining = thinned(vectors, storage, settings["every"])
    write_store(store, "eigenpairs", {**pairs.columns, "eigenvector": remaining}, attributes, pairs.summary)


def thinned(vectors: Column, storage: Mapping[str, Any], every: int) -> Column:
    """Return eigenvectors with NaN, which takes no space on disk, instead of those that are not kept.

    Args:
        vectors: (checkpoint, rank, parameter), by record.
        storage: ``storage`` of the configuration: every n-th checkpoint of the run is kept, where n is ``every``, with
            its first ``ranks`` eigenvectors, or ``all``.
        every: m if the vectors are from every m-th checkpoint of the run.
    """
    interval, ranks = storage["every"], None if storage["ranks"] == "all" else storage["ranks"]

    def thinned_record(index: int, record: np.ndarray) -> np.ndarray:
        kept = np.full_like(record, np.nan)
        if index * every % interval == 0:
            kept[:ranks] = record[:ranks]
        return kept

    return _Changed(vectors, thinned_record)


class _Changed(Records):
    """Records that are changed when they are read."""

    def __init__(self, records: Column, change: Callable[[int, np.ndarray], np.ndarray]) -> None:
        self._records = records
        self._change = change

    def __len__(self) -> int:
        return len(self._records)

    def record(self, index: int) -> np.ndarray:
        return self._change(index, np.asarray(self._records[index]))

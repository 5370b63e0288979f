"""Bytes that change on disk."""

from pathlib import Path

import numpy as np
import pytest
from store_helpers import columns_of

from eigendrift.errors import UserError
from eigendrift.stores.files import manifest_path
from eigendrift.stores.reading import open_store
from eigendrift.stores.registry import STORES
from eigendrift.stores.writing import write_store


@pytest.mark.parametrize("kind", STORES)
def test_no_flipped_byte_goes_unnoticed(kind: str, tmp_path: Path) -> None:
    """The store is refused, or reads as what was written: metadata are there twice, once for each reader."""
    store = tmp_path / "s.zarr"
    columns = columns_of(kind)
    write_store(store, kind, columns, {"seed": 3}, {"diverged_at": None})
    whole = open_store(store, kind)
    dice = np.random.default_rng(list(kind.encode()))
    files = sorted(path for path in [manifest_path(store), *store.rglob("*")] if path.is_file())
    refused = 0
    for path in files:
        content = path.read_bytes()
        for place in dice.integers(len(content), size=3):
            harmed = bytes([content[place] ^ (1 << int(dice.integers(8)))])
            path.write_bytes(content[:place] + harmed + content[place + 1 :])
            try:
                read = open_store(store, kind).load()
            except UserError:
                refused += 1
            else:
                assert read.attrs == whole.attrs
                for name, values in columns.items():
                    np.testing.assert_array_equal(read[name].values, values)
        path.write_bytes(content)
    chunks = sum(path.name != "zarr.json" for path in files)
    assert refused > 3 * chunks * 0.9

"""Bytes that change on disk."""

from pathlib import Path

import numpy as np
import pytest
from store_helpers import columns_of

from eigendrift.errors import UserError
from eigendrift.stores.arrays import STORES
from eigendrift.stores.files import manifest_path
from eigendrift.stores.reading import open_store
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


def test_chunks_that_are_whole_but_another_ones_are_refused(tmp_path: Path) -> None:
    """The checksum of each is right: of another checkpoint, another array, another run's store."""
    store, other = tmp_path / "s.zarr", tmp_path / "other.zarr"
    for path, seed in ((store, 0), (other, 1)):
        write_store(path, "trajectory", columns_of("trajectory", seed), {"seed": 3})
    places = ("weights/c/0/0", "weights/c/1/0", "gradient/c/0/0", "train_loss/c/0", "test_loss/c/0")
    wholes = {place: (store / place).read_bytes() for place in places}
    harms = [
        {"weights/c/0/0": wholes["weights/c/1/0"], "weights/c/1/0": wholes["weights/c/0/0"]},
        {"weights/c/0/0": wholes["gradient/c/0/0"]},
        {"train_loss/c/0": wholes["test_loss/c/0"]},
        *({place: (other / place).read_bytes()} for place in places),
    ]
    for harm in harms:
        for place, content in harm.items():
            (store / place).write_bytes(content)
        for place in harm:
            name, _, chunk = place.partition("/")
            with pytest.raises(
                UserError, match=rf"s\.zarr is damaged: chunk {chunk} of array '{name}' does not"
            ):
                open_store(store, "trajectory")[name][int(chunk[2])].load()
            (store / place).write_bytes(wholes[place])
    open_store(store, "trajectory").load()


def test_one_checkpoint_is_read_from_its_own_chunk(tmp_path: Path) -> None:
    store = tmp_path / "s.zarr"
    write_store(store, "trajectory", columns_of("trajectory"), {})
    weights = open_store(store, "trajectory")["weights"]
    (store / "weights/c/0/0").unlink()
    np.testing.assert_array_equal(weights[2].values, columns_of("trajectory")["weights"][2])
    with pytest.raises(UserError, match="chunk c/0/0 of array 'weights'"):
        weights.load()

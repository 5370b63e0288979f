"""Which eigenvectors stay on disk."""

from typing import Any

import numpy as np

from eigendrift.eigenpairs.decompose import Decomposition
from eigendrift.eigenpairs.storage import thinned, write_eigenpairs
from eigendrift.stores.arrays import STORES, from_float16, to_float16
from eigendrift.stores.reading import open_store

# At 7 checkpoints, or 4 of them, 3 ranks of 2 parameters.
VECTORS = np.arange(1, 43, dtype=np.float32).reshape(7, 3, 2) / 100

ALL: dict[str, Any] = {"ranks": "all", "every": 1, "dtype": "float32"}
ROUNDED_PART = {"ranks": 2, "every": 6, "dtype": "float16"}


def there(vectors):
    return np.isfinite(np.stack(list(vectors))).all(-1).tolist()


def test_by_default_vectors_stay_as_they_are():
    np.testing.assert_array_equal(list(thinned(VECTORS, ALL, 1)), VECTORS)


def test_leading_ranks_of_some_checkpoints_are_kept_to_the_bit():
    left = thinned(VECTORS, ALL | {"ranks": 2, "every": 3}, 1)
    first_two, none = [True, True, False], [False] * 3
    assert there(left) == [first_two, none, none, first_two, none, none, first_two]
    np.testing.assert_array_equal(left[3][:2], VECTORS[3, :2])
    assert left[0].dtype == np.float32


def test_checkpoints_are_those_of_the_run_where_vectors_are_at_every_second_one():
    assert there(thinned(VECTORS[::2], ALL | {"every": 6}, 2)) == [[True] * 3, [False] * 3, [False] * 3, [True] * 3]


def test_more_ranks_than_there_are_keep_all():
    assert np.all(there(thinned(VECTORS, ALL | {"ranks": 9}, 1)))


def test_metrics_are_measured_of_what_is_rounded_on_disk(tmp_path):
    sizes = {"checkpoint": 7, "rank": 3, "parameter": 2}
    columns = {
        spec.name: np.zeros([sizes[dim] for dim in spec.dims], spec.dtype) for spec in STORES["eigenpairs"].arrays
    } | {"eigenvector": VECTORS}
    stores = {name: tmp_path / f"{name}/eigenpairs.zarr" for name in ("store", "whole")}
    pairs = Decomposition(columns, {})
    write_eigenpairs(**stores, pairs=pairs, settings={"every": 1}, storage=ROUNDED_PART)
    read = {name: open_store(path, "eigenpairs")["eigenvector"].values for name, path in stores.items()}
    np.testing.assert_array_equal(read["whole"], from_float16(to_float16(VECTORS)))
    np.testing.assert_array_equal(read["store"][[0, 6], :2], read["whole"][[0, 6], :2])
    assert np.isnan(read["store"][1:6]).all()

"""Samples in a store, and the fixed choice of them that a Hessian is taken over."""

from pathlib import Path

import numpy as np
import pytest

from eigendrift.data.samples import Samples
from eigendrift.data.selection import hessian_sample
from eigendrift.data.storage import read_samples, sample_columns
from eigendrift.errors import UserError
from eigendrift.stores.writing import write_store

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(5), [10, 20, 30, 40, 100]))


def test_samples_survive_their_store(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((9, 3, 4), dtype=np.float32)
    labels = np.arange(9) % 3
    samples = Samples(images[:6], labels[:6], images[6:], labels[6:])
    write_store(tmp_path / "d.zarr", "data", sample_columns(samples), {})
    read = read_samples(tmp_path / "d.zarr")
    for name, values in sample_columns(samples).items():
        assert getattr(read, name).dtype == values.dtype
        np.testing.assert_array_equal(getattr(read, name), values)


@pytest.mark.parametrize("size", ["all", 200])
def test_all_samples_in_their_order(size: int | str) -> None:
    np.testing.assert_array_equal(hessian_sample(LABELS, size), np.arange(200))


def test_a_choice_is_stratified_ordered_and_the_same_every_time() -> None:
    chosen = hessian_sample(LABELS, 50)
    assert np.abs(np.bincount(LABELS[chosen]) - np.array([2.5, 5, 7.5, 10, 25])).max() < 1
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(hessian_sample(LABELS, 50), chosen)


@pytest.mark.parametrize("size", [1, 4, 197, 199])
def test_sizes_too_small_or_large_to_stratify(size: int) -> None:
    chosen = hessian_sample(LABELS, size)
    assert len(set(chosen.tolist())) == size


def test_refuses_more_samples_than_there_are() -> None:
    with pytest.raises(UserError) as refusal:
        hessian_sample(LABELS, 201)
    assert str(refusal.value) == (
        "Config key 'eigenpairs.samples' is 201, but the training set has only 200 samples; lower it or set "
        "it to all."
    )

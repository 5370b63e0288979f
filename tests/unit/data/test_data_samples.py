"""Samples: which arrays are accepted, and how they are scaled, reduced, selected and stored."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eigendrift.data.datasets import load
from eigendrift.data.samples import (
    SCALINGS,
    Samples,
    hessian_sample,
    nested_subset,
    read_samples,
    sample_columns,
    scaled,
)
from eigendrift.errors import UserError
from eigendrift.stores.writing import write_store

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(5), [10, 20, 30, 40, 100]))


def arrays(**changes: Any) -> dict[str, Any]:
    images = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 2, 3)
    good = {
        "train_images": images,
        "train_labels": np.array([0, 1, 2, 1]),
        "test_images": images[:2],
        "test_labels": np.array([2, 0]),
    }
    return good | changes


def test_samples_survive_their_store(tmp_path: Path) -> None:
    samples = Samples(**arrays())
    assert samples.classes == 3
    write_store(tmp_path / "d.zarr", "data", sample_columns(samples), {})
    read = sample_columns(read_samples(tmp_path / "d.zarr"))
    for name, values in arrays().items():
        assert read[name].dtype == values.dtype
        np.testing.assert_array_equal(read[name], values)


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((4, 6), np.float32), "sample, row, column"),
        (np.zeros((4, 2, 3)), "float64"),
        (np.zeros((0, 2, 3), np.float32), "non-empty"),
        (np.full((4, 2, 3), np.nan, np.float32), r"not finite at \(0, 0, 0\)"),
        (np.full((4, 2, 3), np.inf, np.float32), r"not finite at \(0, 0, 0\)"),
    ],
)
def test_invalid_images_are_refused(part: str, images: np.ndarray, words: str) -> None:
    labels = np.resize(np.arange(3), len(images))
    with pytest.raises(UserError, match=f"^{part}_images .*{words}"):
        Samples(**arrays(**{f"{part}_images": images, f"{part}_labels": labels}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test_labels": [0, 1]}, "test_labels is a list, but must be a numpy array; convert it"),
        ({"train_labels": np.array([0, 1, 2])}, r"train_labels .*\(3,\).*\(4,\)"),
        ({"test_labels": np.array([[2], [0]])}, r"test_labels .*\(2, 1\)"),
        ({"train_labels": np.array([0, 1, 2, 1], np.uint8)}, "train_labels is uint8"),
        ({"train_labels": np.array([0, 1, -1, 2])}, "train_labels contains -1"),
        ({"train_labels": np.array([1, 2, 3, 1])}, "train_labels goes up to 3 without label 0"),
        ({"train_labels": np.array([0, 10**15, 1, 3])}, "without label 2"),
        ({"test_labels": np.array([3, 0])}, "test_labels contains 3, but train_labels only 0 to 2"),
        ({"test_images": np.zeros((2, 3, 2), np.float32)}, r"test_images .*\(3, 2\).*\(2, 3\)"),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Samples(**arrays(**changes))


@pytest.fixture(scope="module")
def digits() -> Samples:
    return load("digits")


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64])
def test_scaling_divides_by_the_maximum_for_every_dtype(dtype: type) -> None:
    result = scaled(np.arange(256).astype(dtype), 255)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, (np.arange(256) / 255).astype(np.float32))


def test_standardized_uses_the_mean_and_deviation_of_the_training_pixels(digits: Samples) -> None:
    assert SCALINGS["unit"](digits) is digits
    found = SCALINGS["standardized"](digits)
    assert found.train_images.dtype == np.float32
    assert found.train_images.mean(dtype=np.float64) == pytest.approx(0, abs=1e-6)
    assert found.train_images.std(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    mean, deviation = digits.train_images.mean(), digits.train_images.std()
    np.testing.assert_allclose(found.test_images, (digits.test_images - mean) / deviation, atol=1e-5)
    np.testing.assert_array_equal(found.test_labels, digits.test_labels)


def members(labels: Any, size: int) -> list[int]:
    """Return the indices of the training samples in a subset."""
    images = np.arange(len(labels), dtype=np.float32).reshape(-1, 1, 1)
    samples = Samples(images, np.asarray(labels), images, np.asarray(labels))
    return nested_subset(samples, size).train_images.ravel().astype(int).tolist()


def test_a_subset_has_the_first_samples_of_each_class_in_their_order() -> None:
    labels = [0, 0, 0, 1, 1, 0, 1, 1]
    assert members(labels, 2) == [0, 3]
    assert members(labels, 4) == [0, 1, 3, 4]
    assert members(labels, 6) == [0, 1, 2, 3, 4, 6]


def test_smaller_subsets_are_part_of_larger_ones() -> None:
    random = np.random.default_rng(0)
    labels = random.permutation(np.repeat(np.arange(10), random.integers(40, 60, 10)))
    subsets = [set(members(labels, size)) for size in range(10, 400, 7)]
    assert [len(subset) for subset in subsets] == list(range(10, 400, 7))
    assert all(small < large for small, large in pairwise(subsets))


@pytest.mark.parametrize("size", [10, 37, 200, 1000, 1436])
def test_subsets_keep_the_shares_of_classes(digits: Samples, size: int) -> None:
    counts = np.bincount(nested_subset(digits, size).train_labels, minlength=10)
    shares = np.bincount(digits.train_labels) / len(digits.train_labels)
    assert np.abs(counts - size * shares).max() <= 1
    assert counts.min() > 0


def test_subsets_keep_pixels_and_test_samples(digits: Samples) -> None:
    small = nested_subset(digits, 200)
    pixels = {image.tobytes() for image in digits.train_images}
    assert all(image.tobytes() in pixels for image in small.train_images)
    assert small.test_images is digits.test_images
    assert small.test_labels is digits.test_labels
    assert nested_subset(digits, "all") is digits


@pytest.mark.parametrize("size", ["all", 200])
def test_the_hessian_may_use_all_samples(size: int | str) -> None:
    np.testing.assert_array_equal(hessian_sample(LABELS, size), np.arange(200))


def test_the_samples_of_the_hessian_are_stratified_ascending_and_always_the_same() -> None:
    selected = hessian_sample(LABELS, 50)
    assert np.abs(np.bincount(LABELS[selected]) - np.array([2.5, 5, 7.5, 10, 25])).max() < 1
    assert (np.diff(selected) > 0).all()
    np.testing.assert_array_equal(hessian_sample(LABELS, 50), selected)


@pytest.mark.parametrize("size", [1, 4, 197, 199])
def test_sizes_that_cannot_be_stratified_are_possible(size: int) -> None:
    assert len(set(hessian_sample(LABELS, size).tolist())) == size


def test_a_hessian_of_more_samples_than_there_are_is_refused() -> None:
    with pytest.raises(UserError) as refusal:
        hessian_sample(LABELS, 201)
    assert str(refusal.value) == (
        "Config key 'eigenpairs.samples' is 201, but the training set has only 200 samples; lower it or set it to all."
    )

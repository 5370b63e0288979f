"""Training sets of reduced size: nested, stratified, and with the samples of the whole."""

from itertools import pairwise

import numpy as np
import pytest

from eigendrift.data.datasets import load
from eigendrift.data.samples import Samples
from eigendrift.data.scaling import SCALINGS
from eigendrift.data.subsets import nested_subset


@pytest.fixture(scope="module")
def digits():
    return SCALINGS["standardized"](load("digits"))


def numbered(labels):
    """Samples whose only pixel is their number."""
    images = np.arange(len(labels), dtype=np.float32).reshape(-1, 1, 1)
    return Samples(images, np.asarray(labels), images, np.asarray(labels))


def members(samples):
    return samples.train_images.ravel().astype(int).tolist()


def test_the_first_of_each_class_in_the_data_sets_order():
    samples = numbered([0, 0, 0, 1, 1, 0, 1, 1])
    assert members(nested_subset(samples, 2)) == [0, 3]
    assert members(nested_subset(samples, 4)) == [0, 1, 3, 4]
    assert members(nested_subset(samples, 6)) == [0, 1, 2, 3, 4, 6]


def test_smaller_sets_are_part_of_larger_ones():
    random = np.random.default_rng(0)
    samples = numbered(random.permutation(np.repeat(np.arange(10), random.integers(40, 60, 10))))
    chosen = [set(members(nested_subset(samples, size))) for size in range(10, 400)]
    assert [len(one) for one in chosen] == list(range(10, 400))
    assert all(small < large for small, large in pairwise(chosen))


@pytest.mark.parametrize("size", [10, 37, 200, 1000, 1436])
def test_classes_keep_their_shares(digits, size):
    counts = np.bincount(nested_subset(digits, size).train_labels, minlength=10)
    shares = np.bincount(digits.train_labels) / len(digits.train_labels)
    assert np.abs(counts - size * shares).max() <= 1
    assert counts.min() > 0


def test_pixels_and_test_samples_are_those_of_the_whole(digits):
    small = nested_subset(digits, 200)
    pixels = {image.tobytes() for image in digits.train_images}
    assert all(image.tobytes() in pixels for image in small.train_images)
    assert small.test_images is digits.test_images
    assert small.test_labels is digits.test_labels


def test_all_is_the_data_set_itself(digits):
    assert nested_subset(digits, "all") is digits

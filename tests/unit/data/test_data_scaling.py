"""How pixels enter a network."""

import numpy as np
import pytest

from eigendrift.data.datasets import load
from eigendrift.data.scaling import SCALINGS


@pytest.fixture(scope="module")
def loaded():
    return load("digits")


def test_unit_changes_nothing(loaded):
    assert SCALINGS["unit"](loaded) is loaded


def test_standardized_uses_one_mean_and_deviation_of_the_training_pixels(loaded):
    scaled = SCALINGS["standardized"](loaded)
    assert scaled.train_images.dtype == np.float32
    assert scaled.train_images.mean(dtype=np.float64) == pytest.approx(0, abs=1e-6)
    assert scaled.train_images.std(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    mean, deviation = loaded.train_images.mean(), loaded.train_images.std()
    np.testing.assert_allclose(scaled.test_images, (loaded.test_images - mean) / deviation, atol=1e-5)
    np.testing.assert_array_equal(scaled.test_labels, loaded.test_labels)

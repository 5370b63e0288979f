"""What Samples accepts and refuses."""

from typing import Any

import numpy as np
import pytest

from eigendrift.data.samples import Samples, scaled
from eigendrift.errors import UserError


def arrays(**changes: Any) -> dict[str, Any]:
    images = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 2, 3)
    good = {
        "train_images": images,
        "train_labels": np.array([0, 1, 2, 1]),
        "test_images": images[:2],
        "test_labels": np.array([2, 0]),
    }
    return good | changes


def test_accepts_good_arrays_and_counts_classes() -> None:
    assert Samples(**arrays()).classes == 3


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
def test_refuses_images(part: str, images: np.ndarray, words: str) -> None:
    labels = np.resize(np.arange(3), len(images))
    with pytest.raises(UserError, match=f"^{part}_images .*{words}"):
        Samples(**arrays(**{f"{part}_images": images, f"{part}_labels": labels}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test_labels": [0, 1]}, "test_labels is a list, but must be a numpy array, so convert it"),
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
def test_refuses_what_does_not_agree(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Samples(**arrays(**changes))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64])
def test_scaling_divides_by_the_maximum_whatever_the_dtype(dtype: type) -> None:
    result = scaled(np.arange(256).astype(dtype), 255)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, (np.arange(256) / 255).astype(np.float32))

"""The data sets that packages ship: sizes, strata, splits."""

import hashlib

import numpy as np
import pytest

from eigendrift.data import datasets
from eigendrift.data.samples import Samples

# mnist5k takes more than a second to parse: once is enough.
LOADED: dict[str, Samples] = {}


@pytest.fixture(params=["mnist5k", "digits"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def samples(name: str) -> Samples:
    if name not in LOADED:
        LOADED[name] = datasets.load(name)
    return LOADED[name]


SHAPES = {"mnist5k": ((4000, 28, 28), (1000, 28, 28)), "digits": ((1437, 8, 8), (360, 8, 8))}
MAXIMA = {"mnist5k": 255, "digits": 16}
# Every result of the default study rests on these very splits.
DIGESTS = {
    "mnist5k": "3b030071d07f15954ff33ab9740c3349a454f20be53d2015b34e9ad138df8bdb",
    "digits": "dd82963602a00ec7a5acb3d83ef540e3a20b54d2e70797c745a817e4328ba5e4",
}


def digest(samples: Samples) -> str:
    parts = (samples.train_images, samples.train_labels, samples.test_images, samples.test_labels)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def test_sizes(name: str, samples: Samples) -> None:
    assert (samples.train_images.shape, samples.test_images.shape) == SHAPES[name]
    assert samples.classes == 10


def test_classes_keep_their_proportions(samples: Samples) -> None:
    train, test = np.bincount(samples.train_labels), np.bincount(samples.test_labels)
    expected = (train + test) * len(samples.test_labels) / (train + test).sum()
    assert np.abs(test - expected).max() < 1


def test_every_pixel_is_a_whole_number_of_the_maximum(name: str, samples: Samples) -> None:
    for images in (samples.train_images, samples.test_images):
        raw = images.astype(np.float64) * MAXIMA[name]
        np.testing.assert_allclose(raw, raw.round(), atol=1e-4)
        assert (images.min(), images.max()) == (0, 1)


def test_no_image_is_in_both_parts(samples: Samples) -> None:
    train = {image.tobytes() for image in samples.train_images}
    assert not any(image.tobytes() in train for image in samples.test_images)


def test_split_is_the_same_for_ever(name: str, samples: Samples) -> None:
    assert digest(samples) == DIGESTS[name]


def test_labels_belong_to_their_images() -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    label_of = {image.tobytes(): label for image, label in zip(bunch.images, bunch.target, strict=True)}
    samples = datasets.load("digits")
    raw = np.concatenate([samples.train_images, samples.test_images]).astype(np.float64) * 16
    labels = np.concatenate([samples.train_labels, samples.test_labels])
    assert [label_of[image.tobytes()] for image in raw] == labels.tolist()

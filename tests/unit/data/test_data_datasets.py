"""The registry of data sets, and the data sets in installed packages."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eigendrift.data import datasets
from eigendrift.data.samples import Samples, sample_columns
from eigendrift.digests import digest_parts
from eigendrift.errors import UserError
from eigendrift.extensions import Dataset
from eigendrift.extensions.registry import add


def test_names() -> None:
    assert list(datasets.DATASETS) == ["mnist5k", "digits", "mnist", "fashion_mnist"]


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UserError, match=r"'mnst' is unknown; .*mnist5k, digits, mnist, fashion_mnist\.$"):
        datasets.load("mnst")


ARRAYS = [np.zeros((4, 2, 3), np.float32), np.arange(4) % 2] * 2


@pytest.mark.usefixtures("plugins_forgotten")
@pytest.mark.parametrize(
    ("load", "words"),
    [
        (
            lambda _: Samples(*[array.astype(float) for array in ARRAYS]),
            r"^Data set 'mine' of plug-in my\.py: train_images is float64",
        ),
        (lambda _: ARRAYS, "loader of the data set 'mine' returned list; let it return .*Samples"),
        (
            lambda _: Samples(*ARRAYS),
            "'mine' has training_samples 4, but its declaration says 5",
        ),
    ],
)
def test_an_unsuitable_data_set_of_a_plugin_is_refused(load, words: str) -> None:
    add(Dataset(name="mine", load=load, training_samples=5, image_shape=(2, 3), classes=2), Path("my.py"))
    with pytest.raises(UserError, match=words):
        datasets.load("mine")


def test_names_are_known_without_heavy_imports() -> None:
    code = (
        "import sys; from eigendrift.data.datasets import DATASETS;"
        "print({'torch', 'torchvision', 'sklearn', 'mlxtend', 'snakemake', 'zarr'} & set(sys.modules))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(datasets.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.stdout.strip(), done.returncode) == ("set()", 0), done.stderr


def test_the_environment_is_read_in_one_module() -> None:
    modules = Path(datasets.__file__).parent.glob("*.py")
    assert [path.name for path in modules if re.search(r"os\.environ|getenv", path.read_text())] == ["mnist.py"]


@pytest.fixture(scope="module", params=[pytest.param("mnist5k", marks=pytest.mark.slow), "digits"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def samples(name: str) -> Samples:
    return datasets.load(name)


SHAPES = {"mnist5k": ((4000, 28, 28), (1000, 28, 28)), "digits": ((1437, 8, 8), (360, 8, 8))}
MAXIMA = {"mnist5k": 255, "digits": 16}
# Every result of the default study depends on these splits.
DIGESTS = {
    "mnist5k": "3b030071d07f15954ff33ab9740c3349a454f20be53d2015b34e9ad138df8bdb",
    "digits": "dd82963602a00ec7a5acb3d83ef540e3a20b54d2e70797c745a817e4328ba5e4",
}


def test_sizes(name: str, samples: Samples) -> None:
    assert (samples.train_images.shape, samples.test_images.shape) == SHAPES[name]
    assert samples.classes == datasets.DATASETS[name].classes == 10


def test_classes_keep_their_shares(samples: Samples) -> None:
    train, test = np.bincount(samples.train_labels), np.bincount(samples.test_labels)
    expected = (train + test) * len(samples.test_labels) / (train + test).sum()
    assert np.abs(test - expected).max() < 1


def test_every_pixel_is_an_integer_multiple_of_the_smallest_value(name: str, samples: Samples) -> None:
    for images in (samples.train_images, samples.test_images):
        raw = images.astype(np.float64) * MAXIMA[name]
        np.testing.assert_allclose(raw, raw.round(), atol=1e-4)
        assert (images.min(), images.max()) == (0, 1)


def test_no_image_is_in_both_parts(samples: Samples) -> None:
    train = {image.tobytes() for image in samples.train_images}
    assert not any(image.tobytes() in train for image in samples.test_images)


def test_the_split_never_changes(name: str, samples: Samples) -> None:
    assert digest_parts(array.tobytes() for array in sample_columns(samples).values()) == DIGESTS[name]


def test_labels_belong_to_their_images() -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    label_of = {image.tobytes(): label for image, label in zip(bunch.images, bunch.target, strict=True)}
    samples = datasets.load("digits")
    raw = np.concatenate([samples.train_images, samples.test_images]).astype(np.float64) * 16
    labels = np.concatenate([samples.train_labels, samples.test_labels])
    assert [label_of[image.tobytes()] for image in raw] == labels.tolist()

"""The registry: names, and what importing it costs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eigendrift.data import datasets
from eigendrift.data.samples import Samples
from eigendrift.errors import UserError
from eigendrift.extensions import Dataset
from eigendrift.extensions.registry import add


def test_names() -> None:
    assert list(datasets.DATASETS) == ["mnist5k", "digits", "mnist", "fashion_mnist"]


def test_unknown_name() -> None:
    with pytest.raises(UserError, match=r"'mnst' is unknown.*mnist5k, digits, mnist, fashion_mnist\.$"):
        datasets.load("mnst")


@pytest.mark.usefixtures("plugins_forgotten")
def test_what_a_plugin_loads_is_refused_with_its_name() -> None:
    def load(_: object) -> Samples:
        images, labels = np.zeros((4, 2, 3)), np.arange(4) % 2
        return Samples(images, labels, images, labels)  # type: ignore[arg-type]

    add(Dataset(name="mine", load=load, training_samples=4, image_shape=(2, 3), classes=2), Path("my.py"))
    with pytest.raises(UserError, match=r"^Data set 'mine' of plug-in my\.py: train_images is float64"):
        datasets.load("mine")


def test_names_come_without_heavy_imports() -> None:
    code = (
        "import sys; from eigendrift.data.datasets import DATASETS;"
        "print({'torch', 'torchvision', 'sklearn', 'mlxtend', 'snakemake'} & set(sys.modules))"
    )
    workflow = Path(datasets.__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(workflow)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.stdout.strip(), done.returncode) == ("set()", 0), done.stderr


def test_environment_is_read_in_one_place() -> None:
    package = Path(datasets.__file__).parent
    readers = [
        path.name for path in package.glob("*.py") if re.search(r"os\.environ|getenv", path.read_text())
    ]
    assert readers == ["directory.py"]


@pytest.mark.parametrize("name", ["mnist5k", "digits"])
def test_the_registry_knows_what_is_loaded(name: str) -> None:
    spec = datasets.DATASETS[name]
    samples = spec.load(None)
    assert samples.train_images.shape == (spec.training_samples, *spec.image_shape)
    assert samples.classes == spec.classes

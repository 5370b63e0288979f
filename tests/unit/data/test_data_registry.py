"""The registry: names, and what importing it costs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from eigendrift.data import registry
from eigendrift.errors import UserError


def test_names() -> None:
    assert list(registry.DATASETS) == ["mnist5k", "digits", "mnist", "fashion_mnist"]


def test_unknown_name() -> None:
    with pytest.raises(UserError, match=r"'mnst' is unknown.*mnist5k, digits, mnist, fashion_mnist\.$"):
        registry.load("mnst")


def test_names_come_without_heavy_imports() -> None:
    code = (
        "import sys; from eigendrift.data.registry import DATASETS;"
        "print({'torch', 'torchvision', 'sklearn', 'mlxtend', 'snakemake'} & set(sys.modules))"
    )
    workflow = Path(registry.__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(workflow)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.stdout.strip(), done.returncode) == ("set()", 0), done.stderr


def test_environment_is_read_in_one_place() -> None:
    package = Path(registry.__file__).parent
    readers = [
        path.name for path in package.glob("*.py") if re.search(r"os\.environ|getenv", path.read_text())
    ]
    assert readers == ["directory.py"]


@pytest.mark.parametrize("name", ["mnist5k", "digits"])
def test_the_registry_knows_what_is_loaded(name: str) -> None:
    spec = registry.DATASETS[name]
    samples = spec.load(None)
    assert samples.train_images.shape == (spec.training_samples, *spec.image_shape)
    assert samples.classes == spec.classes

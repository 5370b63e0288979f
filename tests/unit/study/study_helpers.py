"""The shipped configuration, and how to change it."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from eigendrift.errors import UserError
from eigendrift.extensions import Dataset
from eigendrift.study.check import check_config
from eigendrift.study.schema import completed

ROOT = Path(__file__).parents[3]
DELETED = object()
DATASETS = {
    "mnist5k": Dataset(name="mnist5k", load=print, training_samples=4000),
    "digits": Dataset(name="digits", load=print, training_samples=1437, image_shape=(8, 8)),
}


def read(path: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / path).read_text())
    return content


CONFIG = read("config.yaml")
# With the settings of the networks and optimizers that the package ships.
SCHEMA = completed(read("workflow/schemas/config.schema.yaml"), CONFIG)


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Merge two configurations as Snakemake does: groups merge, everything else is replaced."""
    result = copy.deepcopy(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = merged(base[key], value) if both else value
    return result


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the default configuration with one key changed or deleted."""
    config = copy.deepcopy(CONFIG)
    *groups, last = path.split(".")
    place = config
    for group in groups:
        place = place[group]
    if value is DELETED:
        del place[last]
    else:
        place[last] = value
    return config


def refusal(config: dict[str, Any]) -> str:
    """Return the sentence that a user reads about a wrong configuration."""
    with pytest.raises(UserError) as error:
        check_config(config, SCHEMA)
    return str(error.value)

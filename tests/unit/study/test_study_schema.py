"""The schema: complete, described, and in step with the registries."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from study_helpers import ROOT, SCHEMA

from eigendrift.data.datasets import DATASETS
from eigendrift.data.samples import SCALINGS
from eigendrift.null.models import NULL_MODELS
from eigendrift.training.optimizers import OPTIMIZERS
from eigendrift.training.torch_networks import ACTIVATIONS, INITIALIZATIONS

PROPERTIES = SCHEMA["properties"]
NETWORK = PROPERTIES["models"]["properties"]["mlp-32-32"]["properties"]
EXPERIMENT = PROPERTIES["experiments"]["additionalProperties"]["properties"]


def keys(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key of the schema with what is said of it, references resolved."""
    for name, entry in schema.get("properties", {}).items():
        resolved = SCHEMA["$defs"][entry["$ref"].rpartition("/")[2]] | entry if "$ref" in entry else entry
        yield f"{path}{name}", resolved
        yield from keys(resolved, f"{path}{name}.")
    if isinstance(more := schema.get("additionalProperties"), dict):
        yield from keys(more, f"{path}*.")


def groups(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if "properties" in schema and isinstance(schema["properties"], dict):
            yield schema
        for entry in schema.values():
            yield from groups(entry)


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_there_are_keys_on_every_level() -> None:
    found = [path for path, _ in keys(SCHEMA)]
    assert {"study", "experiments.*.seeds", "optimizers.adam.beta1", "claims.smallest_effect.C4"} <= set(found)


@pytest.mark.parametrize("path", [path for path, _ in keys(SCHEMA)])
def test_every_key_is_described(path: str) -> None:
    assert dict(keys(SCHEMA))[path].get("description", "").endswith(".")


def test_no_level_takes_unknown_keys() -> None:
    assert all(group["additionalProperties"] is not True for group in groups(SCHEMA))
    assert all("additionalProperties" in group for group in groups(SCHEMA))


def test_every_key_is_required_except_optimizers_that_a_study_does_not_use_and_what_sweeps_vary() -> None:
    optional = [set(group["properties"]) - {*group.get("required", [])} for group in groups(SCHEMA)]
    assert [names for names in optional if names] == [
        {"learning_rate", "training_samples", "training_lengths"},
        {*PROPERTIES["optimizers"]["properties"]},
        # Every network has settings of its own, by name.
        {*PROPERTIES["models"]["properties"]},
        {"kind"},
    ]


def test_the_schema_knows_what_the_registries_know() -> None:
    assert PROPERTIES["input_scaling"]["enum"] == list(SCALINGS)
    assert EXPERIMENT["datasets"]["items"]["enum"] == list(DATASETS)
    assert list(PROPERTIES["optimizers"]["properties"]) == list(OPTIMIZERS)
    assert NETWORK["activation"]["enum"] == list(ACTIVATIONS)
    assert NETWORK["initialization"]["enum"] == list(INITIALIZATIONS)
    assert PROPERTIES["null_models"]["properties"]["names"]["items"]["enum"] == list(NULL_MODELS)


def test_reading_a_study_imports_no_torch() -> None:
    code = (
        "import sys; import eigendrift.study.check, eigendrift.study.runs, eigendrift.data.datasets;"
        "print({'torch', 'torchvision', 'sklearn', 'scipy', 'zarr'} & set(sys.modules))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.stdout.strip(), done.returncode) == ("set()", 0), done.stderr

"""The schema: complete, described, and in agreement with the registries."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

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
    """Yield every key of the schema with its schema, references resolved."""
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


def test_the_schema_is_valid_and_describes_every_key() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    found = dict(keys(SCHEMA))
    some = {"study", "experiments.*.seeds", "optimizers.adam.beta1", "claims.smallest_effect.C4"}
    assert some <= set(found)
    assert [path for path, entry in found.items() if not entry.get("description", "").endswith(".")] == []


def test_no_group_accepts_unknown_keys() -> None:
    assert all(group.get("additionalProperties", True) is not True for group in groups(SCHEMA))


def test_every_key_is_required_except_unused_optimizers_and_settings_of_sweeps_and_networks() -> None:
    optional = [set(group["properties"]) - {*group.get("required", [])} for group in groups(SCHEMA)]
    assert [names for names in optional if names] == [
        {"learning_rate", "training_samples", "training_lengths"},
        {*PROPERTIES["optimizers"]["properties"]},
        # Each network has its own settings.
        {*PROPERTIES["models"]["properties"]},
        {"kind"},
    ]


def test_the_schema_allows_what_is_registered() -> None:
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

"""What a plug-in says of its networks before the study starts, and settings whose schema has no type."""

from pathlib import Path
from typing import Any

import pytest
from study_helpers import CONFIG, SCHEMA

from eigendrift.data.datasets import DATASETS
from eigendrift.errors import UserError
from eigendrift.extensions import Model, Optimizer
from eigendrift.extensions.registry import add
from eigendrift.study.check import check_config, check_sizes

pytestmark = pytest.mark.usefixtures("plugins_forgotten")


def wrong(*_: object) -> Any:
    raise KeyError("wrong")


def test_a_count_of_parameters_that_fails_is_refused() -> None:
    add(Model(name="mine", build=print, parameters=wrong), Path("mine.py"))
    config = CONFIG | {"models": CONFIG["models"] | {"mlp-32-32": {"kind": "mine"}}}
    with pytest.raises(
        UserError, match=r"^The function parameters of the network 'mine' fails with KeyError: 'wrong'; f"
    ):
        check_sizes(config, DATASETS)


def test_a_setting_that_does_not_meet_a_schema_without_type_is_refused() -> None:
    schema = {"description": "Any.", "anyOf": [{"type": "number"}, {"const": "auto"}]}
    add(Optimizer(name="mine", build=print, settings={"a": schema}), Path("mine.py"))
    mine = {"mine": {"learning_rate": 0.1, "a": "x"}}
    with pytest.raises(
        UserError, match=r"'optimizers.mine.a' is \"x\", expected a value that fits its schema, \{\"desc"
    ):
        check_config(CONFIG | {"optimizers": CONFIG["optimizers"] | mine}, SCHEMA)

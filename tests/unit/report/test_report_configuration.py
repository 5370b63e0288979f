"""The page that explains the configuration."""

from pathlib import Path

import pytest
import yaml

from eigendrift.report.pages import configuration_file, configuration_page, explained
from eigendrift.study.schema import completed

ROOT = Path(__file__).resolve().parents[3]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SCHEMA = completed(yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text()), CONFIG)


@pytest.fixture(scope="module")
def meanings():
    return {".".join(path): (value, meaning) for path, value, meaning in explained(CONFIG, SCHEMA, SCHEMA)}


def test_every_setting_has_its_value_and_its_description(meanings):
    assert [key for key, (_, meaning) in meanings.items() if not meaning] == []
    assert meanings["optimizers.sgd.learning_rate"] == (0.05, "Learning rate, the factor of each step.")
    value, meaning = meanings["experiments.learning_rates.learning_rate.adam"]
    assert value == [0.0003, 0.001, 0.01]
    assert "list of learning rates" in meaning
    assert meanings["study"][1].startswith("Name of the study")


def test_settings_have_the_order_of_the_schema(meanings):
    by_name = {key: CONFIG[key] for key in sorted(CONFIG)}
    assert [".".join(path) for path, _, _ in explained(by_name, SCHEMA, SCHEMA)] == list(meanings)


def test_the_file_is_the_configuration_and_the_page_shows_lists_as_words():
    assert yaml.safe_load(configuration_file(CONFIG)) == CONFIG
    optimizers = "<td><code>experiments.main.optimizers</code></td><td><code>sgd, momentum, adam</code></td>"
    assert optimizers in configuration_page(CONFIG, SCHEMA)

"""The configuration, explained."""

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


def test_the_file_is_the_configuration():
    assert yaml.safe_load(configuration_file(CONFIG)) == CONFIG


def test_every_setting_is_explained(meanings):
    for key, (_, meaning) in meanings.items():
        assert meaning, f"{key} has no description in the schema"


def test_values_stand_beside_their_own_descriptions(meanings):
    assert meanings["optimizers.sgd.learning_rate"] == (0.05, "Factor of the step.")
    value, meaning = meanings["experiments.learning_rates.learning_rate.adam"]
    assert value == [0.0003, 0.001, 0.01]
    assert "list of learning rates" in meaning
    assert meanings["study"][1].startswith("Name of the study")


def test_settings_stand_in_the_schemas_order(meanings):
    turned = {key: CONFIG[key] for key in sorted(CONFIG)}
    assert [".".join(path) for path, _, _ in explained(turned, SCHEMA, SCHEMA)] == list(meanings)


def test_the_page_shows_lists_as_words():
    page = configuration_page(CONFIG, SCHEMA)
    assert "<td><code>experiments.main.optimizers</code></td><td><code>sgd, momentum, adam</code></td>" in page

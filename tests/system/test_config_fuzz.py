"""Random configurations: accepted ones can be planned, and others are refused with the name of the wrong key."""

import copy
import datetime
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tally
import yaml
from clone import ROOT, copy_repository
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schema_strategies import allowed_by

from eigendrift.data.datasets import DATASETS
from eigendrift.errors import UserError
from eigendrift.extensions.plugins import load_plugins, plugin_files
from eigendrift.figures.style import check_style
from eigendrift.study.check import check_config, check_sizes, ordered, without_unset
from eigendrift.study.runs import all_runs, solver_settings, training_settings
from eigendrift.study.schema import completed

pytestmark = pytest.mark.xdist_group("fuzz")

WRITTEN = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
# The schema with all known optimizers, networks, data sets and null models.
SCHEMA = completed(WRITTEN, CONFIG)
TRIED: dict[str, list[Any]] = {"accepted": [], "refused": []}
DRY_RUNS = 30

often = settings(
    max_examples=300,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def places(value: Any, schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """Yield the path of every group and value of the default configuration, with its schema."""
    if "$ref" in schema:
        schema = {**SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], **schema}
        del schema["$ref"]
    yield path, schema
    if isinstance(value, dict):
        named, free = schema.get("properties", {}), schema.get("additionalProperties")
        for key, part in value.items():
            if key in named or isinstance(free, dict):
                yield from places(part, named.get(key, free), (*path, key))


PLACES = dict(places(CONFIG, SCHEMA))
ALLOWED = {place: allowed_by(schema, SCHEMA["$defs"]) for place, schema in PLACES.items()}
# Any value that a YAML file can contain.
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.sampled_from(["all", "full", "sgd", "digits", "1e-3", "mlp-32-32", datetime.datetime(2026, 1, 1)])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.integers(), inner),
    max_leaves=5,
)


def with_value(path: tuple[str, ...], value: Any) -> Any:
    config = copy.deepcopy(CONFIG)
    place = config
    for group in path[:-1]:
        place = place[group]
    if not path:
        return value
    place[path[-1]] = value
    return config


def check(config: Any) -> None:
    """Check a configuration as workflow/rules/common.smk does; accepted ones must have runs with settings."""
    tally.count("configurations tried")
    try:
        chosen = ordered(without_unset(config))
        load_plugins(plugin_files(chosen.get("plugins")))
        check_config(chosen, WRITTEN)
        check_sizes(chosen, DATASETS)
        check_style(chosen["figures"]["style"])
    except UserError as refusal:
        assert re.match("Config key '", str(refusal)), str(refusal)  # noqa: PT017
        assert "\n" not in str(refusal)  # noqa: PT017
        TRIED["refused"].append((config, str(refusal)))
        return
    runs = all_runs(chosen).values()
    assert {run.seed for run in runs} >= {0}
    for run in runs:
        assert training_settings(chosen, run)["steps"] >= 1
    assert solver_settings(chosen)["count"] >= 1
    TRIED["accepted"].append((config, ""))


@seed(0)
@often
@given(
    st.sampled_from(sorted(PLACES)[1:]).flatmap(lambda p: st.tuples(st.just(p), allowed_by(PLACES[p], SCHEMA["$defs"])))
)
def test_values_that_the_schema_allows_in_one_place(change):
    check(with_value(*change))


@seed(1)
@often
@given(st.sampled_from(sorted(PLACES)), ANYTHING)
def test_anything_in_one_place(place, value):
    check(with_value(place, value) if place or isinstance(value, dict) else {"study": value})


@seed(2)
@settings(often, max_examples=50)
@given(allowed_by(SCHEMA, SCHEMA["$defs"]))
def test_configurations_that_the_schema_allows(config):
    check(config)


@seed(3)
@settings(often, max_examples=50)
@given(
    st.sampled_from([place for place in sorted(PLACES) if place]),
    st.text(max_size=8) | st.integers(),
    ANYTHING,
)
def test_unknown_keys(place, key, value):
    group = place[:-1]
    config = copy.deepcopy(CONFIG)
    found = config
    for name in group:
        found = found[name]
    found[key] = value
    check(config)


def test_dry_runs_accept_and_refuse_the_same_configurations(tmp_path):
    """Snakemake reads files, merges them into config.yaml, and checks the result as the library does."""
    if len(TRIED["accepted"]) + len(TRIED["refused"]) < 500:
        pytest.skip("needs the configurations of the other tests of this module; run the whole module")
    dice = random.Random(0)
    clone = copy_repository(tmp_path / "clone")
    (clone.path / "config.yaml").write_text("{}")
    path = tmp_path / "tried.yaml"
    for kind in TRIED:
        for config, refusal in dice.sample(TRIED[kind], DRY_RUNS // 2):
            path.write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False))
            result = clone.plan("--quiet", "rules", "--dry-run", study=path)
            assert "Traceback" not in result.stdout, result.stdout
            assert (result.returncode == 0) == (kind == "accepted"), (config, result.stdout)
            said = refusal.replace(str(Path.cwd()), str(clone.path))
            assert kind == "accepted" or said in result.stdout, (said, result.stdout)
            tally.count("configurations planned or refused by snakemake")

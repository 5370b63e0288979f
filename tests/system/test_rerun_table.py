"""The table in docs/reruns.md of what every change reruns, compared with dry runs."""

import os
import random
import re

import pytest
import yaml
from clone import ROOT, rewritten
from code_of_rules import code_of_rules
from rerun_study import LAID_OVER, PLUGIN, dry_run, merged, overlay, planned, written_down
from rerun_table import CHANGES, STAGES, markdown, modules, row_of_key, row_of_module
from tiny_study import TINY

from eigendrift.study.schema import completed

pytestmark = pytest.mark.xdist_group("planned")

PAGE = ROOT / "docs/reruns.md"
WRITTEN = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
STUDY = merged(yaml.safe_load((ROOT / TINY).read_text()), LAID_OVER)
MARK = "<!-- written by make reruns -->\n"


def schema_of_study():
    """Return the schema with the settings of all optimizers and of one network of each kind."""
    schema = completed(WRITTEN, STUDY)
    networks = schema["properties"]["models"]["properties"]
    del networks["mlp-other"]
    # The kind of this network cannot change alone, because another kind needs other settings.
    del networks["cnn-2"]["properties"]["kind"]
    return schema


def leaves(schema, path=()):
    """Yield the keys of the schema that have values, with * for names that a user chooses."""
    if "$ref" in schema and "properties" not in schema:
        schema = WRITTEN["$defs"][schema["$ref"].rpartition("/")[2]]
    free = schema.get("additionalProperties")
    named = schema.get("properties", {})
    if isinstance(free, dict) and ("properties" in free):
        named = {**named, "*": free}
    if not named:
        yield ".".join(path)
    for name, part in named.items():
        yield from leaves(part, (*path, name))


def test_the_table_has_every_key():
    patterns = [re.escape(leaf).replace(r"\*", "[^.]+") for leaf in leaves(schema_of_study())]
    assert len(patterns) > 80
    assert [p for p in patterns if not any(re.fullmatch(p, key) for key in CHANGES)] == []
    patterns += [r"experiments\.[^.]+", r"models\.mlp-other\.activation"]
    assert [key for key in CHANGES if not any(re.fullmatch(p, key) for p in patterns)] == []


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return planned(tmp_path_factory.mktemp("planned"))


@pytest.fixture(scope="module")
def before(clone):
    """All outputs of the unchanged study."""
    outputs = dry_run(clone, {})
    assert {output.status for output in outputs.values()} == {"ok"}
    assert not any(output.pending for output in outputs.values())
    return outputs


def test_every_rule_creates_an_output_and_has_a_column(clone, before):
    made = {output.rule for output in before.values()}
    assert {rule for rule in made if not any(re.fullmatch(pattern, rule) for pattern in STAGES.values())} == set()
    listed = re.findall(r"^\w+$", clone.snakemake("--list-rules", study=TINY).stdout, re.M)
    assert {"train", "plugin_metric"} <= set(listed)
    assert set(listed) - made - {"all", "reported"} == set()


@pytest.fixture(scope="module")
def code(clone):
    """The code that each rule runs."""
    plugged = {"plugin_metric": [PLUGIN], "figure_entropy": [PLUGIN]}
    return code_of_rules(clone.path, TINY, written_down(clone, LAID_OVER), plugged=plugged)


@pytest.fixture(scope="module")
def tables(clone, before, code):
    """Both tables as Markdown."""
    of_keys = {key: row_of_key(dry_run(clone, overlay(key, value))) for key, value in CHANGES.items()}
    of_modules = {module: row_of_module(module, before, code) for module in modules(clone.path)}
    return f"{markdown('key', of_keys)}\n{markdown('module', of_modules)}"


def test_the_table_in_the_docs_agrees_with_dry_runs(tables):
    text, _, written = PAGE.read_text().partition(MARK)
    if os.environ.get("REWRITE"):
        PAGE.write_text(f"{text}{MARK}\n{tables}")
    else:
        assert written.strip() == tables.strip(), "the table is outdated; run `make reruns` and check what changed"


def test_an_edited_module_reruns_what_the_table_lists(clone, before, code):
    """The table is computed from the code that rules declare; this test asks Snakemake about some modules."""
    of_plugin = [PLUGIN, "workflow/eigendrift/figures/parts.py"]
    for module in [*random.Random(0).sample(modules(clone.path), 4), *of_plugin]:
        path = clone.path / module
        with rewritten(path, path.read_text() + "\n# edited\n"):
            after = dry_run(clone, {})
        assert row_of_key(after) == row_of_module(module, before, code), module

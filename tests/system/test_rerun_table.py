"""The whole table of what a change runs again, from dry runs, held against the one in docs/reruns.md."""

import os
import random
import re
import shutil
from pathlib import Path

import pytest
import yaml
from clone import ROOT, Clone, copy_repository
from rerun_table import CHANGES, dry_runs, markdown, modules, overlay, row_of_key, row_of_module
from tiny_study import RESULTS, TINY

from eigendrift.study.extensions import completed

pytestmark = pytest.mark.xdist_group("tiny")

PAGE = ROOT / "docs/reruns.md"
WRITTEN = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
STUDY = yaml.safe_load((ROOT / TINY).read_text())
OPTIMIZERS = yaml.safe_load((ROOT / "config.yaml").read_text())["optimizers"]
MARK = "<!-- written by make reruns -->\n"


def schema_of_study():
    """The schema with the settings of extensions that the study makes use of."""
    schema = completed(WRITTEN, STUDY)
    keys = schema["properties"]
    keys["optimizers"]["properties"] = {name: keys["optimizers"]["properties"][name] for name in OPTIMIZERS}
    # A user names networks.
    keys["models"]["additionalProperties"] = keys["models"].pop("properties")["mlp-4"]
    return schema


def leaves(schema, path=()):
    """Keys of the schema that hold values, with * for names that a user chooses."""
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
    assert len(patterns) > 60
    assert [p for p in patterns if not any(re.fullmatch(p, key) for key in CHANGES)] == []
    patterns.append(r"experiments\.[^.]+")
    assert [key for key in CHANGES if not any(re.fullmatch(p, key) for p in patterns)] == []


@pytest.fixture(scope="module")
def tables(tiny):
    """Both tables as Markdown."""
    (before,) = dry_runs(tiny, [{}])
    assert not any(output.pending for output in before.values())
    after = dry_runs(tiny, [overlay(key, value) for key, value in CHANGES.items()])
    of_keys = {key: row_of_key(outputs) for key, outputs in zip(CHANGES, after, strict=True)}
    of_modules = {module: row_of_module(module, before) for module in modules(tiny.path)}
    return before, f"{markdown('key', of_keys)}\n{markdown('module', of_modules)}"


def test_the_table_in_the_docs_is_what_dry_runs_say(tables):
    text, _, written = PAGE.read_text().partition(MARK)
    if os.environ.get("REWRITE"):
        PAGE.write_text(f"{text}{MARK}\n{tables[1]}")
    else:
        assert written.strip() == tables[1].strip(), "run `make reruns` and look at what changed"


def test_a_module_that_is_edited_runs_what_the_table_says(tiny, tables):
    """The table takes it from the inputs of rules; here snakemake is asked, for some of them."""
    before = tables[0]
    for module in random.Random(0).sample(modules(tiny.path), 4):
        path = tiny.path / module
        content = path.read_text()
        path.write_text(content + "\n# edited\n")
        try:
            (after,) = dry_runs(tiny, [{}])
        finally:
            path.write_text(content)
        assert row_of_key(after) == row_of_module(module, before), module


def test_jobs_import_nothing_that_is_not_declared(tiny, tables):
    """By what each job of the tiny study had imported at its end."""
    before = tables[0]
    seen = list((tiny.path.parent / "imports").iterdir())
    names = {path.name.partition("-")[0] for path in seen}
    assert {"train.py", "eigenpairs.py", "figure.py", "claims.py", "data.py"} <= names
    for path in seen:
        log, *imported = path.read_text().splitlines()
        (declared,) = {one.inputs for one in before.values() if one.log == log}
        assert set(imported) <= declared, log


def test_other_time_stamps_and_another_place_run_nothing(tiny, tmp_path):
    """A clone on another machine, whose clock is wrong, into which results and metadata were copied."""
    clone = copy_repository(tmp_path / "a clone")
    for name in (RESULTS, Path(".snakemake/metadata")):
        shutil.copytree(tiny.path / name, clone.path / name, copy_function=shutil.copyfile)
    dice = random.Random(0)
    for path in clone.path.rglob("*"):
        if not path.is_symlink():
            moment = path.stat().st_mtime + dice.uniform(-86400, 86400)
            os.utime(path, (moment, moment))
    outputs = Clone(clone.path).outputs("reported", study=TINY)
    assert {path for path, output in outputs.items() if output.pending} == set()


def test_layout_and_order_of_a_study_run_nothing(tiny):
    path = tiny.path / TINY
    content = path.read_text()
    keys = yaml.safe_load(content)
    turned = {
        key: dict(reversed(value.items())) if isinstance(value, dict) else value
        for key, value in reversed(keys.items())
    }
    other = yaml.safe_dump(turned, default_flow_style=True, sort_keys=False)
    path.write_text(f"\n\n# Other words.\n{other}")
    try:
        outputs = tiny.outputs("reported", study=TINY)
    finally:
        path.write_text(content)
    assert not any(output.pending for output in outputs.values())

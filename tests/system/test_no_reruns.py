"""Other time stamps, another place and another layout run nothing again; all that jobs import is declared."""

import os
import random
import shutil
from pathlib import Path

import pytest
import yaml
from clone import Clone, copy_repository
from code_of_rules import code_of_rules
from tiny_study import RESULTS, TINY

pytestmark = pytest.mark.xdist_group("tiny")


def test_jobs_import_nothing_that_is_not_declared(tiny, made):
    """By what each job of the tiny study had imported at its end."""
    code = code_of_rules(tiny.path, TINY)
    seen = list((tiny.path.parent / "imports").iterdir())
    names = {path.name.partition("-")[0] for path in seen}
    assert {"train.py", "eigenpairs.py", "figure.py", "claims.py", "data.py"} <= names
    for path in seen:
        log, *imported = path.read_text().splitlines()
        (rule,) = {one.rule for one in made.values() if one.log == log}
        assert set(imported) <= code[rule].files, log


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

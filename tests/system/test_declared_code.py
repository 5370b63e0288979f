"""Jobs import only code that their rules declare."""

import pytest
from code_of_rules import code_of_rules
from tiny_study import TINY

pytestmark = pytest.mark.xdist_group("tiny")


def test_jobs_import_nothing_that_is_not_declared(tiny, made):
    """Each job of the tiny study recorded at its end what it had imported."""
    code = code_of_rules(tiny.path, TINY)
    seen = list((tiny.path.parent / "imports").iterdir())
    names = {path.name.partition("-")[0] for path in seen}
    assert {"train.py", "eigenpairs.py", "figure.py", "claims.py", "data.py"} <= names
    for path in seen:
        log, *imported = path.read_text().splitlines()
        (rule,) = {one.rule for one in made.values() if one.log == log}
        assert set(imported) <= code[rule].files, log

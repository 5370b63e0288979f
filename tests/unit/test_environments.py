"""The conda environments, compared with the lock and with what the scripts of the rules import."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from clone import ROOT, SMOKE
from code_of_rules import code_of_rules

pytestmark = pytest.mark.slow
ENVIRONMENTS = {path.name: yaml.safe_load(path.read_text()) for path in (ROOT / "envs").glob("*.yaml")}
# Where conda, PyPI and the import statement call a package by different names.
ON_PYPI = {"pytorch": "torch"}
IMPORTED_AS = {"pytorch": "torch", "pyyaml": "yaml", "scikit-learn": "sklearn"}
# The project's own packages.
OWN = {"eigendrift", "runtime"}


@pytest.fixture(scope="module")
def rules():
    return code_of_rules(ROOT, SMOKE)


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imported(path):
    """Yield the packages that a file imports, except those that only type checkers import."""
    tree = ast.parse((ROOT / path).read_text())
    tree.body = [node for node in tree.body if not is_type_checking(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)


def needed(files):
    """Return the installed packages that these files import."""
    names = {name for file in files for name in imported(file)}
    return names - OWN - sys.stdlib_module_names


def provided(environment):
    names = {dependency.partition("=")[0] for dependency in ENVIRONMENTS[environment]["dependencies"]}
    return {IMPORTED_AS.get(name, name) for name in names - {"python"}}


def test_every_rule_names_an_environment(rules):
    assert len(rules) > 30
    assert {Path(rule.environment or "none").name for rule in rules.values()} == set(ENVIRONMENTS)


def test_every_rule_has_its_own_code_as_a_parameter(rules):
    assert {name for name, rule in rules.items() if rule.declared != rule.digest} == set()
    assert len({rule.digest for rule in rules.values()}) > 20


def test_environments_have_what_their_rules_import(rules):
    for name, rule in rules.items():
        lacking = needed(rule.files) - provided(Path(rule.environment).name)
        assert not lacking, f"{name} imports {lacking}, which {rule.environment} lacks"


def test_environments_have_nothing_else(rules):
    used = defaultdict(set)
    for rule in rules.values():
        used[Path(rule.environment).name] |= needed(rule.files)
    for environment in ENVIRONMENTS:
        assert provided(environment) <= used[environment], environment


def test_pins_are_exact_minor_versions_of_the_lock():
    lock = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.M))
    for environment, content in ENVIRONMENTS.items():
        for dependency in content["dependencies"]:
            name, pin = dependency.split("=")
            assert re.fullmatch(r"\d+\.\d+", pin), f"{dependency} in {environment} is no minor version"
            if name != "python":
                locked = lock[ON_PYPI.get(name, name)]
                assert locked.startswith(f"{pin}."), f"{environment} has {dependency}, the lock {locked}"


def test_all_environments_have_one_python_and_take_nothing_of_other_channels():
    for content in ENVIRONMENTS.values():
        assert content["channels"] == ["conda-forge", "nodefaults"]
        assert "python=3.11" in content["dependencies"]


LIST_MODULES = """
import sys, eigendrift.api
print(*(module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] == "eigendrift"))
"""


def test_the_package_asks_for_what_the_library_imports_and_nothing_else():
    listed = subprocess.run(
        [sys.executable, "-c", LIST_MODULES],
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
        check=True,
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked_for = {re.split(r"[>=<~]", requirement)[0] for requirement in project["dependencies"]}
    # The library imports scikit-learn only to choose samples, which only studies do.
    assert needed(listed.stdout.split()) == asked_for | {"sklearn"}

"""Dry runs of the commands for other executors in docs/scale.md."""

import re
import shlex
from importlib.util import find_spec

import pytest
from clone import ROOT, Clone

COMMANDS = re.findall(r"^snakemake (--executor .+|--cores .+)$", (ROOT / "docs/scale.md").read_text(), re.M)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.split()[1])
def test_a_documented_command_plans_the_study(command):
    executor = command.split()[1] if command.startswith("--executor") else None
    plugins = [f"snakemake-executor-plugin-{executor}"] if executor else []
    if "--default-storage-provider fs" in command:
        plugins.append("snakemake-storage-plugin-fs")
    if missing := [plugin for plugin in plugins if find_spec(plugin.replace("-", "_")) is None]:
        pytest.skip(f"needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    # Without this variable, HTCondor warns about a missing configuration.
    result = Clone(ROOT).plan("--dry-run", *shlex.split(command), CONDOR_CONFIG="/dev/null")
    assert result.returncode == 0, result.stdout
    assert re.search(r"^train +\d+$", result.stdout, re.M)


def test_all_commands_are_found():
    assert [command.split()[1] for command in COMMANDS] == ["htcondor", "lsf", "kubernetes", "16"]

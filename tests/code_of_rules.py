"""What code each rule declares to run, as the workflow itself says."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LIST_RULES = """
import json, os, sys
from pathlib import Path
from snakemake.api import ConfigSettings, OutputSettings, ResourceSettings, SnakemakeApi
with SnakemakeApi(OutputSettings(quiet={"all"})) as api:
    study = api.workflow(
        ResourceSettings(cores=1),
        ConfigSettings(configfiles=[Path(file) for file in sys.argv[2:]]),
        snakefile=Path("Snakefile"),
    )
    study.list_rules()
    from runtime.code_digest import code_of, digest_of

    plugged = json.loads(sys.argv[1])
    rules = {}
    for rule in study._workflow.rules:
        if rule.script:
            modules, plugins = rule.params.get("modules") or (), plugged.get(rule.name, ())
            files = code_of(Path(rule.script).stem, modules, plugins)
            rules[rule.name] = {
                "environment": rule.conda_env,
                "files": [os.path.relpath(file) for file in files],
                "digest": digest_of(files),
                "declared": rule.params.code if isinstance(rule.params.code, str) else None,
            }
print("RULES", json.dumps(rules, default=lambda spec: str(spec.file.get_filename())))
"""


@dataclass(frozen=True)
class Code:
    """The code of one rule.

    Attributes:
        environment: The file of its environment.
        files: Its script, its plug-ins and all that these import, as paths in the repository.
        digest: Of these.
        declared: The digest that the rule has as a parameter; None if it depends on the job.
    """

    environment: str
    files: frozenset[str]
    digest: str
    declared: str | None


def code_of_rules(
    root: Path, *study: str | Path, plugged: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Code]:
    """Return the code of each rule with a script, by the rule's name.

    Args:
        root: Where the repository lies.
        study: The files of a study.
        plugged: The plug-ins that rules have a metric or a figure of, by the rule's name.
    """
    command = [sys.executable, "-c", LIST_RULES, json.dumps(plugged or {}), *study]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    rules = json.loads(result.stdout.partition("RULES ")[2])
    return {
        name: Code(rule["environment"], frozenset(rule["files"]), rule["digest"], rule["declared"])
        for name, rule in rules.items()
    }

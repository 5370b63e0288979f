"""Studies of a thousand runs, and the profile for clusters."""

import re
import subprocess
import sys

import yaml
from clone import ROOT, SMOKE

PROFILE = ROOT / "workflow/profiles/slurm/config.yaml"
MEMORY = 10**9
# A process's peak is at least that of the one it was forked from, here a small one. In KiB.
MEASURED = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""
DRY_RUN = (sys.executable, "-m", "snakemake", "--dry-run")


def dry_run(*arguments):
    return subprocess.run([*DRY_RUN, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_dry_run_of_a_thousand_runs_needs_less_than_a_gigabyte():
    command = [*DRY_RUN, "--quiet", "rules", "--configfile", "docs/thousand.yaml"]
    result = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    counts = dict(re.findall(r"^(\w+) +(\d+)$", result.stdout, re.M))
    assert int(counts["train"]) >= 1000
    # No job for each checkpoint or eigenpair.
    assert int(counts["total"]) < 6 * int(counts["train"])
    assert int(result.stderr.split()[-1]) * 1024 < MEMORY


def test_the_cluster_profile_plans_a_study_where_there_is_no_cluster():
    result = dry_run("--workflow-profile", "workflow/profiles/slurm", "--configfile", SMOKE)
    assert result.returncode == 0, result.stderr + result.stdout
    assert re.search(r"^total +\d+$", result.stdout, re.M)


def test_the_cluster_profile_asks_for_resources_of_rules_that_exist():
    rules = set(re.findall(r"^(?:use )?rule (?:\w+ as )?(\w+)", rules_text(), re.M))
    asked = yaml.safe_load(PROFILE.read_text())["set-resources"]
    assert set(asked) <= rules
    assert {name for name, resources in asked.items() if resources.get("gpu")} == rules_on_gpus()
    for resources in asked.values():
        assert all(resources[key].endswith(" * attempt") for key in ("mem_mb", "runtime"))


def rules_text():
    return "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))


def rules_on_gpus():
    """Rules that ask for a GPU in workflow/rules, and those made of them."""
    parts = re.split(r"^(?=(?:use )?rule )", rules_text(), flags=re.M)
    own = {part.split()[1].rstrip(":") for part in parts if part.startswith("rule") and "gpu=gpus()" in part}
    made = {part.split()[4] for part in parts if part.startswith("use rule") and part.split()[2] in own}
    return own | made


def test_every_key_of_the_cluster_profile_is_explained():
    blocks = [block for block in PROFILE.read_text().split("\n\n") if re.search(r"^\w", block, re.M)]
    assert len(blocks) > 8
    for block in blocks:
        assert block.startswith("#"), f"no comment above: {block}"


def test_profiles_agree_on_all_that_does_not_depend_on_the_machine():
    default = yaml.safe_load((PROFILE.parents[1] / "default/config.yaml").read_text())
    profile = yaml.safe_load(PROFILE.read_text())
    for key in default.keys() - {"cores", "resources"}:
        assert profile.get(key) == default[key], key

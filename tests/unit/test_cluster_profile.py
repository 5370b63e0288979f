"""The SLURM profile, compared with docs/resources.csv, the rules, the default profile, and docs/scale.md."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROFILES = ROOT / "workflow/profiles"
TEXT = (PROFILES / "slurm/config.yaml").read_text()
PROFILE = yaml.safe_load(TEXT)
DEFAULTS = dict(line.split("=") for line in PROFILE["default-resources"])
ASKED: dict[str, dict[str, Any]] = PROFILE["set-resources"]
with (ROOT / "docs/resources.csv").open() as file:
    MEASURED = {row["rule"]: row for row in csv.DictReader(file)}
RULES = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
# Room for other processors, file systems and larger networks.
MARGIN = 1.5


def asked(rule: str, key: str) -> int:
    """Return what a rule asks for at its first attempt."""
    return int(str(ASKED.get(rule, DEFAULTS).get(key, DEFAULTS[key])).split(" * ")[0])


@pytest.mark.parametrize("rule", MEASURED)
def test_a_rule_asks_for_more_than_it_was_measured_to_take(rule: str) -> None:
    assert asked(rule, "mem_mb") * 1e6 >= MARGIN * float(MEASURED[rule]["mebibytes"]) * 2**20
    assert asked(rule, "runtime") >= MARGIN * float(MEASURED[rule]["minutes"])


def test_every_rule_with_resources_of_its_own_exists_and_was_measured() -> None:
    assert set(ASKED) == set(MEASURED) - {"others"}
    assert set(ASKED) <= set(re.findall(r"^(?:use )?rule (?:\w+ as )?(\w+)", RULES, re.M))


def test_the_rules_that_may_use_a_gpu_ask_for_one() -> None:
    parts = re.split(r"^(?=(?:use )?rule )", RULES, flags=re.M)
    own = {part.split()[1].rstrip(":") for part in parts if part.startswith("rule") and "gpu=gpus()" in part}
    made = {part.split()[4] for part in parts if part.startswith("use rule") and part.split()[2] in own}
    assert {name for name, resources in ASKED.items() if resources.get("gpu")} == own | made


def test_all_resources_grow_with_retries() -> None:
    lines = [DEFAULTS, *ASKED.values()]
    assert all(resources[key].endswith(" * attempt") for resources in lines for key in ("mem_mb", "runtime"))
    assert PROFILE["retries"] >= 1


def test_the_profile_allows_for_lost_nodes_slow_file_systems_and_many_jobs() -> None:
    assert PROFILE["slurm-requeue"] is True
    assert PROFILE["slurm-status-command"] == "squeue"
    # NFS may hide a new file from other nodes for up to 60 s.
    assert PROFILE["latency-wait"] >= 60
    # A study of a hundred runs at once.
    assert PROFILE["jobs"] >= 100


def test_many_small_jobs_share_a_slurm_job_one_after_the_other() -> None:
    sizes = dict(group.split("=") for group in PROFILE["group-components"])
    assert list(sizes) == ["measured", "drawn"]
    for size in map(int, sizes.values()):
        assert size >= 10
        # A group asks for the sum of the times of its jobs; it fits into a day.
        assert size * asked("others", "runtime") <= 24 * 60
    assert DEFAULTS["turn"] == "1"
    assert PROFILE["resources"] == ["turn=1"]
    assert PROFILE["set-resource-scopes"] == ["turn=local"]


def test_conda_gets_the_version_of_cuda_in_the_lock() -> None:
    lock = (ROOT / "requirements.txt").read_text()
    definitions = "\n".join(PROFILE["__definitions__"])
    given = re.findall(r'setdefault\("CONDA_OVERRIDE_CUDA", "([\d.]+)"\)', definitions)
    assert given == re.findall(r"^cuda-toolkit==(\d+\.\d+)", lock, re.M)
    assert re.search(rf"^nvidia-cudnn-cu{given[0].partition('.')[0]}==", lock, re.M)


def test_every_key_is_explained() -> None:
    blocks = [block for block in TEXT.split("\n\n") if re.search(r"^\w", block, re.M)]
    assert len(blocks) > 8
    for block in blocks:
        assert block.startswith("#"), f"no comment above: {block}"


def test_profiles_agree_on_all_that_does_not_depend_on_the_machine() -> None:
    default = yaml.safe_load((PROFILES / "default/config.yaml").read_text())
    for key in default.keys() - {"cores", "resources"}:
        assert PROFILE.get(key) == default[key], key

"""What the SLURM profile asks for, held against docs/resources.csv and what docs/scale.md promises."""

import csv
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROFILE = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())
DEFAULTS = dict(line.split("=") for line in PROFILE["default-resources"])
with (ROOT / "docs/resources.csv").open() as file:
    MEASURED = {row["rule"]: row for row in csv.DictReader(file)}
# Room for other processors, file systems and larger networks.
MARGIN = 1.5


def asked(rule, key):
    """What a rule asks for at its first attempt."""
    return int(str(PROFILE["set-resources"].get(rule, DEFAULTS).get(key, DEFAULTS[key])).split(" * ")[0])


@pytest.mark.parametrize("rule", MEASURED)
def test_a_rule_asks_for_more_than_it_was_measured_to_take(rule):
    assert asked(rule, "mem_mb") * 1e6 >= MARGIN * float(MEASURED[rule]["mebibytes"]) * 2**20
    assert asked(rule, "runtime") >= MARGIN * float(MEASURED[rule]["minutes"])


def test_every_rule_with_lines_of_its_own_was_measured():
    assert set(PROFILE["set-resources"]) == set(MEASURED) - {"others"}


def test_all_that_is_asked_for_grows_with_retries():
    lines = [DEFAULTS, *PROFILE["set-resources"].values()]
    assert all(resources[key].endswith(" * attempt") for resources in lines for key in ("mem_mb", "runtime"))
    assert PROFILE["retries"] >= 1


def test_lost_nodes_slow_file_systems_and_many_jobs_are_provided_for():
    assert PROFILE["slurm-requeue"] is True
    assert PROFILE["slurm-status-command"] == "squeue"
    # NFS shows to other nodes what it knows of a directory for up to 60 s.
    assert PROFILE["latency-wait"] >= 60
    # A study of a hundred runs at once.
    assert PROFILE["jobs"] >= 100


def test_many_small_jobs_share_a_slurm_job_one_after_the_other():
    sizes = dict(group.split("=") for group in PROFILE["group-components"])
    assert list(sizes) == ["measured", "drawn"]
    for size in map(int, sizes.values()):
        assert size >= 10
        # With the time that a group asks for, which is the sum of those of its jobs, within a day.
        assert size * asked("others", "runtime") <= 24 * 60
    assert DEFAULTS["turn"] == "1"
    assert PROFILE["resources"] == ["turn=1"]
    assert PROFILE["set-resource-scopes"] == ["turn=local"]


def test_conda_is_told_the_version_of_cuda_that_the_lock_has():
    definitions = "\n".join(PROFILE["__definitions__"])
    told = re.search(r'setdefault\("CONDA_OVERRIDE_CUDA", "([\d.]+)"\)', definitions)[1]
    locked = re.search(r"^cuda-toolkit==(\d+\.\d+)", (ROOT / "requirements.txt").read_text(), re.M)[1]
    assert told == locked
    assert re.search(
        rf"^nvidia-cudnn-cu{told.partition('.')[0]}==", (ROOT / "requirements.txt").read_text(), re.M
    )

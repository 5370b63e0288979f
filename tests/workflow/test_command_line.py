"""Snakemake's command line: refusals, other directories, other workflows, clusters, and reports."""

import inspect
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from clone import ROOT, SMOKE, Clone, copy_of
from snakemake.scheduling.job_scheduler import JobScheduler

RUN = "digits/mlp-8/sgd/batch64-lr0.05/seed0"
DATA = "results/smoke/data/digits.json"
TRAINED = f"results/smoke/runs/{RUN}/trajectory.json"
CLUSTER = "workflow/profiles/slurm"
HERE = Clone(ROOT)
# Prints the peak memory of a command in KiB. A process inherits the peak of its parent, so the parent must be small.
MEASURED = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            "study: a\nstudy: b",
            "/wrong.yaml has the key 'study' twice in one mapping, in line 2; delete one of them.",
        ),
        ("trainin: {steps: 5}", "Config key 'trainin' is not known; did you mean 'training'?"),
        ("training: {steps: -5}", "Config key 'training.steps' is -5, expected an integer of at least 1"),
        ("experiments: {main: {datasets: [cifar10]}}", "mnist5k, digits, mnist, fashion_mnist"),
        (
            "optimizers: {1: {learning_rate: 0.1}}",
            "Config key 'optimizers.1' is not known; allowed here: sgd",
        ),
        ("plugins: [nowhere]", "Config key 'plugins' names 'nowhere', which does not exist"),
    ],
)
def test_an_invalid_config_is_refused_with_one_sentence(tmp_path: Path, wrong: str, sentence: str) -> None:
    study = tmp_path / "wrong.yaml"
    study.write_text(wrong)
    refused = HERE.plan("--dry-run", study=study)
    assert refused.returncode == 1
    assert sentence in refused.stdout
    assert "Traceback" not in refused.stdout
    assert "Job stats" not in refused.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            [TRAINED.replace("sgd", "sdg")],
            "The study smoke has no run digits/mlp-8/sdg/batch64-lr0.05/seed0",
        ),
        ([DATA.replace("digits", "digts")], "No rule to produce results/smoke/data/digts.json"),
        (
            ["--workflow-profile=workflow/profiles/slrum"],
            "--workflow-profile is workflow/profiles/slrum, which is neither a path nor one of",
        ),
    ],
    ids=["run", "file", "profile"],
)
def test_what_does_not_exist_is_refused(arguments: list[str], sentence: str) -> None:
    refused = HERE.plan("--dry-run", *arguments)
    assert refused.returncode != 0
    assert sentence in refused.stdout
    assert "KeyError" not in refused.stdout


@pytest.mark.slow
def test_the_fork_server_starts_only_when_jobs_run(fresh: Clone) -> None:
    module = fresh.path / "workflow/runtime/forkserver.py"
    module.write_text(module.read_text() + "\n\ndef start():\n    Path('started').touch()\n")
    marker = fresh.path / "started"
    assert fresh.plan("--dry-run", DATA).returncode == 0
    assert not marker.exists()
    for starts in (True, False):
        result = fresh.snakemake(DATA)
        assert result.returncode == 0, result.stdout
        assert marker.exists() == starts
        marker.unlink(missing_ok=True)


def test_snakemake_still_has_the_job_rate_limit_that_eigendrift_switches_off() -> None:
    assert "self.job_rate_limiter is not None" in inspect.getsource(JobScheduler.schedule)


def test_the_cluster_profile_plans_a_study_without_a_cluster(tmp_path: Path) -> None:
    """The profile's relative path is relative to the directory in which Snakemake was started."""
    planned = HERE.planned("--workflow-profile", CLUSTER, "--directory", str(tmp_path))
    assert planned["train"] > 10


@pytest.mark.slow
def test_a_dry_run_of_a_thousand_runs_needs_less_than_a_gigabyte() -> None:
    snakemake = ["-m", "snakemake", "--dry-run", "--quiet", "rules", "--configfile", "docs/thousand.yaml"]
    result = subprocess.run(
        [sys.executable, "-c", MEASURED, sys.executable, *snakemake],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    counts = dict(re.findall(r"^(\w+) +(\d+)$", result.stdout, re.M))
    assert int(counts["train"]) >= 1000
    # Checkpoints and eigenpairs have no jobs of their own.
    assert int(counts["total"]) < 6 * int(counts["train"])
    assert int(result.stderr.split()[-1]) * 1024 < 10**9


def test_results_are_up_to_date_wherever_the_clone_is(smoke: Clone, tmp_path: Path) -> None:
    """Snakemake works in a directory with results, using the Snakefile of another directory."""
    for name in ("results", ".snakemake"):
        shutil.copytree(smoke.path / name, tmp_path / "elsewhere" / name, symlinks=True)
    files = {"study": ROOT / SMOKE, "directory": tmp_path}
    options = ["--snakefile", str(ROOT / "Snakefile"), "--directory", "elsewhere", "--dry-run", "reported"]
    assert "Nothing to be done" in HERE.plan(*options, **files).stdout


MODULE = """
configfile: "mine.yaml"

module eigendrift:
    snakefile: {snakefile}
    config: config["eigendrift"]
    {more}

use rule * from eigendrift as eigendrift_*

rule mine:
    input: "results/mine/data/digits.json"
    output: "mine.txt"
    shell: "wc -c {{input}} > {{output}}"
"""
OtherWorkflow = Callable[..., Clone]


@pytest.fixture
def other_workflow(tmp_path: Path) -> OtherWorkflow:
    """A function that writes a user's workflow, which changes one learning rate of config.yaml."""

    def write(snakefile: Path = ROOT / "Snakefile", more: str = "", config: Any = None) -> Clone:
        own = config or {"study": "mine", "optimizers": {"sgd": {"learning_rate": 0.03}}}
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"other": 1, "eigendrift": own}))
        (tmp_path / "Snakefile").write_text(MODULE.format(snakefile=repr(str(snakefile)), more=more))
        return Clone(tmp_path)

    return write


@pytest.mark.slow
def test_another_workflow_may_use_it_as_a_module(other_workflow: OtherWorkflow) -> None:
    planned = other_workflow().plan("--cores", "1", "--dry-run", "eigendrift_all", study=())
    assert planned.returncode == 0, planned.stdout
    assert "sgd/batch64-lr0.03/seed0" in planned.stdout


@pytest.mark.slow
def test_jobs_run_in_a_module(other_workflow: OtherWorkflow) -> None:
    clone = other_workflow()
    made = clone.snakemake("--cores", "1", "mine", study=())
    assert made.returncode == 0, made.stdout
    assert (clone.path / "mine.txt").read_text().endswith("results/mine/data/digits.json\n")
    again = clone.plan("--cores", "1", "--dry-run", "mine", study=())
    assert "Nothing to be done" in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "config", "sentence"),
    [
        ('prefix: "sub"', None, "leave out prefix and replace_prefix of the module."),
        ("", {"studie": 1}, "Config key 'studie' is not known"),
        ("", ["study"], "The config of the module is a list; it must consist of keys with values"),
    ],
    ids=["prefix", "unknown key", "list"],
)
def test_what_a_module_cannot_do_is_said_in_a_sentence(
    other_workflow: OtherWorkflow, more: str, config: Any, sentence: str
) -> None:
    refused = other_workflow(more=more, config=config).plan("--cores", "1", "--dry-run", "mine", study=())
    assert refused.returncode != 0
    assert sentence in refused.stdout


def test_a_module_without_the_library_is_refused(other_workflow: OtherWorkflow, tmp_path: Path) -> None:
    lonely = tmp_path / "lonely"
    for name in ("rules", "report"):
        shutil.copytree(ROOT / "workflow" / name, lonely / "workflow" / name)
    shutil.copy(ROOT / "Snakefile", lonely)
    refused = other_workflow(lonely / "Snakefile").plan("--cores", "1", "--dry-run", "mine", study=())
    assert refused.returncode != 0
    assert "its Snakefile must be on this machine; clone the repository" in refused.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("targets", "name"), [([], "whole.zip"), (["fig03", "claims"], "part.html")], ids=["zip", "part"]
)
def test_reports_may_be_zip_files_and_of_a_part(smoke: Clone, tmp_path: Path, targets: list[str], name: str) -> None:
    report = tmp_path / name
    done = copy_of(smoke, tmp_path / "clone").snakemake(*targets, "--report", str(report))
    assert done.returncode == 0, done.stdout
    if targets:
        page = report.read_text()
        assert "fig03_localization" in page
        assert "fig04_training_loss.png" not in page
    else:
        with zipfile.ZipFile(report) as archive:
            names = {Path(member).name for member in archive.namelist()}
        assert {"report.html", "fig01_displacement.png", "fig04_training_loss.png", "claims.csv"} <= names

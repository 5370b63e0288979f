"""Where people run the workflow from: other directories, clones and workflows; and reports of their own."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from clone import ROOT, SMOKE

pytestmark = pytest.mark.xdist_group("smoke")
DATA = "results/smoke/data/digits.json"


def snakemake(directory: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run snakemake in a directory; stdout holds stderr as well."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--nocolor", *map(str, arguments)],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_results_are_up_to_date_wherever_the_clone_is(smoke, tmp_path):
    """The first clone makes data in a directory of its own; then all of smoke's results are put there."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    made = snakemake(
        elsewhere, "--snakefile", smoke.path / "Snakefile", "--configfile", smoke.path / SMOKE, "--", DATA
    )
    assert made.returncode == 0, made.stdout
    deeper = tmp_path / "another/clone/at/another/depth"
    shutil.copytree(smoke.path, deeper, ignore=shutil.ignore_patterns("results", ".snakemake"), symlinks=True)
    again = snakemake(
        tmp_path,
        *("--snakefile", deeper / "Snakefile", "--directory", elsewhere),
        *("--configfile", deeper / SMOKE, "--dry-run", "--", DATA),
    )
    assert "Nothing to be done" in again.stdout, again.stdout
    for name in ("results", ".snakemake"):
        shutil.rmtree(elsewhere / name)
        shutil.copytree(smoke.path / name, elsewhere / name, symlinks=True)
    everything = snakemake(
        elsewhere, "--snakefile", deeper / "Snakefile", "--configfile", deeper / SMOKE, "--dry-run"
    )
    assert "Nothing to be done" in everything.stdout, everything.stdout


def test_a_profile_that_does_not_exist_is_refused(smoke, tmp_path):
    for wrong in (["--workflow-profile", "slrum"], ["--workflow-profile=workflow/profiles/slrum"]):
        refused = smoke.snakemake(*wrong, "--dry-run")
        assert refused.returncode != 0
        assert f"--workflow-profile is {wrong[-1].split('=')[-1]}, which is neither a path nor one of" in (
            refused.stdout
        )
        assert "default and slurm; correct it." in refused.stdout
    # A relative path is one from where snakemake was started.
    found = smoke.snakemake(
        *("--workflow-profile", "workflow/profiles/slurm", "--directory", str(tmp_path)),
        *("--dry-run", "--", DATA),
    )
    assert found.returncode == 0, found.stdout


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


@pytest.fixture
def other_workflow(tmp_path):
    """A workflow of a user, who adds a learning rate to what config.yaml has and leaves the rest."""
    config = {"other": 1, "eigendrift": {"study": "mine", "optimizers": {"sgd": {"learning_rate": 0.03}}}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))

    def write(snakefile: str, more: str = "") -> Path:
        (tmp_path / "Snakefile").write_text(MODULE.format(snakefile=snakefile, more=more))
        return tmp_path

    return write


def test_another_workflow_may_have_it_as_a_module(other_workflow):
    directory = other_workflow(f'"{ROOT}/Snakefile"')
    made = snakemake(directory, "--cores", "1", "mine")
    assert made.returncode == 0, made.stdout
    assert (directory / "mine.txt").read_text().endswith("results/mine/data/digits.json\n")
    planned = snakemake(directory, "--cores", "1", "--dry-run", "eigendrift_all")
    assert planned.returncode == 0, planned.stdout
    assert "sgd/batch64-lr0.03/seed0" in planned.stdout
    again = snakemake(directory, "--cores", "1", "--dry-run", "mine")
    assert "Nothing to be done" in again.stdout


@pytest.mark.parametrize(
    ("snakefile", "more", "config", "sentence"),
    [
        ("'{}/Snakefile'", 'prefix: "sub"', {}, "leave out prefix and replace_prefix of the module."),
        ("'{}/Snakefile'", "", {"studie": 1}, "Config key 'studie' is not known"),
        ("'{}/Snakefile'", "", ["study"], "The config of the module is a list, expected keys with values"),
    ],
    ids=["prefix", "unknown key", "list"],
)
def test_what_a_module_cannot_do_is_said_in_a_sentence(other_workflow, snakefile, more, config, sentence):
    directory = other_workflow(snakefile.format(ROOT), more)
    given = yaml.safe_load((directory / "mine.yaml").read_text())
    given["eigendrift"] = given["eigendrift"] | config if isinstance(config, dict) else config
    (directory / "mine.yaml").write_text(yaml.safe_dump(given))
    refused = snakemake(directory, "--cores", "1", "--dry-run", "mine")
    assert refused.returncode != 0
    assert sentence in refused.stdout


def test_a_module_whose_library_is_not_there_is_refused(other_workflow, tmp_path):
    lonely = tmp_path / "lonely"
    shutil.copytree(ROOT / "workflow/rules", lonely / "workflow/rules")
    shutil.copytree(ROOT / "workflow/report", lonely / "workflow/report")
    shutil.copy(ROOT / "Snakefile", lonely)
    refused = snakemake(other_workflow(f"'{lonely}/Snakefile'"), "--cores", "1", "--dry-run", "mine")
    assert refused.returncode != 0
    assert "its Snakefile has to be on this machine; clone the repository" in refused.stdout


@pytest.mark.parametrize(
    ("targets", "name", "shown"),
    [
        ([], "whole.zip", {"fig01_displacement.png", "claims.csv"}),
        (["fig03"], "part.zip", {"fig03_localization.png"}),
        (["fig03", "claims"], "part.html", set()),
    ],
    ids=["zip", "zip of a part", "page of a part"],
)
def test_reports_may_be_zip_files_and_of_a_part(smoke, tmp_path, targets, name, shown):
    report = tmp_path / name
    done = smoke.snakemake(*targets, "--report", str(report))
    assert done.returncode == 0, done.stdout
    if report.suffix == ".html":
        page = report.read_text()
        assert "fig03_localization" in page
        assert "fig04_training_loss.png" not in page
        return
    with zipfile.ZipFile(report) as archive:
        names = {Path(member).name for member in archive.namelist()}
    assert shown | {"report.html"} <= names
    assert ("fig04_training_loss.png" in names) == (not targets)


def test_what_other_systems_leave_in_results_is_ignored(smoke):
    """Files that macOS puts into every directory that it has shown."""
    left = [
        Path(directory, name)
        for directory, _, _ in os.walk(smoke.path / "results/smoke/runs")
        for name in ("._zarr.json", ".DS_Store")
    ]
    for path in left:
        path.write_bytes(b"\0\5\x16\7")
    try:
        done = smoke.snakemake("--forcerun", "metrics", "--until", "metrics")
        assert done.returncode == 0, done.stdout
        assert smoke.snakemake("--dry-run").stdout.count("Nothing to be done") == 1
    finally:
        for path in left:
            path.unlink(missing_ok=True)

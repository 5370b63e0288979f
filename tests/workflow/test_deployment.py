"""The workflow as snakedeploy and the workflow catalog use it: as a module, read from a Git hosting service."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml
from clone import ROOT, copy_repository

# The Snakefile that `snakedeploy deploy-workflow` writes.
DEPLOYED = """
configfile: "config/config.yaml"

module eigendrift:
    snakefile:
        github("owner/eigendrift", path="workflow/Snakefile", tag="v1")
    config:
        config

use rule * from eigendrift
"""


@pytest.fixture
def deployed(tmp_path):
    """The directory of a workflow deployed from a tag on GitHub, and a function that runs snakemake there.

    Git takes the repository from this machine, without a network.
    """
    repository = copy_repository(tmp_path / "repository").path
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message", "first"],
        ["tag", "v1"],
    ):
        subprocess.run(["git", *command], cwd=repository, check=True)
    directory = tmp_path / "deployed"
    for name in ("config", "profiles"):
        shutil.copytree(repository / name, directory / name)
    (directory / "workflow").mkdir()
    (directory / "workflow/Snakefile").write_text(DEPLOYED)
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{repository}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/owner/eigendrift",
    }

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "snakemake", "--nocolor", "--cores", "1", *arguments]
        done = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return directory, run


@pytest.mark.slow
def test_a_deployed_workflow_plans_a_whole_study_and_its_jobs_find_the_library(deployed):
    directory, snakemake = deployed
    planned = snakemake("--dry-run", "--quiet", "rules")
    assert "train" in planned
    assert "ext07" in planned
    snakemake("--", "results/my-study/data/digits.json")
    assert (directory / "results/my-study/data/digits.zarr").is_dir()
    # Only one revision was stored, and no incomplete copy is left.
    assert len(list((directory / ".snakemake/eigendrift").iterdir())) == 1


def test_the_repository_has_the_files_that_the_catalog_needs():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"]["conda"]
    for path in ("workflow/Snakefile", "config/README.md", "config/config.yaml"):
        assert (ROOT / path).is_file()
    assert "snakemake" in (ROOT / "README.md").read_text().lower()

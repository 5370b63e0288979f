"""What the report is made of, and when it is made again; tests/system opens it in a browser."""

import re

import pandas as pd
import pytest

pytestmark = pytest.mark.xdist_group("smoke")

PARTS = {"benchmarks": 1, "claims_page": 1, "configuration": 1, "ext09": 1, "reported": 1}


def planned(clone, *arguments):
    """Return how many jobs of each rule a dry run plans for the report."""
    result = clone.snakemake("--dry-run", *arguments, "--", "reported")
    assert result.returncode == 0, result.stdout
    if "Nothing to be done" in result.stdout:
        return {}
    table = result.stdout.split("Job stats:")[1].split("total")[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}


@pytest.fixture(scope="module")
def reported(smoke):
    """The smoke study with all that its report shows."""
    result = smoke.snakemake("reported")
    assert result.returncode == 0, result.stdout
    return smoke


@pytest.fixture(scope="module")
def jobs(reported):
    return pd.read_csv(reported.path / "results/smoke/benchmarks.csv", keep_default_na=False, na_values=[""])


def test_figures_alone_need_no_part_of_the_report(fresh):
    assert PARTS.items() <= planned(fresh).items()
    rules = {output.rule for output in fresh.outputs().values()}
    assert "fig01" in rules
    assert not rules & PARTS.keys()


def test_nothing_is_left_to_do(reported):
    assert planned(reported) == {}


def test_run_times_are_those_of_all_jobs(reported, jobs):
    made = {path: output.rule for path, output in reported.outputs().items()}
    assert set(jobs["rule"]) == set(made.values())
    for rule, store in {
        "train": "trajectory",
        "metrics": r"seed\d+/metrics",
        "null_model": "null/.+",
    }.items():
        count = sum(bool(re.search(rf"{store}\.json$", path)) for path in made if made[path] == rule)
        assert (jobs["rule"] == rule).sum() == count > 0
    assert jobs[["seconds", "start_up_seconds", "cpu_seconds"]].notna().all(axis=None)


def test_a_missing_benchmark_file_runs_no_job_again(reported):
    path = next((reported.path / "results/smoke/benchmarks/train").rglob("*.tsv"))
    content = path.read_bytes()
    path.unlink()
    try:
        assert planned(reported) == {}
        result = reported.snakemake("--forcerun", "benchmarks", "--", "reported")
        assert result.returncode == 0, result.stdout
        table = pd.read_csv(reported.path / "results/smoke/benchmarks.csv")
        assert (table["rule"] == "train").sum() == len(list(path.parents[4].rglob("*.tsv")))
    finally:
        path.write_bytes(content)


def test_jobs_that_run_again_are_timed_again(reported):
    assert planned(reported, "--forcerun", "fig04") == {
        "fig04": 1,
        "benchmarks": 1,
        "ext09": 1,
        "reported": 1,
    }


def test_the_configuration_runs_the_same_study_again(reported):
    (reported.path / "again.yaml").write_bytes((reported.path / "results/smoke/config.yaml").read_bytes())
    result = reported.snakemake("--dry-run", study="again.yaml")
    assert result.returncode == 0, result.stdout
    assert "Nothing to be done" in result.stdout


def test_where_the_users_files_lie_is_not_published(reported):
    study = (reported.path / "workflow/studies/smoke.yaml").read_text()
    (reported.path / "elsewhere.yaml").write_text(f"{study}\ndata_dir: /home/somebody/data\n")
    result = reported.snakemake("--dry-run", "reported", study="elsewhere.yaml")
    assert "Nothing to be done" in result.stdout

"""What the workflow does before its first job."""

import inspect

import pytest
from snakemake.scheduling.job_scheduler import JobScheduler

RUN = "digits/mlp-8/sgd/batch64-lr0.05/seed0"
DATA = "results/smoke/data/digits.json"
TRAINED = f"results/smoke/runs/{RUN}/trajectory.json"


def test_a_fork_server_is_started_when_jobs_run_and_only_then(fresh):
    module = fresh.path / "workflow/runtime/forkserver.py"
    module.write_text(module.read_text() + "\n\ndef start():\n    Path('started').touch()\n")
    marker = fresh.path / "started"
    for arguments, starts in (["--dry-run"], False), ([], True), ([], False):
        marker.unlink(missing_ok=True)
        result = fresh.snakemake(*arguments, DATA)
        assert result.returncode == 0, result.stdout
        assert marker.exists() == starts


def test_snakemake_still_has_the_limit_that_we_switch_off():
    assert "self.job_rate_limiter is not None" in inspect.getsource(JobScheduler.schedule)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (TRAINED.replace("sgd", "sdg"), "The study smoke has no run digits/mlp-8/sdg/batch64-lr0.05/seed0"),
        (DATA.replace("digits", "digts"), "No rule to produce results/smoke/data/digts.json"),
    ],
)
def test_what_the_study_does_not_have_is_told(fresh, target, told):
    result = fresh.snakemake("--dry-run", target)
    assert result.returncode == 1
    assert told in result.stdout
    assert "KeyError" not in result.stdout

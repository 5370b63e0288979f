"""What the workflow does before its first job."""

import inspect

from snakemake.scheduling.job_scheduler import JobScheduler

DATA = "results/smoke/data/digits.json"


def test_a_fork_server_is_started_when_jobs_run_and_only_then(fresh):
    module = fresh.path / "workflow/forkserver.py"
    module.write_text(module.read_text() + "\n\ndef start():\n    Path('started').touch()\n")
    marker = fresh.path / "started"
    for arguments, starts in (["--dry-run"], False), ([], True), ([], False):
        marker.unlink(missing_ok=True)
        result = fresh.snakemake(*arguments, DATA)
        assert result.returncode == 0, result.stdout
        assert marker.exists() == starts


def test_snakemake_still_has_the_limit_that_we_switch_off():
    assert "self.job_rate_limiter is not None" in inspect.getsource(JobScheduler.schedule)

"""Code that is edited during a run: jobs fail instead of publishing under the digest of other code."""

import fcntl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from clone import SMOKE, Clone, copy_repository, rewritten

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("edits")]

RUN = "digits/mlp-8/sgd/batch64-lr0.05/seed0"
LOG = f"results/smoke/logs/train/{RUN}.log"
TRAJECTORY, EIGENPAIRS, METRICS = (
    f"results/smoke/runs/{RUN}/{kind}.json" for kind in ("trajectory", "eigenpairs", "metrics")
)
DATA = "results/smoke/data/digits.json"
CHANGED = "has changed since snakemake started; undo the edit"
MODULE = "workflow/eigendrift/metrics/measure.py"


def with_a_line(file: Path) -> str:
    return file.read_text() + "\n# changed\n"


@contextmanager
def training(clone: Clone, *targets: str, logged: str = "Computing on") -> Iterator[subprocess.Popen[str]]:
    """Start a snakemake that trains a run again and computes the targets, and wait for a message of the training."""
    log = clone.path / LOG
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "snakemake", f"--configfile={SMOKE}", "--nocolor", "--forcerun=train"]
    with subprocess.Popen(
        [*command, *targets], cwd=clone.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as job:
        while job.poll() is None and not (log.exists() and logged in log.read_text()):
            time.sleep(0.01)
        yield job


def test_a_job_whose_code_is_edited_while_it_works_publishes_nothing(smoke_copy: Clone) -> None:
    script = smoke_copy.path / "workflow/scripts/train.py"
    before = (smoke_copy.path / TRAJECTORY).read_bytes()
    progress = smoke_copy.path / TRAJECTORY.replace("trajectory.json", ".trajectory-progress")
    progress.mkdir()
    with (progress / "lock").open("w") as lock:
        # The job waits for the lock after its first look at the code.
        fcntl.flock(lock, fcntl.LOCK_EX)
        with training(smoke_copy, TRAJECTORY, logged="waiting") as job, rewritten(script, with_a_line(script)):
            fcntl.flock(lock, fcntl.LOCK_UN)
            output, _ = job.communicate()
    assert job.returncode == 1
    assert f"The code of this job (scripts/train.py and what it imports) {CHANGED}" in output
    assert "Traceback" not in output
    assert not (smoke_copy.path / TRAJECTORY).exists()
    again = smoke_copy.snakemake(TRAJECTORY)
    assert again.returncode == 0, again.stdout
    assert "Resuming from" in (smoke_copy.path / LOG).read_text()
    assert (smoke_copy.path / TRAJECTORY).read_bytes() == before


def test_a_job_whose_code_was_edited_before_it_starts_fails_and_others_continue(smoke_copy: Clone) -> None:
    module = smoke_copy.path / MODULE
    with training(smoke_copy, METRICS) as job, rewritten(module, with_a_line(module)):
        output, _ = job.communicate()
    assert job.returncode == 1
    assert f"The code of this job (scripts/metrics.py and what it imports) {CHANGED}" in output
    assert "Traceback" not in output
    pending = smoke_copy.pending(METRICS)
    assert METRICS in pending
    assert not {TRAJECTORY, EIGENPAIRS} & pending
    again = smoke_copy.snakemake(METRICS)
    assert again.returncode == 0, again.stdout
    assert smoke_copy.pending(METRICS) == set()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy with the record of a snakemake that has started."""
    clone = copy_repository(tmp_path_factory.mktemp("started") / "clone")
    result = clone.snakemake(DATA)
    assert result.returncode == 0, result.stdout
    return clone


class TestJobsOnACluster:
    """Each is a snakemake of its own, which reads everything again."""

    @staticmethod
    def job(clone: Clone) -> subprocess.CompletedProcess[str]:
        target = ["--target-jobs", "data:dataset=digits", "--allowed-rules", "data"]
        return clone.snakemake("--mode=remote", "--cores=1", "--force", "--nolock", "--no-hooks", *target)

    def test_run_if_only_code_of_other_jobs_is_edited(self, started: Clone) -> None:
        module = started.path / MODULE
        with rewritten(module, with_a_line(module)):
            result = self.job(started)
        assert result.returncode == 0, result.stdout

    @pytest.mark.parametrize(
        ("file", "line", "what"),
        [
            ("workflow/rules/figures.smk", "# changed", "workflow/rules/figures.smk"),
            ("workflow/eigendrift/study/runs.py", "# changed", "workflow/eigendrift/study/runs.py"),
            (
                "workflow/eigendrift/stores/writing.py",
                "# changed",
                "The code of this job (scripts/data.py and what it imports)",
            ),
            (SMOKE, "data_dir: /elsewhere", "the configuration"),
        ],
        ids=["rule", "module of the plan", "module of the job", "configuration"],
    )
    def test_fail_if_what_they_read_is_edited(self, started: Clone, file: str, line: str, what: str) -> None:
        path = started.path / file
        with rewritten(path, f"{path.read_text()}\n{line}\n"):
            result = self.job(started)
        assert result.returncode == 1
        output = result.stdout + (started.path / "results/smoke/logs/data/digits.log").read_text()
        assert f"{what} {CHANGED}" in output
        assert "Traceback" not in output

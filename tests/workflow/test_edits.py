"""What is edited while a snakemake works is never recorded as something else."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from clone import SMOKE, Clone, copy_repository, rewritten

pytestmark = pytest.mark.xdist_group("smoke")

RUN = "digits/mlp-8/sgd/batch64-lr0.05/seed0"
LOG = f"results/smoke/logs/train/{RUN}.log"
STORES = [f"results/smoke/runs/{RUN}/{kind}.json" for kind in ("trajectory", "eigenpairs", "metrics")]
MODULE = "workflow/eigendrift/metrics/run.py"
TOLD = "has changed since snakemake started"


@contextmanager
def at_work(smoke: Clone, *targets: str) -> Iterator[subprocess.Popen[str]]:
    """A snakemake that trains a run anew, and makes what follows; it trains by now."""
    log = smoke.path / LOG
    log.unlink()
    command = [sys.executable, "-m", "snakemake", f"--configfile={SMOKE}", "--nocolor", "--forcerun=train"]
    with subprocess.Popen(
        [*command, *targets], cwd=smoke.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as job:
        while job.poll() is None and not (log.exists() and "Computing on" in log.read_text()):
            time.sleep(0.01)
        yield job


def with_a_line(file: Path) -> str:
    return file.read_text() + "\n# changed\n"


def test_a_module_that_is_edited_while_its_job_runs_reruns_it(smoke: Clone) -> None:
    """Its output is younger than the edit."""
    script, store = smoke.path / "workflow/scripts/train.py", STORES[0]
    with at_work(smoke, store) as job, rewritten(script, with_a_line(script)):
        said, _ = job.communicate()
        assert job.returncode == 0, said
        assert script.stat().st_mtime < (smoke.path / store).stat().st_mtime
        assert store in smoke.pending()
    assert smoke.pending() == set()


def test_a_module_that_is_edited_before_its_job_imports_it_is_refused(smoke: Clone) -> None:
    """Else its output would count as made without the edit, for good once that is undone."""
    module = smoke.path / MODULE
    before = [(smoke.path / store).read_bytes() for store in STORES]
    with at_work(smoke, *STORES) as job, rewritten(module, with_a_line(module)):
        said, _ = job.communicate()
    assert job.returncode == 1
    assert f"ERROR {MODULE} {TOLD}" in said
    assert "Traceback" not in said
    assert STORES[2] in smoke.pending()
    again = smoke.snakemake(*STORES)
    assert again.returncode == 0, again.stdout
    assert [(smoke.path / store).read_bytes() for store in STORES] == before
    assert smoke.pending() == set()


DATA = "results/smoke/data/digits.json"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which a snakemake has begun; a job that fails removes its outputs."""
    clone = copy_repository(tmp_path_factory.mktemp("begun"))
    result = clone.snakemake(DATA)
    assert result.returncode == 0, result.stdout
    return clone


class TestJobsOfACluster:
    """Each is a snakemake of its own, which reads everything again."""

    @staticmethod
    def job(clone: Clone, *options: str) -> subprocess.CompletedProcess[str]:
        target = ["--target-jobs", "data:dataset=digits", "--allowed-rules", "data"]
        return clone.snakemake(
            "--mode=remote", "--cores=1", "--force", "--nolock", "--no-hooks", *target, *options
        )

    def test_run_as_long_as_nothing_is_edited(self, begun: Clone) -> None:
        result = self.job(begun)
        assert result.returncode == 0, result.stdout

    def test_run_beside_edits_of_what_they_do_not_run(self, begun: Clone) -> None:
        module = begun.path / MODULE
        with rewritten(module, with_a_line(module)):
            assert self.job(begun).returncode == 0

    @pytest.mark.parametrize(
        ("file", "line", "what"),
        [
            ("workflow/rules/figures.smk", "# changed", "workflow/rules/figures.smk"),
            ("workflow/eigendrift/study/runs.py", "# changed", "workflow/eigendrift/study/runs.py"),
            ("workflow/eigendrift/data/storage.py", "# changed", "workflow/eigendrift/data/storage.py"),
            ("workflow/scripts/data.py", "# changed", "workflow/scripts/data.py"),
            (SMOKE, "data_dir: /elsewhere", "the configuration"),
        ],
        ids=["rule", "module of the rules", "module of the job", "script", "configuration"],
    )
    def test_fail_if_something_is_edited(self, begun: Clone, file: str, line: str, what: str) -> None:
        path = begun.path / file
        with rewritten(path, f"{path.read_text()}\n{line}\n"):
            result = self.job(begun)
        assert result.returncode == 1
        told = result.stdout + (begun.path / "results/smoke/logs/data/digits.log").read_text()
        assert f"{what} {TOLD}" in told
        assert "Traceback" not in told

    def test_plugins_may_import_what_is_beside_them_by_names_that_they_make_up(self, fresh: Clone) -> None:
        place = fresh.path / "mine"
        place.mkdir()
        example = (fresh.path / "examples/entropy.py").read_text()
        dynamic = "\nimport importlib\n\nimportlib.import_module('._parts', __package__)\n"
        (place / "entropy.py").write_text(example + dynamic)
        (place / "_parts.py").write_text("")
        options = ["--config", "plugins=['mine/entropy.py']"]
        main = fresh.snakemake(DATA, *options)
        assert main.returncode == 0, main.stdout
        result = self.job(fresh, *options)
        assert result.returncode == 0, result.stdout
        (place / "_parts.py").write_text("# changed")
        assert f"mine/_parts.py {TOLD}" in self.job(fresh, *options).stdout

    def test_a_plugin_that_is_gone_from_its_directory_is_another_configuration(self, fresh: Clone) -> None:
        place = fresh.path / "mine"
        shutil.copytree(fresh.path / "examples", place)
        options = ["--config", "plugins=['mine']"]
        main = fresh.snakemake(DATA, *options)
        assert main.returncode == 0, main.stdout
        (place / "entropy.py").unlink()
        assert f"the configuration {TOLD}" in self.job(fresh, *options).stdout

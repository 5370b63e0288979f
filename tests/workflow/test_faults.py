"""Kills, locks that killed runs leave behind, and divergence, as a user experiences them."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from clone import SMOKE, Clone
from tiny_study import TINY

RUN = "results/smoke/runs/digits/mlp-8/adam/batch64-lr0.001/seed0"


def clean_up(clone: Clone, study: str = "smoke", status: int = 0) -> str:
    """Clean up as `make figures` does first, check the exit status, and return the script's messages."""
    done = clone.clean_up(f"results/{study}")
    assert done.returncode == status, done.stderr
    return done.stderr


def kill_while(clone: Clone, target: str, appears: str, *, group: bool = True) -> None:
    """Start Snakemake, and kill its process group with all jobs, or only Snakemake, when a file appears."""
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", f"--configfile={SMOKE}", target],
        cwd=clone.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list(clone.path.glob(appears)):
        assert process.poll() is None, "snakemake ended before it could be killed"
        assert time.monotonic() < deadline, f"{appears} did not appear"
        time.sleep(0.01)
    if group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


@pytest.mark.slow
def test_a_killed_study_resumes_with_the_same_bits(fresh: Clone) -> None:
    """The first kill hits only Snakemake and leaves its job running; the second one hits Snakemake and its job."""
    target = f"{RUN}/eigenpairs.json"
    study = yaml.safe_load((fresh.path / SMOKE).read_text())
    study["training"] = {"steps": 4000, "checkpoints": {"count": 41}}
    (fresh.path / SMOKE).write_text(yaml.safe_dump(study))
    undisturbed = fresh.snakemake(target)
    assert undisturbed.returncode == 0, undisturbed.stdout
    kinds = {"train": "trajectory", "eigenpairs": "eigenpairs"}
    expected = [(fresh.path / RUN / f"{kind}.json").read_bytes() for kind in kinds.values()]
    assert fresh.snakemake("--delete-all-output", target).returncode == 0
    assert not (fresh.path / RUN / "trajectory.json").exists()

    kill_while(fresh, target, f"{RUN}/.trajectory-progress/record-00004.npz", group=False)
    assert "ending the job that it left running (their progress is kept) and removing" in clean_up(fresh)
    kill_while(fresh, target, f"{RUN}/.eigenpairs-progress/record-00003.npz")
    assert clean_up(fresh) == "An earlier run was killed: removing its lock.\n"
    result = fresh.snakemake(target)
    assert result.returncode == 0, result.stdout
    for rule in kinds:
        log = fresh.path / f"results/smoke/logs/{rule}" / f"{RUN.split('runs/')[1]}.log"
        assert "Resuming from" in log.read_text()
    assert [(fresh.path / RUN / f"{kind}.json").read_bytes() for kind in kinds.values()] == expected
    assert not list((fresh.path / RUN).glob(".*progress"))


def test_the_lock_of_a_running_snakemake_is_kept(fresh: Clone) -> None:
    locks = fresh.path / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.input.lock").write_text("results/desk/claims.json\n")
    (locks / "0.output.lock").write_text("results/smoke/claims.json\n")
    # This process looks like a Snakemake that works in the directory. The reader of the lock file does not.
    sleeping = fresh.path / "snakemake"
    sleeping.write_text("import time; time.sleep(60)")
    living = subprocess.Popen([sys.executable, "snakemake"], cwd=fresh.path)
    reader = subprocess.Popen(["tail", "-f", ".snakemake/locks/0.output.lock"], cwd=fresh.path)
    try:
        assert clean_up(fresh, status=1) == (
            f"Another snakemake is working on results/smoke (process {living.pid}); wait until it ends or "
            "end it, and do not unlock.\n"
        )
        assert clean_up(fresh, study="desk") == ""
        assert len(list(locks.iterdir())) == 2
        living.kill()
        living.wait()
        sleeping.unlink()
        clean_up(fresh)
        assert not list(locks.glob("*"))
        assert reader.poll() is None
    finally:
        for process in (living, reader):
            process.kill()
            process.wait()


def test_the_lock_of_a_snakemake_on_another_machine_is_kept(fresh: Clone, tmp_path: Path) -> None:
    """No process on this machine looks like a Snakemake in this directory; only the lock shows that one runs."""
    locks = fresh.path / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/smoke/claims.json\n")
    results = str(fresh.path / "results/smoke")
    code = "import sys, time; from pathlib import Path; from runtime import lock; "
    code += "lock.acquire(Path(sys.argv[1])); print(flush=True); time.sleep(60)"
    holding = subprocess.Popen(
        [sys.executable, "-c", code, results],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(fresh.path / "workflow")},
        stdout=subprocess.PIPE,
    )
    assert holding.stdout
    try:
        holding.stdout.readline()
        who = f"(process {holding.pid} on {platform.node()}, in {tmp_path})"
        assert clean_up(fresh, status=1).startswith(f"Another snakemake is working on results/smoke {who}; ")
        # `snakemake --unlock` would remove all locks, so none is removed.
        assert clean_up(fresh, study="desk") == ""
        assert list(locks.iterdir())
    finally:
        holding.kill()
        holding.communicate()
    assert clean_up(fresh) == "An earlier run was killed: removing its lock.\n"
    assert not list(locks.glob("*"))


@pytest.mark.slow
def test_a_diverged_run_is_reported_and_the_study_continues(fresh: Clone) -> None:
    changes = fresh.path / "diverging.yaml"
    sweeps = dict.fromkeys(("batch_sizes", "learning_rates", "training_sizes"))
    changes.write_text(yaml.safe_dump({"optimizers": {"sgd": {"learning_rate": 1000.0}}, "experiments": sweeps}))
    results = fresh.path / "results/tiny"
    figure = results / "figures/fig04_training_loss.csv"
    targets = [str(path.relative_to(fresh.path)) for path in (results / "claims.json", figure)]
    result = fresh.snakemake(*targets, study=(TINY, changes))
    assert result.returncode == 0, result.stdout
    run = results / "runs/digits/mlp-4/sgd/batch64-lr1000.0/seed0"
    diverged_at = json.loads((run / "trajectory.json").read_text())["summary"]["diverged_at"]
    assert 0 < diverged_at < 40
    claims = json.loads((results / "claims.json").read_text())
    assert f"digits, sgd: seed 0 diverged at step {diverged_at}" in claims["notes"]
    c1 = claims["claims"][0]
    assert c1["verdict"] == "undecided"
    assert c1["excluded"]["0"] == f"sgd diverged at step {diverged_at}"
    loss = pd.read_csv(figure).groupby("optimizer")["step"].max()
    assert loss["sgd"] < diverged_at
    assert loss["adam"] == 40


TRAJECTORY = f"{RUN}/trajectory.json"


def leave_lock(clone: Clone) -> None:
    """Create the lock that a killed Snakemake leaves behind."""
    locks = clone.path / ".snakemake/locks"
    locks.mkdir(parents=True, exist_ok=True)
    (locks / "0.output.lock").write_text(f"{TRAJECTORY}\n{RUN}/trajectory.zarr\n")


@pytest.mark.slow
def test_outputs_that_jobs_finish_after_snakemake_was_killed_are_deleted(fresh: Clone) -> None:
    def start(steps: int) -> tuple[str, Path]:
        """Run Snakemake for another job, and return the study."""
        changes = fresh.path / f"{steps}.yaml"
        changes.write_text(yaml.safe_dump({"training": {"steps": steps}}))
        started = fresh.snakemake("--force", "results/smoke/data/digits.json", study=(SMOKE, changes))
        assert started.returncode == 0, started.stdout
        return SMOKE, changes

    def finish_job(study: tuple[str, Path]) -> str:
        """Train like a job in SLURM whose Snakemake was killed, and return the messages of the cleanup."""
        cluster = ["--mode=remote", "--cores=1", "--nolock", "--no-hooks", "--force", "--allowed-rules=train"]
        result = fresh.snakemake(*cluster, TRAJECTORY, study=study)
        assert result.returncode == 0, result.stdout
        assert not [path for path in (fresh.path / ".snakemake/incomplete").rglob("*") if path.is_file()]
        leave_lock(fresh)
        return clean_up(fresh)

    study = start(60)
    assert finish_job(study).splitlines()[-1] == (
        f"Deleted 1 file that jobs finished after their snakemake was killed, such as {TRAJECTORY}: there is "
        "no record of their parameters."
    )
    assert fresh.planned(TRAJECTORY, study=study) == {"train": 1}
    # A file with a record is kept. A file that was recreated after its record was written is deleted.
    assert fresh.snakemake(TRAJECTORY, study=study).returncode == 0
    leave_lock(fresh)
    assert "Deleted" not in clean_up(fresh)
    assert fresh.planned(TRAJECTORY, study=study) == {}
    assert TRAJECTORY in finish_job(start(30))
    assert fresh.planned(TRAJECTORY, study=study) == {"train": 1}


@pytest.mark.slow
def test_nothing_is_cleaned_up_while_jobs_are_in_slurm(fresh: Clone, tmp_path: Path) -> None:
    leave_lock(fresh)
    mark = "from snakemake.persistence.file import FilePersistence; "
    mark += f"FilePersistence()._mark_incomplete({TRAJECTORY!r}, '7')"
    subprocess.run([sys.executable, "-c", mark], cwd=fresh.path, check=True)
    squeue = tmp_path / "squeue"
    for answer, status, sentence in (
        ("echo 70; echo 7", 1, "Jobs of a killed run are still in SLURM: end them with `scancel 7` or wait"),
        ("echo no answer >&2; exit 1", 1, "still has jobs in SLURM (no answer)"),
        ("echo 70", 0, "An earlier run was killed: removing its lock."),
    ):
        squeue.write_text(f"#!/bin/sh\n{answer}\n")
        squeue.chmod(0o755)
        done = fresh.clean_up("results/smoke", PATH=f"{tmp_path}:/usr/bin:/bin")
        assert sentence in done.stderr
        assert done.returncode == status
        assert (fresh.path / ".snakemake/locks").exists() == bool(status)

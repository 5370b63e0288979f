"""Kills, divergence and wrong configurations, as a user meets them."""

import json
import os
import platform
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import yaml
from clone import ROOT, Clone, put_back

RUN = "results/smoke/runs/digits/mlp-8/adam/batch64-lr0.001/seed0"


def lengthen(clone):
    """Make the smoke study long enough to be killed in the middle of each stage."""
    path = clone.path / "workflow/studies/smoke.yaml"
    study = yaml.safe_load(path.read_text())
    study["training"] = {"steps": 4000, "checkpoints": {"count": 41}}
    path.write_text(yaml.safe_dump(study))


def clean_up(clone, study="smoke", status=0):
    """Do what `make figures` does first, and has to end with a status; return what it says."""
    command = [sys.executable, "workflow/unlock.py", f"results/{study}"]
    done = subprocess.run(command, cwd=clone.path, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stderr


def kill_while(clone, target, appears, *, group=True):
    """Start snakemake in its own process group and kill it, or all of the group, once a file appears."""
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--configfile=workflow/studies/smoke.yaml", target],
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


def test_a_killed_study_goes_on_with_the_same_bits(fresh):
    target = f"{RUN}/eigenpairs.json"
    lengthen(fresh)
    undisturbed = fresh.snakemake(target)
    assert undisturbed.returncode == 0, undisturbed.stdout
    kinds = ("trajectory", "eigenpairs")
    expected = {kind: (fresh.path / RUN / f"{kind}.json").read_bytes() for kind in kinds}
    assert fresh.snakemake("--delete-all-output", target).returncode == 0
    assert not (fresh.path / RUN / "trajectory.json").exists()

    for appears in (".trajectory-progress/record-00004.npz", ".eigenpairs-progress/record-00003.npz"):
        kill_while(fresh, target, f"{RUN}/{appears}")
        assert clean_up(fresh) == "An earlier run was killed: removing its lock.\n"
    result = fresh.snakemake(target)
    assert result.returncode == 0, result.stdout
    log = (fresh.path / "results/smoke/logs/eigenpairs" / f"{RUN.split('runs/')[1]}.log").read_text()
    assert "Resuming from" in log
    assert {kind: (fresh.path / RUN / f"{kind}.json").read_bytes() for kind in kinds} == expected
    assert not list((fresh.path / RUN).glob(".*progress"))


def test_jobs_that_outlive_their_snakemake_are_ended_and_resumed(fresh):
    lengthen(fresh)
    target = f"{RUN}/trajectory.json"
    kill_while(fresh, target, f"{RUN}/.trajectory-progress/record-00003.npz", group=False)
    assert "ending the job that it left behind, whose progress is kept, and removing" in clean_up(fresh)
    result = fresh.snakemake(target)
    assert result.returncode == 0, result.stdout
    log = (fresh.path / "results/smoke/logs/train" / f"{RUN.split('runs/')[1]}.log").read_text()
    assert "Resuming from" in log


def test_the_lock_of_a_living_snakemake_is_left_alone(fresh):
    locks = fresh.path / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.input.lock").write_text("results/desk/claims.json\n")
    (locks / "0.output.lock").write_text("results/smoke/claims.json\n")
    # A stand-in that looks like a snakemake at work here; one that only reads its files does not.
    sleeping = fresh.path / "snakemake"
    sleeping.write_text("import time; time.sleep(60)")
    living = subprocess.Popen([sys.executable, "snakemake"], cwd=fresh.path)
    reader = subprocess.Popen(["tail", "-f", ".snakemake/locks/0.output.lock"], cwd=fresh.path)
    try:
        assert clean_up(fresh, status=1) == (
            f"Another snakemake is at work on results/smoke (process {living.pid}); wait for it or end it, "
            "and do not unlock.\n"
        )
        assert clean_up(fresh, study="desk") == ""
        assert len(list(locks.iterdir())) == 2
    finally:
        living.kill()
        living.wait()
        sleeping.unlink()
    try:
        clean_up(fresh)
        assert not list(locks.glob("*"))
        assert reader.poll() is None
    finally:
        reader.kill()
        reader.wait()


def test_a_snakemake_that_only_its_lock_tells_of_is_left_alone(fresh, tmp_path):
    """As on another machine: no process of this one is a snakemake in this directory."""
    locks = fresh.path / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/smoke/claims.json\n")
    code = (
        f"import time; from pathlib import Path; from atwork import hold; hold(Path({str(fresh.path)!r}) / "
    )
    code += "'results/smoke'); print(flush=True); time.sleep(60)"
    elsewhere = os.environ | {"PYTHONPATH": str(fresh.path / "workflow")}
    holding = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=elsewhere, stdout=subprocess.PIPE
    )
    try:
        holding.stdout.readline()
        who = f"(process {holding.pid} on {platform.node()}, in {tmp_path})"
        assert clean_up(fresh, status=1).startswith(f"Another snakemake is at work on results/smoke {who}; ")
        # Snakemake would remove all locks.
        assert clean_up(fresh, study="desk") == ""
        assert list(locks.iterdir())
    finally:
        holding.kill()
        holding.communicate()
    assert clean_up(fresh) == "An earlier run was killed: removing its lock.\n"
    assert not list(locks.glob("*"))


@pytest.mark.xdist_group("smoke")
def test_a_diverged_run_is_reported_and_the_rest_goes_on(smoke, tmp_path):
    before = (smoke.path / "config.yaml").read_text()
    changed = before.replace("learning_rate: 0.05", "learning_rate: 1000.0")
    assert changed != before
    with put_back(smoke, tmp_path / "before"):
        (smoke.path / "config.yaml").write_text(changed)
        result = smoke.snakemake()
        assert result.returncode == 0, result.stdout
        results = smoke.path / "results/smoke"
        run = results / "runs/digits/mlp-8/sgd/batch64-lr1000.0/seed0"
        diverged_at = json.loads((run / "trajectory.json").read_text())["summary"]["diverged_at"]
        assert 0 < diverged_at < 60
        claims = json.loads((results / "claims.json").read_text())
        assert f"digits, sgd: seed 0 diverged at step {diverged_at}" in claims["notes"]
        c1 = claims["claims"][0]
        assert c1["verdict"] == "undecided"
        assert c1["excluded"]["0"] == f"sgd diverged at step {diverged_at}"
        loss = pd.read_csv(results / "figures/fig04_training_loss.csv")
        assert loss.query("optimizer == 'sgd'")["step"].max() < diverged_at
        assert loss.query("optimizer == 'adam'")["step"].max() == 60


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("study: a\nstudy: b", "/wrong.yaml, key 'study' stands twice in one group; leave one out."),
        ("experiments: {main: {seeds: 100000000}}", "'experiments.main.seeds' is 100000000, expected"),
        ("trainin: {steps: 5}", "Config key 'trainin' is not known; did you mean 'training'?"),
        ("training: {stepps: 5}", "Config key 'training.stepps' is not known; did you mean 'steps'?"),
        ("training: {steps: -5}", "Config key 'training.steps' is -5, expected an integer of at least 1"),
        ("training: {steps: many}", "Config key 'training.steps' is \"many\", expected an integer"),
        ("experiments: {main: {datasets: [cifar10]}}", "mnist5k, digits, mnist, fashion_mnist"),
        ("experiments: {main: {optimizers: [lion]}}", "'lion'"),
        ("experiments: {main: null}", "'experiments.main' is null, which leaves an experiment out"),
    ],
)
def test_a_wrong_config_is_refused_with_one_sentence(tmp_path, wrong, sentence):
    study = tmp_path / "wrong.yaml"
    study.write_text(wrong)
    result = Clone(ROOT).snakemake("--dry-run", study=study)
    assert result.returncode == 1
    assert sentence in result.stdout
    assert "Traceback" not in result.stdout
    assert "Job stats" not in result.stdout

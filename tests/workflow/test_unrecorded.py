"""Jobs on a cluster that end after their snakemake was killed."""

import os
import subprocess
import sys

from clone import SMOKE

RUN = "results/smoke/runs/digits/mlp-8/adam/batch64-lr0.001/seed0"
TARGET = f"{RUN}/trajectory.json"
CLEAN_UP = [sys.executable, "-m", "runtime.lock", "results/smoke"]
MARK = (
    "from snakemake.persistence.file import FilePersistence; "
    f"FilePersistence()._mark_incomplete({TARGET!r}, '7')"
)


def clean_up(clone, **environment):
    return subprocess.run(
        CLEAN_UP,
        cwd=clone.path,
        env={**(environment or os.environ), "PYTHONPATH": "workflow"},
        capture_output=True,
        text=True,
        check=False,
    )


def lock(clone):
    """Leave what a killed snakemake leaves: its lock."""
    locks = clone.path / ".snakemake/locks"
    locks.mkdir(exist_ok=True)
    (locks / "0.output.lock").write_text(f"{TARGET}\n{TARGET.replace('.json', '.zarr')}\n")


def finish_job(clone):
    """Do what a job in SLURM does when nobody waits for it any more."""
    result = clone.snakemake(
        "--mode=remote", "--cores=1", "--nolock", "--no-hooks", "--force", "--allowed-rules=train", TARGET
    )
    assert result.returncode == 0, result.stdout
    assert not [path for path in (clone.path / ".snakemake/incomplete").rglob("*") if path.is_file()]


def set_steps(clone, steps):
    path = clone.path / SMOKE
    lines = [
        f"  steps: {steps}" if line.startswith("  steps:") else line for line in path.read_text().splitlines()
    ]
    path.write_text("\n".join(lines) + "\n")


def is_planned(clone):
    return "Nothing to be done" not in clone.snakemake("--dry-run", TARGET).stdout


def begin(clone):
    """Start a snakemake, with which jobs begin."""
    assert clone.snakemake("--force", "results/smoke/data/digits.json").returncode == 0


def test_what_jobs_make_after_their_snakemake_was_killed_counts_as_not_made(fresh):
    begin(fresh)
    finish_job(fresh)
    lock(fresh)
    said = clean_up(fresh)
    assert said.returncode == 0
    assert said.stderr.splitlines()[-1] == (
        f"Deleted 1 file that jobs finished after their snakemake was killed, such as {TARGET}: there is no "
        "record of their parameters."
    )
    assert is_planned(fresh)
    # What has a record stays; what was made anew after it was written does not.
    assert fresh.snakemake(TARGET).returncode == 0
    lock(fresh)
    assert "Deleted" not in clean_up(fresh).stderr
    assert not is_planned(fresh)
    set_steps(fresh, 30)
    begin(fresh)
    finish_job(fresh)
    lock(fresh)
    assert TARGET in clean_up(fresh).stderr
    set_steps(fresh, 60)
    assert is_planned(fresh)


def test_nothing_is_cleaned_up_while_jobs_are_in_slurm(fresh, tmp_path):
    (fresh.path / ".snakemake").mkdir()
    subprocess.run([sys.executable, "-c", MARK], cwd=fresh.path, check=True)
    lock(fresh)
    squeue = tmp_path / "squeue"
    for answer, sentence in (
        ("echo 70; echo 7", "Jobs of a killed run are still in SLURM: end them with `scancel 7` or wait"),
        ("echo no answer >&2; exit 1", "still has jobs in SLURM (no answer)"),
        ("echo 70", "An earlier run was killed: removing its lock."),
    ):
        squeue.write_text(f"#!/bin/sh\n{answer}\n")
        squeue.chmod(0o755)
        said = clean_up(fresh, PATH=f"{tmp_path}:/usr/bin:/bin")
        assert sentence in said.stderr
        refused = answer != "echo 70"
        assert said.returncode == int(refused)
        assert (fresh.path / ".snakemake/locks").exists() == refused

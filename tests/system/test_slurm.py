"""The tiny study in a real SLURM with workflow/profiles/slurm; some jobs are cancelled or lose their node."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import slurm as cluster
import tally
import torch
import yaml
from clone import Clone, copy_repository
from tiny_study import RESULTS, TINY

MISSING = cluster.missing_programs()
pytestmark = [
    pytest.mark.xdist_group("slurm"),
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"needs SLURM, but {', '.join(MISSING)} is missing; run "
        "apt-get install --no-install-recommends slurmctld slurmd slurm-client munge",
    ),
    pytest.mark.skipif(os.getuid() != 0, reason="needs root, because slurmd runs as root"),
]

# Changes of the tiny study. The overhead of SLURM and Snakemake is much longer than a job computes, so jobs are few.
FEWER = {
    "experiments": {
        "main": {"seeds": 1},
        **dict.fromkeys(("batch_sizes", "learning_rates", "training_sizes")),
    },
    "null_models": {"names": ["reinitialized"]},
}
# Training long enough to be interrupted in the middle.
LONG = {"training": {"steps": 40000, "checkpoints": {"count": 81}}}
STUDY = (TINY, "changes.yaml")
DRAWN = ("fig01_displacement", "fig02_alignment", "fig03_localization", "fig04_training_loss")
TARGETS = [str(RESULTS / "claims.json"), *(str(RESULTS / f"figures/{name}.csv") for name in DRAWN)]
RUN = str(RESULTS / "runs/digits/mlp-4/adam/batch64-lr0.001/seed0")
NULL = str(RESULTS / "null/digits/mlp-4/reinitialized.json")
SOLVED = ("train", "eigenpairs", "null_model")
# Groups whose jobs share SLURM jobs: the rules of each group, and the number of jobs per SLURM job.
GROUPS = {"measured": ("(wide_)?metrics|baseline", 4), "drawn": ("figures", 3)}
# Snakemake asks for the state of jobs after two seconds and keeps the output of all jobs.
PROFILE = [
    "--workflow-profile=workflow/profiles/slurm",
    "--slurm-init-seconds-before-status-checks=2",
    "--slurm-keep-successful-logs",
]
# Long jobs also share SLURM jobs, as docs/scale.md advises for small studies.
SMALL = [
    "--groups",
    *(f"{rule}=solved" for rule in (*SOLVED, "wide_eigenpairs", "minimum")),
    "--group-components",
    *(f"{group}={largest}" for group, (_, largest) in GROUPS.items()),
    "solved=5",
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    # The path of munge's socket must be short.
    home = tmp_path_factory.mktemp("slurm")
    try:
        yield cluster.start(home)
    finally:
        cluster.stop(cluster.Slurm(home))


def copy_with(place: Path, *changes: dict) -> Clone:
    """Return a copy of the repository with changes of the tiny study."""
    clone = copy_repository(place / "clone")
    both = {key: value for change in changes for key, value in change.items()}
    (clone.path / STUDY[1]).write_text(yaml.safe_dump(both))
    return clone


def content(clone: Clone) -> dict[str, bytes]:
    """Return the computed results by path: numbers of figures, and manifests, which contain digests of the stores."""
    paths = [*clone.path.glob(f"{RESULTS}/**/*.json"), *clone.path.glob(f"{RESULTS}/figures/*.csv")]
    return {str(path.relative_to(clone.path)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The study, run on this machine without SLURM."""
    clone = copy_with(tmp_path_factory.mktemp("local"), FEWER)
    result = clone.snakemake(*TARGETS, study=STUDY)
    assert result.returncode == 0, result.stdout
    return clone


@pytest.fixture(scope="module")
def submitted(slurm, tmp_path_factory):
    """The study, run in SLURM, and SLURM's description of its jobs."""
    clone = copy_with(tmp_path_factory.mktemp("submitted"), FEWER)
    before = set(slurm.jobs())
    result = clone.snakemake(*PROFILE, *SMALL, "--", *TARGETS, study=STUDY, **slurm.environment)
    assert result.returncode == 0, result.stdout
    jobs = {number: job for number, job in slurm.jobs().items() if number not in before}
    columns = "JobID:8,State:12,TimeUsed:8,MinMemory:12,tres-per-job:16,StdOut:200"
    table = slurm.ask("squeue", "--states=all", f"--Format={columns}").replace(f"{clone.path}/", "")
    tally.show("\n".join(["What SLURM reports about its jobs:", *map(str.rstrip, table.splitlines())]))
    return clone, jobs


def logs(clone):
    return {path.relative_to(clone.path): path for path in clone.path.glob(f"{RESULTS}/logs/**/*.log")}


def jobs_said(clone):
    """Return the numbers of the SLURM jobs that each log names."""
    return {name: re.findall(r"This is SLURM job (\d+)", path.read_text()) for name, path in logs(clone).items()}


def test_results_have_the_same_bits_as_without_slurm(submitted, local):
    expected = content(local)
    assert f"{RUN}/eigenpairs.json" in expected
    assert content(submitted[0]) == expected


def test_logs_name_the_slurm_job(submitted, local):
    clone, jobs = submitted
    said = jobs_said(clone)
    assert set(said) == set(logs(local))
    assert all(len(numbers) == 1 and numbers[0] in jobs for numbers in said.values()), said
    # This SLURM offers GPUs that do not exist, so a job uses one only if the machine has its own.
    warned = "This job requested a GPU but does not use it" in log(clone, "train")
    assert warned != torch.cuda.is_available()
    assert {job["JobState"] for job in jobs.values()} == {"COMPLETED"}


@pytest.mark.parametrize("group", GROUPS)
def test_small_jobs_share_slurm_jobs(submitted, group):
    clone, jobs = submitted
    rules, largest = GROUPS[group]
    together = {number for number, job in jobs.items() if f"/group_{group}_" in job["StdOut"]}
    small = {name: numbers[0] for name, numbers in jobs_said(clone).items() if re.fullmatch(rules, name.parts[3])}
    assert set(small.values()) == together
    assert len(together) == math.ceil(len(small) / largest) > 1
    assert {jobs[number]["NumCPUs"] for number in together} == {"1"}


@pytest.fixture(scope="module")
def disturbed(slurm, tmp_path_factory):
    """A long run in which one job is cancelled halfway and another loses its node."""
    clone = copy_with(tmp_path_factory.mktemp("disturbed"), FEWER, LONG)
    targets = [f"{RUN}/eigenpairs.json", NULL]
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--configfile", *STUDY, *PROFILE, *targets],
        cwd=clone.path,
        env=os.environ | slurm.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def await_progress(kind):
        progress = clone.path / RUN / f".{kind}-progress/record-00008.npz"
        cluster.await_that(lambda: progress.exists() or process.poll(), f"progress of the {kind}")
        assert progress.exists(), process.stdout.read()

    try:
        await_progress("trajectory")
        cancelled = slurm.running("train")
        slurm.ask("scancel", cancelled)
        await_progress("eigenpairs")
        lost = slurm.running("eigenpairs")
        trajectory = (clone.path / RUN / "trajectory.json").stat().st_mtime_ns
        slurm.lose_node()
        slurm.return_node()
        output, _ = process.communicate(timeout=600)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, output
    return clone, slurm.jobs(), cancelled, lost, trajectory


def log(clone, rule):
    return (clone.path / RESULTS / f"logs/{rule}/{RUN.partition('runs/')[2]}.log").read_text()


def test_jobs_request_the_resources_of_the_profile(disturbed):
    clone, jobs, cancelled, lost, _ = disturbed
    # The job that tested SLURM at the start has no output.
    (null,) = (number for number, job in jobs.items() if "/rule_null_model/" in job.get("StdOut", ""))
    profile = yaml.safe_load((clone.path / PROFILE[0].partition("=")[2] / "config.yaml").read_text())
    for rule, number in zip(SOLVED, (cancelled, lost, null), strict=True):
        asked, job = profile["set-resources"][rule], jobs[number]
        memory, minutes = (int(asked[key].removesuffix(" * attempt")) for key in ("mem_mb", "runtime"))
        assert "gres/gpu=1" in job["TRES"] or job["TresPerJob"] == "gres:gpu:1"
        assert job["MinMemoryNode"] in (f"{memory}M", f"{memory / 1000:g}G", f"{memory // 1024}G")
        assert job["TimeLimit"] == f"{minutes // 60:02}:{minutes % 60:02}:00"
        assert job["NumCPUs"] == "1"


def test_a_cancelled_job_is_submitted_again_and_resumes(disturbed):
    clone, jobs, cancelled, *_ = disturbed
    assert jobs[cancelled]["JobState"] == "CANCELLED"
    again = re.search(r"This is SLURM job (\d+)", log(clone, "train"))[1]
    assert again != cancelled
    assert jobs[again]["JobState"] == "COMPLETED"
    assert "Resuming from" in log(clone, "train")
    once, twice = (int(re.match(r"(\d+)", jobs[number]["MinMemoryNode"])[1]) for number in (cancelled, again))
    assert twice >= 2 * once or jobs[again]["MinMemoryNode"] == "4000M"


def test_a_lost_node_loses_no_finished_work(disturbed):
    clone, jobs, _, lost, trajectory = disturbed
    assert (clone.path / RUN / "trajectory.json").stat().st_mtime_ns == trajectory
    assert "Resuming from" in log(clone, "eigenpairs")
    assert int(jobs[lost]["Restarts"]) == 1 or jobs[lost]["JobState"] == "NODE_FAIL"


def test_interrupted_jobs_give_the_same_bits(disturbed, tmp_path_factory):
    clone = disturbed[0]
    undisturbed = copy_with(tmp_path_factory.mktemp("undisturbed"), FEWER, LONG)
    result = undisturbed.snakemake(f"{RUN}/eigenpairs.json", NULL, study=STUDY)
    assert result.returncode == 0, result.stdout
    assert content(clone) == content(undisturbed)
    assert not list((clone.path / RUN).glob(".*progress"))


def test_outputs_finished_in_slurm_after_snakemake_was_killed_are_recreated(slurm, submitted):
    clone = submitted[0]
    target = f"{RUN}/trajectory.json"

    def train_for(steps, *arguments):
        (clone.path / STUDY[1]).write_text(yaml.safe_dump({**FEWER, "training": {"steps": steps}}))
        command = [sys.executable, "-m", "snakemake", "--configfile", *STUDY, *PROFILE, *arguments, target]
        return subprocess.Popen(
            command, cwd=clone.path, env=os.environ | slurm.environment, stdout=subprocess.PIPE, text=True
        )

    before, known = (clone.path / target).read_text(), set(slurm.jobs())
    slurm.ask("scontrol", "update", "NodeName=node", "State=DRAIN", "Reason=waits")
    killed = train_for(80)
    cluster.await_that(lambda: set(slurm.jobs()) - known or killed.poll(), "a job in SLURM")
    (number,) = set(slurm.jobs()) - known
    marks = clone.path / ".snakemake/incomplete"
    cluster.await_that(lambda: any(marks.rglob("*")), "its number in Snakemake's records")
    killed.kill()
    killed.communicate()
    assert f"`scancel {number}`" in clone.clean_up(RESULTS, **slurm.environment).stderr
    slurm.ask("scontrol", "update", "NodeName=node", "State=RESUME")
    cluster.await_that(lambda: slurm.jobs()[number]["JobState"] == "COMPLETED", "the end of the job")
    assert (clone.path / target).read_text() != before
    cleaned = clone.clean_up(RESULTS, **slurm.environment).stderr
    assert f"such as {target}: there is no record of their parameters" in cleaned
    planned, _ = train_for(40, "--dry-run").communicate()
    assert re.search(r"^train +1$", planned, re.M), planned

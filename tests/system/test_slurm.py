"""The smoke study in a real SLURM, through workflow/profiles/slurm; jobs are cancelled or lose their node."""

import math
import os
import re
import subprocess
import sys

import pytest
import slurm as cluster
import tally
import torch
import yaml
from clone import SMOKE, copy_repository

MISSING = cluster.missing_programs()
pytestmark = [
    pytest.mark.xdist_group("smoke"),
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"needs SLURM, and there is no {', '.join(MISSING)}: "
        "apt-get install --no-install-recommends slurmctld slurmd slurm-client munge",
    ),
    pytest.mark.skipif(os.getuid() != 0, reason="needs root, as whom slurmd runs"),
]

SOLVED = ("train", "eigenpairs", "null_model")
# Of which many go into one SLURM job, by the rules that they belong to; at most so many.
GROUPS = {"measured": r"(wide_|preconditioned_)?metrics|baseline", "drawn": "figures"}
LARGEST = 20
RUN = "results/smoke/runs/digits/mlp-8/adam/batch64-lr0.001/seed0"
NULL = "results/smoke/null/digits/mlp-8/isotropic.json"
# Long enough to be disturbed in the middle.
LONG = {"steps": 40000, "full_batch_steps": 100, "checkpoints": {"count": 81}}
# A look at every job's state after two seconds, and what the jobs said is kept.
PROFILE = [
    "--workflow-profile=workflow/profiles/slurm",
    "--slurm-init-seconds-before-status-checks=2",
    "--slurm-keep-successful-logs",
]
# By docs/scale.md, of studies as small as smoke long jobs, too, go together, those of five runs at a time.
SMALL = [
    "--groups",
    *(f"{rule}=solved" for rule in (*SOLVED, "wide_eigenpairs", "preconditioned_eigenpairs", "minimum")),
    "--group-components",
    *(f"{group}={LARGEST}" for group in GROUPS),
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


def with_long_training(tmp_path_factory, name):
    clone = copy_repository(tmp_path_factory.mktemp(name))
    study = yaml.safe_load((clone.path / SMOKE).read_text())
    study["training"] |= LONG
    (clone.path / SMOKE).write_text(yaml.safe_dump(study))
    return clone


def content(clone):
    """All that says what was computed: figures' numbers, and manifests, which have digests of the stores."""
    paths = [*clone.path.glob("results/smoke/**/*.json"), *clone.path.glob("results/smoke/figures/*.csv")]
    return {str(path.relative_to(clone.path)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def submitted(slurm, tmp_path_factory):
    """The study in SLURM, and what SLURM says of its jobs."""
    clone = copy_repository(tmp_path_factory.mktemp("submitted"))
    before = set(slurm.jobs())
    result = clone.snakemake(*PROFILE, *SMALL, **slurm.environment)
    assert result.returncode == 0, result.stdout
    jobs = {number: job for number, job in slurm.jobs().items() if number not in before}
    columns = "JobID:8,State:12,TimeUsed:8,MinMemory:12,tres-per-job:16,StdOut:200"
    table = slurm.ask("squeue", "--states=all", f"--Format={columns}").replace(f"{clone.path}/", "")
    tally.show("\n".join(["What SLURM says of its jobs:", *map(str.rstrip, table.splitlines())]))
    return clone, jobs


def logs(clone):
    return {path.relative_to(clone.path): path for path in clone.path.glob("results/smoke/logs/**/*.log")}


def jobs_said(clone):
    """The numbers of the SLURM jobs in which what has a log ran, by the log."""
    return {
        name: re.findall(r"This is SLURM job (\d+)", path.read_text()) for name, path in logs(clone).items()
    }


def test_results_are_those_of_this_machine_to_the_bit(submitted, smoke):
    expected = content(smoke)
    assert f"{RUN}/eigenpairs.json" in expected
    assert content(submitted[0]) == expected


def test_jobs_run_in_slurm_and_say_so(submitted, smoke):
    clone, jobs = submitted
    said = jobs_said(clone)
    assert set(said) == set(logs(smoke))
    assert all(len(numbers) == 1 and numbers[0] in jobs for numbers in said.values()), said
    # The GPUs are made up.
    warned = "This job requested a GPU but does not use it" in log(clone, "train")
    assert warned != torch.cuda.is_available()
    assert {job["JobState"] for job in jobs.values()} == {"COMPLETED"}


@pytest.mark.parametrize("group", GROUPS)
def test_small_jobs_go_together(submitted, group):
    clone, jobs = submitted
    together = {number for number, job in jobs.items() if f"/group_{group}_" in job["StdOut"]}
    small = {
        name: numbers[0]
        for name, numbers in jobs_said(clone).items()
        if re.fullmatch(GROUPS[group], name.parts[3])
    }
    assert set(small.values()) == together
    assert len(together) == math.ceil(len(small) / LARGEST)
    assert {jobs[number]["NumCPUs"] for number in together} == {"1"}


@pytest.fixture(scope="module")
def disturbed(slurm, tmp_path_factory):
    """A long run of which one job is cancelled in the middle, and another one's node is lost."""
    clone = with_long_training(tmp_path_factory, "disturbed")
    targets = [f"{RUN}/eigenpairs.json", NULL]
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", f"--configfile={SMOKE}", *PROFILE, *targets],
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
    return (clone.path / f"results/smoke/logs/{rule}/{RUN.partition('runs/')[2]}.log").read_text()


def test_jobs_ask_for_what_the_profile_says(disturbed):
    clone, jobs, cancelled, lost, _ = disturbed
    # The one with which SLURM was tried has no output.
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


def test_what_was_disturbed_has_the_same_bits(disturbed, tmp_path_factory):
    clone = disturbed[0]
    local = with_long_training(tmp_path_factory, "undisturbed")
    result = local.snakemake(f"{RUN}/eigenpairs.json", NULL)
    assert result.returncode == 0, result.stdout
    assert content(clone) == content(local)
    assert not list((clone.path / RUN).glob(".*progress"))


def test_what_ends_in_slurm_after_its_snakemake_was_killed_is_made_anew(slurm, submitted):
    clone = submitted[0]
    target = f"{RUN}/trajectory.json"

    def train_for(steps, *arguments):
        study = yaml.safe_load((clone.path / SMOKE).read_text())
        study["training"]["steps"] = steps
        (clone.path / SMOKE).write_text(yaml.safe_dump(study))
        command = [sys.executable, "-m", "snakemake", f"--configfile={SMOKE}", *PROFILE, *arguments, target]
        return subprocess.Popen(
            command, cwd=clone.path, env=os.environ | slurm.environment, stdout=subprocess.PIPE, text=True
        )

    def clean_up():
        command = [sys.executable, "workflow/unlock.py", "results/smoke"]
        environment = os.environ | slurm.environment
        return subprocess.run(
            command, cwd=clone.path, env=environment, capture_output=True, text=True, check=False
        )

    before, known = (clone.path / target).read_text(), set(slurm.jobs())
    slurm.ask("scontrol", "update", "NodeName=node", "State=DRAIN", "Reason=waits")
    killed = train_for(120)
    cluster.await_that(lambda: set(slurm.jobs()) - known or killed.poll(), "a job in SLURM")
    (number,) = set(slurm.jobs()) - known
    marks = clone.path / ".snakemake/incomplete"
    cluster.await_that(lambda: any(marks.rglob("*")), "its number in Snakemake's records")
    killed.kill()
    killed.communicate()
    assert f"`scancel {number}`" in clean_up().stderr
    slurm.ask("scontrol", "update", "NodeName=node", "State=RESUME")
    cluster.await_that(lambda: slurm.jobs()[number]["JobState"] == "COMPLETED", "the end of the job")
    assert (clone.path / target).read_text() != before
    assert f"such as {target}, removed" in clean_up().stderr
    planned, _ = train_for(60, "--dry-run").communicate()
    assert re.search(r"^train +1$", planned, re.M), planned

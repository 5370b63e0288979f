"""Kills in every stage when something is unfinished: the next snakemake finishes, with the same bits.

Moments are drawn from a seed: some by time, the others when a job has kept a record of progress or is writing what it
makes; a slow disk makes that last. `make faults` makes KILLS of them, `make test-all` a dozen.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import tally
from slow_disk import environment_in
from tiny_study import RESULTS, STAGES, TINY, contents, delete, outputs_of, processes_of

pytestmark = pytest.mark.xdist_group("tiny")

KILLS = int(os.environ.get("KILLS", "12"))
MET = "of these, met one or the other"
SEED = int(os.environ.get("SEED", "0"))
# What is killed, and with what. Jobs are processes of snakemake's or forks of the fork server.
ATTACKS = [
    (victim, number)
    for victim in ("job", "snakemake", "fork", "everything", "server")
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
]
# Stages whose jobs keep progress, and those of three jobs, the last of which are forks.
RESUMABLE = {"train", "eigenpairs", "null_model"}
FORKED = {*RESUMABLE, "metrics", "baseline", "figures"}
LONGEST = 240
TRIES = 8


@dataclass(frozen=True)
class Kill:
    """One kill.

    Attributes:
        stage: Which stage's outputs are being made.
        victim: What is killed.
        number: The signal.
        event: What is to be on the disk first: a record of progress, a part of an output, an output, a log.
        moment: Which record, or when after the event, as a share of all.
    """

    stage: str
    victim: str
    number: signal.Signals
    event: str
    moment: float

    @property
    def patterns(self) -> list[str]:
        """Which files beside the outputs tell of the event."""
        if self.event == "record":
            number = f"{int(self.moment * 4):05d}"
            return [f".*-progress/record-{number}.npz", f".*-progress/*/record-{number}.npz"]
        return [".*.partial"]

    @property
    def seconds(self) -> float:
        """How long to wait after the event."""
        return {"record": 0.0, "output": 0.0, "partial": 0.5, "log": 3.0}[self.event] * self.moment


def planned() -> list[Kill]:
    """Every stage and every attack in turn; which meets which, and when, is drawn."""
    dice = np.random.default_rng(SEED)
    stages: list[str] = []
    while len(stages) < KILLS:
        stages += [list(STAGES)[index] for index in dice.permutation(len(STAGES))]
    kills: list[Kill] = []
    attacks: list[tuple[str, signal.Signals]] = []
    for stage in stages[:KILLS]:
        if len(attacks) < len(ATTACKS):
            attacks += [ATTACKS[index] for index in dice.permutation(len(ATTACKS))]
        victim, number = next(one for one in attacks if one[0] != "fork" or stage in FORKED)
        attacks.remove((victim, number))
        events = ["partial", "output", "record" if stage in RESUMABLE else "log"]
        kills.append(Kill(stage, victim, number, str(dice.choice(events)), float(dice.random())))
    return kills


def victims(snakemake: psutil.Process, victim: str) -> list[psutil.Process]:
    """The processes to kill; for want of a server a job, for want of a job snakemake itself."""
    words: dict[psutil.Process, str] = {}
    parents: dict[psutil.Process, int] = {}
    for process in snakemake.children(recursive=True):
        # Some end while we look.
        with contextlib.suppress(psutil.Error):
            words[process] = " ".join(process.cmdline())
            parents[process] = process.ppid()
    jobs = [process for process in words if ".snakemake/scripts/" in words[process]]
    servers = [process for process in words if "forkserver.py" in words[process]]
    found = {
        "job": jobs,
        "server": [process for process in servers if parents[process] == snakemake.pid] or jobs,
        "fork": [process for process in servers if parents[process] != snakemake.pid],
        "everything": [snakemake, *words],
    }.get(victim, [])
    return found or ([] if victim == "fork" else [snakemake])


def start(clone, targets: list[str], cores: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", f"--configfile={TINY}", f"--cores={cores}", *targets],
        cwd=clone.path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for(process: subprocess.Popen[bytes], happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONGEST
    while process.poll() is None and not happened():
        assert time.monotonic() < deadline, f"snakemake has neither ended nor come so far in {LONGEST} s"
        time.sleep(0.002)


def struck(clone, kill: Kill, outputs: list[str], logs: list[Path], environment: dict[str, str]) -> set[str] | None:
    """Start snakemake, wait for the moment, kill; return what that met, None if it left nothing to do."""
    delete(clone, outputs)
    for log in logs:
        log.unlink(missing_ok=True)
    # One job after another: the first tells the server what to import, the others are forks.
    process = start(clone, outputs, 1 if kill.victim == "fork" else 2, environment)
    main = psutil.Process(process.pid)
    places = {(clone.path / path).parent for path in outputs}
    wait_for(process, lambda: any(log.exists() for log in logs))
    if kill.victim == "fork":
        wait_for(process, lambda: victims(main, "fork"))
    if kill.event == "output":
        wait_for(process, lambda: any((clone.path / path).exists() for path in outputs))
    elif kill.event != "log":
        wait_for(process, lambda: any(any(p.glob(one)) for p in places for one in kill.patterns))
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(kill.seconds)
    hit, found, unfinished = False, set(), False
    with contextlib.suppress(psutil.Error):
        chosen = victims(main, kill.victim)
        found, unfinished = met(clone, outputs), not is_complete(clone, outputs)
        for victim in chosen:
            # A fork may have ended meanwhile, as may everything below what was killed first.
            with contextlib.suppress(psutil.Error):
                victim.send_signal(kill.number)
                hit = True
    process.wait(LONGEST)
    # Snakemake goes on without the server.
    left_work = unfinished and (kill.victim == "server" or not is_complete(clone, outputs))
    return found if hit and left_work else None


def met(clone, outputs: list[str]) -> set[str]:
    """What lies beside outputs that are being made."""
    places = {(clone.path / path).parent for path in outputs}
    kinds = {
        "progress": (".*-progress/**/record-*.npz", ".*-progress/**/state"),
        "half-written outputs": (".*.partial",),
    }
    return {
        kind
        for kind, patterns in kinds.items()
        if any(any(place.glob(pattern)) for place in places for pattern in patterns)
    }


def is_complete(clone, outputs: list[str]) -> bool:
    return all((clone.path / path).exists() for path in outputs)


def check_whole_or_absent(clone, outputs: list[str], expected: dict[str, bytes]) -> None:
    """Whatever stands in an output's place after a kill is that output, to the last file."""
    for path in outputs:
        whole = {name: content for name, content in expected.items() if is_part(name, path)}
        # Elsewhere, a job that has outlived its snakemake may be writing.
        left = contents(clone, path)
        assert left in ({}, whole), path


def is_part(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}/")


def finish(clone, outputs: list[str]) -> None:
    """Do what `make figures` does."""
    cleaned = clone.clean_up(RESULTS)
    assert cleaned.returncode == 0, cleaned.stderr
    result = clone.snakemake(*outputs, study=TINY)
    assert result.returncode == 0, result.stdout


@pytest.fixture(scope="module", autouse=True)
def own_temporary_directory(tmp_path_factory):
    """Where fork servers have their sockets, so that we see what they leave there."""
    directory = tmp_path_factory.mktemp("t")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(directory))
        yield directory


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    return environment_in(tmp_path_factory.mktemp("slow"))


@pytest.mark.parametrize(
    "kill",
    planned(),
    ids=lambda kill: f"{kill.stage}-{kill.victim}-{kill.number.name}-{kill.event}-{kill.moment:.2f}",
)
def test_after_a_kill_the_next_snakemake_finishes_with_the_same_bits(tiny, made, undisturbed, slow, kill):
    outputs = outputs_of(kill.stage, made, int(kill.moment * 1e6))
    logs = sorted({tiny.path / log for path in outputs for log in made[path].log.split(",")})
    assert outputs
    assert all(log.is_file() for log in logs), logs
    # Some come too late, and are repeated earlier. Where jobs always end after it, because snakemake waits for them or
    # does without the server, all are killed as they start.
    for earlier in range(TRIES):
        again = replace(kill, moment=kill.moment / 2**earlier)
        if earlier >= TRIES // 2:
            again = replace(again, victim="everything", event="log")
        found = struck(tiny, again, outputs, logs, slow)
        if found is not None:
            break
    assert found is not None, f"{TRIES} kills left nothing to do"
    check_whole_or_absent(tiny, outputs, undisturbed)
    finish(tiny, outputs)
    assert contents(tiny) == undisturbed
    tally.count("kills survived")
    for kind in found:
        tally.count(f"of these, met {kind}")
    if found:
        tally.count(MET)


def test_kills_met_jobs_at_work(tiny):
    """What the kills above did is worth something only if much of it came in the middle of things."""
    survived = tally.FIGURES.get("kills survived", 0)
    assert tally.FIGURES.get(MET, 0) >= survived // 3


def test_nothing_is_left_behind(tiny, made, own_temporary_directory):
    """After all these kills: no process, no scratch, no socket, and nothing that would run again."""
    deadline = time.monotonic() + 20
    while (left := list(processes_of(tiny))) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []
    hidden = [path for path in (tiny.path / RESULTS).rglob(".*") if path.name != ".snakemake_timestamp"]
    assert hidden == []
    assert list(own_temporary_directory.glob("eigendrift-*")) == []
    # Run times are collected anew after each job.
    late = {"benchmarks", "ext09"}
    pending = {path for path, one in tiny.outputs("reported", study=TINY).items() if one.pending}
    assert {made[path].rule for path in pending} <= late

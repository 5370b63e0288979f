"""Kills of unfinished work in every stage: the next Snakemake finishes the work with the same bits.

The moments of the kills are random, with a fixed seed. Some kills come at a time after the start, others when a job has
saved progress or is writing an output. A simulated slow disk makes the writing last longer. `make test-all` kills 12
times, and `make faults` as often as it sets KILLS to.
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
MET = "of these, interrupted either"
SEED = int(os.environ.get("SEED", "0"))
# What is killed, and with which signal. Jobs are child processes of Snakemake or forks of the fork server.
ATTACKS = [
    (victim, number)
    for victim in ("job", "snakemake", "fork", "everything", "server")
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
]
# Stages whose jobs save progress, and stages with at least three jobs: the server forks for the later jobs.
RESUMABLE = {"train", "eigenpairs", "null_model"}
FORKED = {*RESUMABLE, "metrics", "baseline", "figures"}
LONGEST = 240
TRIES = 8


@dataclass(frozen=True)
class Kill:
    """One kill.

    Attributes:
        stage: The stage whose outputs are being created.
        victim: What is killed.
        number: The signal.
        event: What must be on the disk first: a progress record, part of an output, an output, or a log.
        moment: Which record to wait for or how long to wait after the event, from 0 to 1.
    """

    stage: str
    victim: str
    number: signal.Signals
    event: str
    moment: float

    @property
    def patterns(self) -> list[str]:
        """Patterns of the files next to the outputs that appear with the event."""
        if self.event == "record":
            number = f"{int(self.moment * 4):05d}"
            return [f".*-progress/record-{number}.npz", f".*-progress/*/record-{number}.npz"]
        return [".*.partial"]

    @property
    def seconds(self) -> float:
        """Seconds to wait after the event."""
        return {"record": 0.0, "output": 0.0, "partial": 0.5, "log": 3.0}[self.event] * self.moment


def planned() -> list[Kill]:
    """Return kills that use every stage and every attack in turn, with random combinations and moments."""
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
    """Return the processes to kill: without a server its place is taken by jobs, and without a job by Snakemake."""
    words: dict[psutil.Process, str] = {}
    parents: dict[psutil.Process, int] = {}
    for process in snakemake.children(recursive=True):
        # Some processes end during this loop.
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
        assert time.monotonic() < deadline, f"snakemake neither ended nor reached the event within {LONGEST} s"
        time.sleep(0.002)


def struck(clone, kill: Kill, outputs: list[str], logs: list[Path], environment: dict[str, str]) -> set[str] | None:
    """Start Snakemake and kill at the given moment; return what was interrupted, None if no work was left over."""
    delete(clone, outputs)
    for log in logs:
        log.unlink(missing_ok=True)
    # Forks need jobs that run one after another: the server learns from the first job what to import.
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
            # A fork may have ended by now, and so may the children of a process killed earlier.
            with contextlib.suppress(psutil.Error):
                victim.send_signal(kill.number)
                hit = True
    process.wait(LONGEST)
    # Snakemake continues without the server, so in that case the outputs may be complete now.
    left_work = unfinished and (kill.victim == "server" or not is_complete(clone, outputs))
    return found if hit and left_work else None


def met(clone, outputs: list[str]) -> set[str]:
    """Return the kinds of temporary files next to outputs that are being created."""
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
    """Check that after a kill each output is either missing or complete."""
    for path in outputs:
        whole = {name: content for name, content in expected.items() if is_part(name, path)}
        # Only the outputs are checked, because a job that outlived its Snakemake may be writing elsewhere.
        left = contents(clone, path)
        assert left in ({}, whole), path


def is_part(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}/")


def finish(clone, outputs: list[str]) -> None:
    """Clean up and run Snakemake, as `make figures` does."""
    cleaned = clone.clean_up(RESULTS)
    assert cleaned.returncode == 0, cleaned.stderr
    result = clone.snakemake(*outputs, study=TINY)
    assert result.returncode == 0, result.stdout


@pytest.fixture(scope="module", autouse=True)
def own_temporary_directory(tmp_path_factory):
    """A temporary directory for the sockets of fork servers, so that a test sees what they leave behind."""
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
def test_snakemake_finishes_with_the_same_bits_after_a_kill(tiny, made, undisturbed, slow, kill):
    outputs = outputs_of(kill.stage, made, int(kill.moment * 1e6))
    logs = sorted({tiny.path / log for path in outputs for log in made[path].log.split(",")})
    assert outputs
    assert all(log.is_file() for log in logs), logs
    # A kill that comes too late is repeated at an earlier moment. In some cases the jobs always finish, because
    # Snakemake waits for them or continues without the server. The last tries therefore kill everything at the start.
    for earlier in range(TRIES):
        again = replace(kill, moment=kill.moment / 2**earlier)
        if earlier >= TRIES // 2:
            again = replace(again, victim="everything", event="log")
        found = struck(tiny, again, outputs, logs, slow)
        if found is not None:
            break
    assert found is not None, f"{TRIES} kills left no work over"
    check_whole_or_absent(tiny, outputs, undisturbed)
    finish(tiny, outputs)
    assert contents(tiny) == undisturbed
    tally.count("kills survived")
    for kind in found:
        tally.count(f"of these, interrupted {kind}")
    if found:
        tally.count(MET)


def test_many_kills_interrupted_jobs(tiny):
    """The kills above prove something only if enough of them interrupted a job at work."""
    survived = tally.FIGURES.get("kills survived", 0)
    assert tally.FIGURES.get(MET, 0) >= survived // 3


def test_nothing_is_left_behind(tiny, made, own_temporary_directory):
    """All these kills leave no process, temporary file or socket, and nothing that would rerun."""
    deadline = time.monotonic() + 20
    while (left := list(processes_of(tiny))) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []
    hidden = [path for path in (tiny.path / RESULTS).rglob(".*") if path.name != ".snakemake_timestamp"]
    assert hidden == []
    assert list(own_temporary_directory.glob("eigendrift-*")) == []
    # Run times are collected again after each job.
    late = {"benchmarks", "ext09"}
    pending = {path for path, one in tiny.outputs("reported", study=TINY).items() if one.pending}
    assert {made[path].rule for path in pending} <= late

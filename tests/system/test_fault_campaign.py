"""Kills at random moments of every stage: the next snakemake finishes, with the same bits.

The moments are drawn from a seed. `make faults` makes KILLS of them, `make test-system` a dozen.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
import tally
from tiny_study import RESULTS, STAGES, TINY, TOLD, contents, delete, outputs_of

from eigendrift.errors import UserError
from eigendrift.stores.reading import open_store, read_manifest

KILLS = int(os.environ.get("KILLS", "12"))
SEED = int(os.environ.get("SEED", "0"))
# What is killed, and with what. Jobs are processes of snakemake's or forks of the fork server.
ATTACKS = [
    (victim, number)
    for victim in ("job", "snakemake", "fork", "everything", "server")
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
]
LONGEST = 240


@dataclass(frozen=True)
class Kill:
    """One kill.

    Attributes:
        stage: Which stage's outputs are being made.
        victim: What is killed.
        number: The signal.
        moment: When, as a share of the time that the stage's jobs take.
    """

    stage: str
    victim: str
    number: signal.Signals
    moment: float


def planned() -> list[Kill]:
    """Every stage and every attack in turn; which meets which, and when, is drawn."""
    dice = np.random.default_rng(SEED)
    stages: list[str] = []
    attacks: list[tuple[str, signal.Signals]] = []
    while len(stages) < KILLS:
        stages += [list(STAGES)[index] for index in dice.permutation(len(STAGES))]
    while len(attacks) < KILLS:
        attacks += [ATTACKS[index] for index in dice.permutation(len(ATTACKS))]
    return [
        Kill(stage, *attack, float(moment))
        for stage, attack, moment in zip(stages[:KILLS], attacks, dice.random(KILLS), strict=False)
    ]


def processes_of(clone) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(clone.path):
                yield process


def victims(snakemake: psutil.Process, victim: str) -> list[psutil.Process]:
    """The processes to kill; for want of a fork or a server a job, for want of that snakemake itself."""
    below = snakemake.children(recursive=True)
    words = {process: " ".join(process.cmdline()) for process in below}
    jobs = [process for process in below if ".snakemake/scripts/" in words[process]]
    servers = [process for process in below if "forkserver.py" in words[process]]
    found = {
        "job": jobs,
        "server": [process for process in servers if process.parent() == snakemake] or jobs,
        "fork": [process for process in servers if process.parent() != snakemake] or jobs,
        "everything": [snakemake, *below],
    }.get(victim, [])
    return found or [snakemake]


def start(clone, targets: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", f"--configfile={TINY}", *targets],
        cwd=clone.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def struck(clone, kill: Kill, outputs: list[str], logs: list[Path], longest: float) -> float | None:
    """Start snakemake, kill what is to be killed; return how long jobs took if they were too fast for it."""
    delete(clone, outputs)
    for log in logs:
        log.unlink(missing_ok=True)
    process = start(clone, outputs)
    while process.poll() is None and not any(log.exists() for log in logs):
        time.sleep(0.01)
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < kill.moment * longest:
        time.sleep(0.005)
    hit: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        for victim in victims(psutil.Process(process.pid), kill.victim):
            # A fork may have ended meanwhile, as may everything below what was killed first.
            with contextlib.suppress(psutil.Error):
                victim.send_signal(kill.number)
                hit.append(victim)
    took = time.monotonic() - began
    process.wait(LONGEST)
    # A job that had done its work, and was only about to end, was not killed.
    only_jobs = kill.victim in ("job", "fork") and process.pid not in [victim.pid for victim in hit]
    too_late = only_jobs and process.returncode == 0
    return None if hit and not too_late else took


def check_whole_or_absent(clone, outputs: list[str], expected: dict[str, bytes]) -> None:
    """Whatever a kill left behind reads as what it should be, or is refused."""
    for path in outputs:
        store = clone.path / path
        if store.suffix != ".zarr" or not store.exists():
            continue
        with contextlib.suppress(UserError):
            kind = read_manifest(store)["kind"]
            open_store(store, kind).load()
            for file in store.rglob("*"):
                if file.is_file() and not TOLD.search(str(file)):
                    assert file.read_bytes() == expected[str(file.relative_to(clone.path))]


def finish(clone, outputs: list[str]) -> None:
    """Do what `make figures` does."""
    cleaned = subprocess.run(
        [sys.executable, "workflow/unlock.py", str(RESULTS)], cwd=clone.path, capture_output=True, check=False
    )
    assert cleaned.returncode == 0, cleaned.stderr.decode()
    result = clone.snakemake(*outputs, study=TINY)
    assert result.returncode == 0, result.stdout


@pytest.fixture(scope="module", autouse=True)
def own_temporary_directory(tmp_path_factory):
    """Where fork servers have their sockets, so that we see what they leave there."""
    directory = tmp_path_factory.mktemp("t")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(directory))
        yield directory


@pytest.mark.parametrize(
    "kill", planned(), ids=lambda kill: f"{kill.stage}-{kill.victim}-{kill.number.name}-{kill.moment:.2f}"
)
def test_after_a_kill_the_next_snakemake_finishes_with_the_same_bits(tiny, made, undisturbed, kill):
    outputs = outputs_of(kill.stage, made, int(kill.moment * 1e6))
    rules = {made[path].rule for path in outputs}
    places = (tiny.path / RESULTS / "logs").rglob("*.log")
    logs = [log for log in places if rules & {*log.parts, log.stem, log.name[:5]}]
    assert outputs
    assert logs
    longest = 3.0
    while took := struck(tiny, kill, outputs, logs, longest):
        longest = min(took, longest) * 0.7
    check_whole_or_absent(tiny, outputs, undisturbed)
    finish(tiny, outputs)
    assert contents(tiny) == undisturbed
    tally.count("kills survived")


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

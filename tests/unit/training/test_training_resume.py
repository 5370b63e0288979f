"""A run that is interrupted at any moment and resumed has the same bits as an uninterrupted run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import torch
from torch import nn
from training_helpers import EXPLODING, OPTIMIZERS, arrays, assert_same_bits, exploding, run, settings_of

from eigendrift.extensions import Model
from eigendrift.stores.progress import Progress
from eigendrift.training import trajectory as module
from eigendrift.training.networks import MODELS

WORKFLOW, TESTS = Path(module.__file__).parents[2], Path(__file__).parent


class InterruptedProgress(Progress):
    """Progress that fails before or after its n-th write."""

    def __init__(self, directory: Path, writes: int, written: bool) -> None:
        super().__init__(directory)
        self._left, self._written = writes, written

    def _count(self, write: Callable[[], None]) -> None:
        self._left -= 1
        if self._left < 0 and not self._written:
            raise InterruptedError
        write()
        if self._left < 0:
            raise InterruptedError

    def save(self, index: int, record: Mapping[str, np.ndarray]) -> None:
        self._count(lambda: super(InterruptedProgress, self).save(index, record))

    def replace_state(self, write: Callable[[IO[bytes]], object]) -> None:
        self._count(lambda: super(InterruptedProgress, self).replace_state(write))


@pytest.fixture
def saving_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS_BETWEEN_CHECKS", 3)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_SAVES", -1.0)


def interrupted(settings: dict[str, Any], directory: Path, writes: int, written: bool) -> bool:
    """Run until a write fails; return False if the run ends before that."""
    try:
        run(settings, directory, lambda path: InterruptedProgress(path, writes, written))
    except InterruptedError:
        return True
    return False


@pytest.mark.usefixtures("saving_often")
@pytest.mark.parametrize(
    ("settings_for", "name"),
    [
        (settings_of, "sgd"),
        (exploding, "sgd"),
        *(pytest.param(settings_of, name, marks=pytest.mark.slow) for name in OPTIMIZERS if name != "sgd"),
        *(pytest.param(exploding, name, marks=pytest.mark.slow) for name in EXPLODING if name != "sgd"),
    ],
)
def test_interrupted_at_every_write(name: str, settings_for: Callable[[str], dict[str, Any]], tmp_path: Path) -> None:
    """A failure after a write leaves the same files as one before the next write."""
    settings = settings_for(name) | {"checkpoints": {"count": 4, "spacing": "linear"}}
    complete = run(settings, tmp_path / "complete")
    assert (complete.diverged_at is None) == (settings_for is settings_of)
    for writes in range(100):
        directory = tmp_path / str(writes)
        if not interrupted(settings, directory, writes, written=False):
            break
        torch.manual_seed(writes)
        assert_same_bits(run(settings, directory), complete)
    assert writes >= 7


@pytest.mark.usefixtures("saving_often")
def test_a_network_with_dropout_resumes_its_random_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = (nn.Flatten(), nn.Linear(12, 5), nn.Dropout(0.5), nn.Linear(5, 3))
    drawing = Model(name="drawing", build=lambda *_: nn.Sequential(*map(deepcopy, layers)))
    monkeypatch.setitem(MODELS, "drawing", drawing)
    settings = settings_of("sgd", model={"kind": "drawing"}, checkpoints={"count": 4, "spacing": "linear"})
    complete = run(settings, tmp_path / "complete")
    assert interrupted(settings, tmp_path / "cut", writes=5, written=True)
    assert_same_bits(run(settings, tmp_path / "cut"), complete)


@pytest.mark.usefixtures("saving_often")
@pytest.mark.parametrize("name", EXPLODING)
def test_interrupted_again_and_again(name: str, tmp_path: Path) -> None:
    settings = settings_of(name, checkpoints={"count": 4, "spacing": "linear"})
    complete = run(settings, tmp_path / "complete")
    moments = np.random.default_rng(0)
    times = 0
    while interrupted(settings, tmp_path / "again", int(moments.integers(1, 4)), bool(moments.integers(2))):
        times += 1
        # This is more than all writes; a run that always started over would never end.
        assert times < 100
    assert times > 3
    assert_same_bits(run(settings, tmp_path / "again"), complete)


def test_the_interval_of_saves_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of("adam", checkpoints={"count": 3, "spacing": "linear"})
    complete = run(settings, tmp_path / "rarely")
    for steps in (1, 7):
        monkeypatch.setattr(module, "STEPS_BETWEEN_CHECKS", steps)
        assert_same_bits(run(settings, tmp_path / str(steps)), complete)


def test_a_resumed_run_does_not_start_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of("adam")
    interrupted(settings, tmp_path, writes=30, written=True)
    steps = []
    take = module.BatchOrder.indices
    monkeypatch.setattr(module.BatchOrder, "indices", lambda order, step: steps.append(step) or take(order, step))
    run(settings, tmp_path)
    assert steps == list(range(15, 21))


LONG = {"steps": 2000, "checkpoints": {"count": 20, "spacing": "logarithmic"}}
JOB = """
import sys; from pathlib import Path
from eigendrift import numerics; from eigendrift.training import trajectory
from training_helpers import run, settings_of
numerics.configure()
trajectory.STEPS_BETWEEN_CHECKS, trajectory.SECONDS_BETWEEN_SAVES = 10, -1.0
print('started', flush=True)
run(settings_of({name!r}, **{settings!r}), Path({directory!r}))
"""


# SAM computes gradients twice in a step, and Muon consists of two optimizers.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "sam", "muon"])
def test_killed_at_a_random_moment(name: str, tmp_path: Path) -> None:
    job = JOB.format(name=name, settings=LONG, directory=str(tmp_path / "killed"))
    environment = os.environ | {"PYTHONPATH": f"{WORKFLOW}{os.pathsep}{TESTS}"}
    moments = np.random.default_rng(list(name.encode()))
    progress = Progress(tmp_path / "killed")
    state = progress.state_path
    with subprocess.Popen([sys.executable, "-c", job], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        while process.poll() is None and not state.exists():
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert 0 < progress.read_state(lambda file: torch.load(file, weights_only=True))["step"] < 2000
    settings = settings_of(name, **LONG)
    resumed = run(settings, tmp_path / "killed")
    assert_same_bits(resumed, run(settings, tmp_path / "complete"))
    assert len(arrays(resumed)["step"]) == 20

"""Settings and fixtures for all tests, such as the smoke study, which runs once and which nobody changes."""

import fcntl
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from clone import Clone, copy_of, copy_repository

# More threads than cores wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Shells start background processes with interrupts ignored, which every process that a test starts would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Return a function that fills a directory once for all worker processes of the tests.

    The other workers wait for the one that is first, and then share the directory.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def fill(name: str, make: Callable[[Path], object]) -> Path:
        directory, done = shared / name, shared / f"{name}.done"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                make(directory)
                done.touch()
        return directory

    return fill


@pytest.fixture(scope="session")
def smoke(once: Callable[[str, Callable[[Path], object]], Path]) -> Clone:
    """A copy of the repository in which the smoke study and the parts of its report are done, read-only."""

    def run(directory: Path) -> None:
        result = copy_repository(directory).snakemake("reported")
        assert result.returncode == 0, result.stdout

    return Clone(once("smoke", run))


@pytest.fixture(scope="session")
def results(smoke: Clone) -> Path:
    """The results of the smoke study, read-only."""
    return smoke.path / "results/smoke"


@pytest.fixture(scope="module")
def smoke_copy(smoke: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of the finished smoke study that the tests of one module may change, and put right again."""
    return copy_of(smoke, tmp_path_factory.mktemp("smoke-copy") / "clone")


@pytest.fixture
def fresh(tmp_path: Path) -> Clone:
    """A copy of the repository without results."""
    return copy_repository(tmp_path / "clone")

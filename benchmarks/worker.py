"""Processes that run one method on one problem, so that its memory can be measured and a slow run stopped."""

import gc
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchmarks.bound import synchronize
from benchmarks.methods import METHODS
from benchmarks.problems import Checkpoint
from benchmarks.task import Answer, Task
from eigendrift.numerics import configure

MIB = 2**20
# A solve over a few samples makes libraries load what they load on first use.
WARM_UP_SAMPLES = 100
# Seconds that the start of a process, or a preparation that is not timed, may take.
PATIENCE = 600.0
# The libraries behind scipy and torch read their number of threads from these variables when they are loaded.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Run:
    """One timed run.

    Attributes:
        seconds: Wall-clock time.
        memory: Peak bytes in addition to the network, the sample and the libraries.
        answer: The eigenpairs found.
    """

    seconds: float
    memory: int
    answer: Answer


@dataclass(frozen=True)
class Failure:
    """A run without an answer.

    Attributes:
        reason: The reason as the table shows it, such as ``more than 120 s``.
        seconds: Time after which the run was stopped; infinite if it failed for another reason.
    """

    reason: str
    seconds: float = float("inf")


class Worker:
    """A process that holds one checkpoint and solves it with one method on request."""

    def __init__(self, checkpoint: Checkpoint, method: str, device: str, threads: int) -> None:
        """Start the process, which loads and warms up while other processes do the same."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, checkpoint, method, device, threads), daemon=True)
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
        self._process.start()
        theirs.close()
        self._warm = False

    def wait(self) -> None:
        """Wait until the process has warmed up, because a starting process would disturb the times of others."""
        with suppress(EOFError):
            if not self._warm and self._pipe.poll(PATIENCE):
                self._warm = self._pipe.recv()

    def run(self, count: int, limit: float) -> Run | Failure:
        """Solve for ``count`` pairs, and end the process if this takes longer than ``limit`` seconds."""
        prepared = self._ask(count, PATIENCE)
        return prepared if isinstance(prepared, Failure) else self._ask("run", limit)

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()

    def _ask(self, request: Any, limit: float) -> Any:
        self.wait()
        try:
            self._pipe.send(request)
            return self._receive(limit)
        except TimeoutError:
            self.stop()
            return Failure(f"more than {limit:.0f} s", limit)
        except (EOFError, OSError):
            self._process.join()
            return Failure(f"its process ended with exit code {self._process.exitcode}")

    def _receive(self, limit: float) -> Any:
        if not self._pipe.poll(limit):
            raise TimeoutError
        return self._pipe.recv()


def _serve(pipe: Connection, checkpoint: Checkpoint, method: str, device_name: str, threads: int) -> None:
    """Load, warm up, and answer requests: a number prepares a solve for this many pairs, "run" runs it."""
    # Warnings of other libraries are not about the benchmark.
    warnings.simplefilter("ignore")
    configure(threads)
    device = torch.device(device_name)
    set_up = next(known.set_up for known in METHODS if known.name == method)
    model, inputs, targets = checkpoint.load(device)
    few = slice(WARM_UP_SAMPLES)
    trajectory = checkpoint.trajectory()
    set_up(Task(model, inputs[few], targets[few], 1, trajectory))()
    gc.collect()
    base = _begin_peak(device)
    pipe.send(True)
    prepared: tuple[int, Callable[[], Answer]] | None = None
    while True:
        request = pipe.recv()
        try:
            if request == "run":
                assert prepared is not None
                pipe.send(_timed(prepared[1], device, base))
            else:
                if prepared is None or prepared[0] != request:
                    prepared = request, set_up(Task(model, inputs, targets, request, trajectory))
                pipe.send("prepared")
        # An exception that a library raises counts as its result.
        except Exception as error:
            first_line = (str(error) or repr(error)).splitlines()[0]
            pipe.send(Failure(f"{type(error).__name__}: {first_line}"))


def _timed(solve: Callable[[], Answer], device: torch.device, base: int) -> Run:
    gc.collect()
    _begin_peak(device)
    synchronize(device)
    start = time.perf_counter()
    answer = solve()
    synchronize(device)
    seconds = time.perf_counter() - start
    return Run(seconds, max(0, _memory_peak(device) - base), answer)


def _begin_peak(device: torch.device) -> int:
    """Reset the peak, if the system supports it, and return the bytes in use."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    if sys.platform != "linux":
        return _memory_peak(device)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _kilobytes("VmRSS") * 1024


def _memory_peak(device: torch.device) -> int:
    """Return the highest number of bytes in use so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "linux":
        # The peak of getrusage would include the peak of the parent process.
        return _kilobytes("VmHWM") * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _kilobytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))

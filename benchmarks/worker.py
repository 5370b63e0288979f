"""One process for each problem and method, so that memory is a method's own and a slow one can be stopped."""

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
# A solve over a few samples loads what libraries load late.
WARM_UP_SAMPLES = 100
# Longest start of a process, and longest preparation that is not timed.
PATIENCE = 600.0
# Libraries that scipy and torch compute with read their number of threads once, when they are loaded.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Run:
    """One timed run.

    Attributes:
        seconds: Wall-clock time.
        memory: Peak bytes beside the network, the sample and the libraries.
        answer: What was found.
    """

    seconds: float
    memory: int
    answer: Answer


@dataclass(frozen=True)
class Failure:
    """A run that brought nothing.

    Attributes:
        reason: As the table says it, such as ``more than 120 s``.
        seconds: Time that it took at least; infinite if it failed for another reason.
    """

    reason: str
    seconds: float = float("inf")


class Worker:
    """A process that holds one checkpoint and solves it with one method, when told to."""

    def __init__(self, checkpoint: Checkpoint, method: str, device: str, threads: int) -> None:
        """Start the process; it loads and warms up while others do."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, checkpoint, method, device, threads), daemon=True)
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
        self._process.start()
        theirs.close()
        self._warm = False

    def wait(self) -> None:
        """Wait until it has warmed up: what still starts would disturb the times of others."""
        with suppress(EOFError):
            if not self._warm and self._pipe.poll(PATIENCE):
                self._warm = self._pipe.recv()

    def run(self, count: int, limit: float) -> Run | Failure:
        """Solve for ``count`` pairs; a run that takes longer than ``limit`` seconds ends the process."""
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
    """Load, warm up, and answer requests: a count prepares, "run" solves."""
    # What other libraries warn of is theirs to mend.
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
        # Whatever a library raises is a result of that library.
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
    """Let the peak begin anew, where the system can, and return the bytes in use."""
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
        # Not getrusage: its peak begins with that of the process that started this one.
        return _kilobytes("VmHWM") * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _kilobytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))

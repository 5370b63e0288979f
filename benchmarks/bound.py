"""The speed limit of the machine: operations of a Hessian product, and the measured rate of matrix products."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from statistics import median

import torch

# Rows of the square matrices that measure the rate: large enough to reach the machine's highest rate.
SQUARE = {"cpu": 1_536, "cuda": 8_192}
TRIES = 5


def product_operations(widths: Sequence[int], samples: int) -> int:
    """Count the floating-point operations of one exact Hessian-vector product of a multilayer perceptron.

    A matrix product of n samples with a layer of a × b weights takes 2nab operations. Activations, slopes and errors
    are not counted, because they do not depend on the vector and are computed once for all products. Elementwise
    operations are not counted either. The R operator needs V a and R{δ} aᵀ in the first layer. In every further layer
    it needs V a, W R{a}, R{δ} aᵀ, δ R{a}ᵀ, Wᵀ R{δ} and Vᵀ δ; see `eigendrift.eigenpairs.perceptron`.

    Args:
        widths: Widths of all layers, from the inputs to the classes.
        samples: Number of samples, n.
    """
    first, *further = (fan_in * fan_out for fan_in, fan_out in pairwise(widths))
    return 2 * samples * (2 * first + 6 * sum(further))


def matrix_product_rate(device: torch.device, threads: int) -> float:
    """Return the floating-point operations per second of a square float32 matrix product, as a median over tries."""
    size = SQUARE[device.type]
    factor = torch.ones(size, size, device=device)
    with computing_with(threads):
        _time_product(factor)
        seconds = [_time_product(factor) for _ in range(TRIES)]
    return 2 * size**3 / median(seconds)


def _time_product(factor: torch.Tensor) -> float:
    synchronize(factor.device)
    start = time.perf_counter()
    factor @ factor
    synchronize(factor.device)
    return time.perf_counter() - start


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """Set torch's number of threads inside the context, and restore it afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def synchronize(device: torch.device) -> None:
    """Wait until all work on a device has ended, so that the clock can be read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

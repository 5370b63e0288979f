"""What the machine allows: operations of a Hessian product, and the rate of matrix products."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from statistics import median

import torch

# Rows of the square product that measures the rate: large enough for the best of the machine.
SQUARE = {"cpu": 1_536, "cuda": 8_192}
TRIES = 5


def product_operations(widths: Sequence[int], samples: int) -> int:
    """Count the floating-point operations of one exact Hessian-vector product of a multilayer perceptron.

    A matrix product of n samples with a layer of a × b weights takes 2nab. What does not depend on the vector
    (activations, slopes, errors) is not counted: it is needed once, not once for each product. The R operator then
    needs in the first layer V a and R{δ} aᵀ, and in every further layer V a, W R{a}, R{δ} aᵀ, δ R{a}ᵀ, Wᵀ R{δ} and Vᵀ
    δ, see `eigendrift.eigenpairs.perceptron`. Elementwise operations are not counted.

    Args:
        widths: Of all layers, from the inputs to the classes.
        samples: n.
    """
    first, *further = (fan_in * fan_out for fan_in, fan_out in pairwise(widths))
    return 2 * samples * (2 * first + 6 * sum(further))


def matrix_product_rate(device: torch.device, threads: int) -> float:
    """Measure the floating-point operations per second of a square float32 matrix product, median of some."""
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
    """Compute with so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def synchronize(device: torch.device) -> None:
    """Wait for all work on a device, so that a clock read next is true."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

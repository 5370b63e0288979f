"""Memory, measured in separate processes: bounded by a chunk, and small for large networks."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

LIBRARY = Path(__file__).resolve().parents[3] / "workflow"
MEBIBYTE = 2**20

SETUP = """
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from eigendrift.eigenpairs.double_backward import DoubleBackwardHessian
from eigendrift.eigenpairs.lanczos import leading_eigenpairs
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.numerics import configure

configure()
random = torch.Generator().manual_seed(0)

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

def network(*widths):
    layers = [nn.Flatten()]
    for fan_in, fan_out in zip(widths, widths[1:]):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])

def sample(count, width):
    return torch.randn(count, width, generator=random), torch.arange(count) % 10

small = network(20, 20, 10)
data = sample(50, 20)
leading_eigenpairs(hessian_operator(small, cross_entropy, *data), 2, generator=random)
"""


def peak_of(code: str) -> int:
    """Bytes that a program needs at its peak beyond the number that it prints first."""
    environment = {"PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "1"}
    result = subprocess.run([sys.executable, "-c", SETUP + code], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    before, after = map(int, result.stdout.split())
    return after - before


@pytest.mark.slow
def test_memory_beyond_the_sample_is_that_of_a_chunk():
    used = peak_of("""
model, few, many = network(20, 100, 100, 10), sample(4_000, 20), sample(100_000, 20)
vectors = torch.ones(3, sum(p.numel() for p in model.parameters()))
for data in (few, many):
    for operator in (hessian_operator, DoubleBackwardHessian):
        operator(model, cross_entropy, *data, 2_000) @ vectors
    print(peak())
""")
    # The activations of all samples take 80 MiB for each of the three vectors.
    assert used < 64 * MEBIBYTE


@pytest.mark.slow
def test_a_million_parameters_stay_within_two_gibibytes():
    used = peak_of("""
model, data = network(784, 800, 450, 10), sample(1000, 784)
assert sum(p.numel() for p in model.parameters()) > 990_000
print(peak())
pairs = leading_eigenpairs(hessian_operator(model, cross_entropy, *data), 15, generator=random)
assert pairs.converged.all()
print(peak())
""")
    assert used < 2048 * MEBIBYTE


@pytest.mark.slow
def test_the_measurement_sees_used_memory():
    used = peak_of("print(peak()); block = torch.ones(2**26); print(peak())")
    assert 0.9 * 2**28 < used < 1.2 * 2**28

"""The same products and pairs on a GPU as on the CPU, without vectors going to and fro."""

from typing import Any

import numpy as np
import pytest
import torch
from eigenpairs_helpers import (
    MODEL,
    SETTINGS,
    STEPS,
    columns_of,
    double_backward,
    largest_angle,
    seeded,
    trained_on_digits,
)
from torch.nn.utils import parameters_to_vector
from torch.utils._python_dispatch import TorchDispatchMode

from eigendrift.eigenpairs.batched import leading_eigenpairs_together
from eigendrift.eigenpairs.batched_perceptrons import PerceptronStack
from eigendrift.eigenpairs.decompose import decompose
from eigendrift.eigenpairs.density import spectral_density
from eigendrift.eigenpairs.hessian import HessianOperator
from eigendrift.eigenpairs.lanczos import Eigenpairs, leading_eigenpairs
from eigendrift.eigenpairs.landscape import Landscape
from eigendrift.eigenpairs.perceptron import PerceptronHessian
from eigendrift.eigenpairs.trace import trace
from eigendrift.stores.progress import Progress

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.fixture(params=[double_backward, PerceptronHessian], ids=["double backward", "perceptron"])
def operators(request: pytest.FixtureRequest) -> tuple[HessianOperator, HessianOperator]:
    """The Hessian of the same network on the CPU and on the GPU, float64."""
    build = request.param
    here, there = (trained_on_digits((12, 8)) for _ in range(2))
    model, inputs, targets = there
    return build(*here, 70), build(model.cuda(), inputs.cuda(), targets.cuda(), 70)


@pytest.mark.parametrize("rows", [1, 9])
def test_products(operators, rows):
    here, there = operators
    block = torch.randn(rows, here.size, dtype=torch.float64, generator=seeded())
    products = there @ block.cuda()
    assert products.is_cuda
    torch.testing.assert_close(products.cpu(), here @ block, rtol=0, atol=1e-12)


def test_eigenpairs(operators):
    here, there = (leading_eigenpairs(operator, 5, generator=seeded(), tolerance=1e-8) for operator in operators)
    assert there.eigenvectors.is_cuda
    assert there.converged.all()
    torch.testing.assert_close(there.eigenvalues, here.eigenvalues, rtol=1e-10, atol=0)
    assert largest_angle(there.eigenvectors.cpu().numpy(), here.eigenvectors.numpy()) < 1e-6


class CopiesToTheHost(TorchDispatchMode):
    """Records how many numbers each copy from the device to the CPU takes."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and args[0].is_cuda and not result.is_cuda:
            self.sizes.append(args[0].numel())
        return result


def test_no_vector_leaves_the_device(operators):
    _, there = operators
    with CopiesToTheHost() as copies:
        pairs = leading_eigenpairs(there, 5, generator=seeded())
    assert pairs.converged.all()
    # Coefficients in the basis, of which there are fewer than parameters, and a length.
    assert 0 < max(copies.sizes) <= 81 < there.size


def networks(device: str) -> PerceptronStack:
    """Three networks beside each other, float64."""
    model, inputs, targets = trained_on_digits((12, 8))
    weights = torch.stack([parameters_to_vector(model.parameters()).detach() * scale for scale in (1, 0.9, 2)])
    return PerceptronStack(model, weights.to(device), inputs.to(device), targets.to(device))


def starts() -> list[torch.Generator]:
    return [seeded(seed) for seed in range(3)]


@pytest.mark.parametrize("indices", [[0, 1, 2], [0, 2], [1, 1, 1, 1]])
def test_products_of_several_networks(indices):
    here, there = networks("cpu"), networks("cuda")
    vectors = torch.randn(len(indices), here.size, dtype=torch.float64, generator=seeded())
    products = there.products(vectors.cuda(), indices)
    assert products.is_cuda
    torch.testing.assert_close(products.cpu(), here.products(vectors, indices), rtol=0, atol=1e-12)
    torch.testing.assert_close((there[1] @ vectors.cuda()).cpu(), here[1] @ vectors, rtol=0, atol=1e-12)


def test_eigenpairs_of_several_networks():
    both = [
        leading_eigenpairs_together(networks(device), 5, generators=starts(), tolerance=1e-8)
        for device in ("cpu", "cuda", "cuda")
    ]
    for here, there, again in zip(*both, strict=True):
        assert isinstance(here, Eigenpairs)
        assert isinstance(there, Eigenpairs)
        assert isinstance(again, Eigenpairs)
        assert there.eigenvectors.is_cuda
        assert there.converged.all()
        torch.testing.assert_close(there.eigenvalues, here.eigenvalues, rtol=1e-10, atol=0)
        assert largest_angle(there.eigenvectors.cpu().numpy(), here.eigenvectors.numpy()) < 1e-6
        assert torch.equal(there.eigenvectors, again.eigenvectors)


def test_no_vector_of_several_networks_leaves_the_device():
    there = networks("cuda")
    with CopiesToTheHost() as copies:
        outcomes = leading_eigenpairs_together(there, 5, generators=starts())
    assert all(isinstance(outcome, Eigenpairs) for outcome in outcomes)
    # Of each network at most 80 components in its basis, and two lengths.
    assert 0 < max(copies.sizes) <= 3 * 82 < there.size


def test_a_gpu_takes_checkpoints_together(samples, tmp_path):
    landscape = Landscape(samples, MODEL, SETTINGS | {"chunk_size": 40}, torch.device("cuda"))
    alone = Landscape(samples, MODEL, SETTINGS | {"chunk_size": 40}, torch.device("cuda"), together=1)
    assert landscape.together > len(STEPS)
    weights = np.random.default_rng(1).normal(0, 0.7, (4, landscape.size)).astype(np.float32)
    columns = []
    for name, each in (("one", landscape), ("other", landscape), ("alone", alone)):
        (tmp_path / name).mkdir()
        columns.append(columns_of(decompose(each, weights, STEPS, Progress(tmp_path / name), 0, "test")))
    one, other, by_itself = columns
    for name, column in one.items():
        np.testing.assert_array_equal(other[name], column)
    np.testing.assert_allclose(one["eigenvalue"], by_itself["eigenvalue"], rtol=1e-4)
    assert one["converged"].all()


def test_density_and_trace(operators):
    here, there = operators
    densities = [spectral_density(operator, generator=seeded(), probes=2, steps=20) for operator in (here, there)]
    torch.testing.assert_close(*(torch.from_numpy(density.nodes) for density in densities), rtol=0, atol=1e-8)
    estimates = [trace(operator, generator=seeded()).estimate for operator in operators]
    assert estimates[1] == pytest.approx(estimates[0], rel=1e-9)

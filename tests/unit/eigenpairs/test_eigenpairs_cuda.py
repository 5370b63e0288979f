"""The same products and pairs on a GPU as on the CPU, without vectors going to and fro."""

from typing import Any

import pytest
import torch
from eigenpairs_helpers import largest_angle, trained_on_digits
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from eigendrift.eigenpairs.density import spectral_density
from eigendrift.eigenpairs.hessian import DoubleBackwardHessian, HessianOperator
from eigendrift.eigenpairs.lanczos import leading_eigenpairs
from eigendrift.eigenpairs.perceptron import PerceptronHessian
from eigendrift.eigenpairs.trace import trace

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def double_backward(model: nn.Module, *data: object) -> HessianOperator:
    return DoubleBackwardHessian(model, cross_entropy, *data)


@pytest.fixture(params=[double_backward, PerceptronHessian], ids=["double backward", "perceptron"])
def operators(request: pytest.FixtureRequest) -> tuple[HessianOperator, HessianOperator]:
    """The Hessian of the same network on the CPU and on the GPU, float64."""
    build = request.param
    here, there = (trained_on_digits((12, 8)) for _ in range(2))
    model, inputs, targets = there
    return build(*here, 70), build(model.cuda(), inputs.cuda(), targets.cuda(), 70)


@pytest.mark.parametrize("rows", [1, 9])
def test_products(operators: tuple[HessianOperator, HessianOperator], rows: int) -> None:
    here, there = operators
    block = torch.randn(rows, here.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    products = there @ block.cuda()
    assert products.is_cuda
    torch.testing.assert_close(products.cpu(), here @ block, rtol=0, atol=1e-12)


def test_eigenpairs(operators: tuple[HessianOperator, HessianOperator]) -> None:
    here, there = (
        leading_eigenpairs(operator, 5, generator=torch.Generator().manual_seed(0), tolerance=1e-8)
        for operator in operators
    )
    assert there.eigenvectors.is_cuda
    assert there.converged.all()
    torch.testing.assert_close(there.eigenvalues, here.eigenvalues, rtol=1e-10, atol=0)
    assert largest_angle(there.eigenvectors.cpu().numpy(), here.eigenvectors.numpy()) < 1e-6


class CopiesToTheHost(TorchDispatchMode):
    """Records how many numbers each copy from the device to the CPU takes."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and args[0].is_cuda and not result.is_cuda:
            self.sizes.append(args[0].numel())
        return result


def test_no_vector_leaves_the_device(operators: tuple[HessianOperator, HessianOperator]) -> None:
    _, there = operators
    with CopiesToTheHost() as copies:
        pairs = leading_eigenpairs(there, 5, generator=torch.Generator().manual_seed(0))
    assert pairs.converged.all()
    # Coefficients in the basis, of which there are fewer than parameters.
    assert 0 < max(copies.sizes) <= 80 < there.size


def test_density_and_trace(operators: tuple[HessianOperator, HessianOperator]) -> None:
    here, there = operators
    densities = [
        spectral_density(operator, generator=torch.Generator().manual_seed(0), probes=2, steps=20)
        for operator in (here, there)
    ]
    torch.testing.assert_close(*(torch.from_numpy(density.nodes) for density in densities), rtol=0, atol=1e-8)
    estimates = [
        trace(operator, generator=torch.Generator().manual_seed(0)).estimate for operator in operators
    ]
    assert estimates[1] == pytest.approx(estimates[0], rel=1e-9)

"""Samples that are no tensors, and what is no operator or no generator: refused before torch would say so."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from eigendrift.eigenpairs.density import spectral_density
from eigendrift.eigenpairs.lanczos import leading_eigenpairs
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.eigenpairs.perceptron import PerceptronHessian
from eigendrift.eigenpairs.trace import trace

MODEL = nn.Linear(3, 2)
INPUTS, TARGETS = torch.ones(4, 3), torch.tensor([0, 1, 0, 1])


@pytest.mark.parametrize(
    "build",
    [
        partial(hessian_operator, MODEL, cross_entropy),
        partial(hessian_operator, nn.Sequential(nn.Sequential(MODEL)), cross_entropy),
        partial(PerceptronHessian, nn.Sequential(MODEL)),
    ],
    ids=["hessian_operator", "double backward", "perceptron"],
)
def test_samples_are_tensors(build: Callable[..., object]) -> None:
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(INPUTS, TARGETS))
    with pytest.raises(TypeError, match=r"inputs is a ndarray, expected a torch\.Tensor of all samples"):
        build(INPUTS.numpy(), TARGETS)
    with pytest.raises(TypeError, match=r"inputs is a DataLoader, .* or torch\.cat of a loader's batches"):
        build(loader, TARGETS)
    with pytest.raises(TypeError, match="targets is a list"):
        build(INPUTS, TARGETS.tolist())
    with pytest.raises(ValueError, match="0 inputs and 0 targets, expected equal numbers, at least one"):
        build(INPUTS[:0], TARGETS[:0])


@pytest.mark.parametrize("solve", [partial(leading_eigenpairs, count=1), spectral_density, trace])
def test_solvers_take_operators_and_generators(solve: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match="the operator is a Tensor, expected one of a size, a device and a d"):
        solve(torch.eye(4), generator=torch.Generator())
    with pytest.raises(TypeError, match=r"generator is None, expected one such as torch\.Generator\(\)"):
        solve(hessian_operator(MODEL, cross_entropy, INPUTS, TARGETS), generator=None)

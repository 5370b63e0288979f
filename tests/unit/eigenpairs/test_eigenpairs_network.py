"""A real network's leading eigenpairs against its dense Hessian in float64."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from eigenpairs_helpers import dense_hessian, largest_angle, leading, trained_on_digits
from torch import nn
from torch.nn.functional import cross_entropy

from eigendrift.eigenpairs.lanczos import leading_eigenpairs
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.eigenpairs.perceptron import PerceptronHessian

COUNT = 5
Network = tuple[nn.Module, torch.Tensor, torch.Tensor]


class CountingOperator(PerceptronHessian):
    """Counts its products, to hold the solver's own count against."""

    products = 0

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        self.products += vectors.numel() // self.size
        return super().__matmul__(vectors)


@pytest.mark.parametrize(
    ("dtype", "tolerance", "value_error", "angle"),
    [(torch.float64, 1e-7, 1e-6, 1e-4), (torch.float32, 1e-5, 1e-5, 1e-3)],
)
@pytest.mark.parametrize(("basis_size", "chunk_size"), [(14, None), (80, 70)])
def test_leading_eigenpairs_of_a_network(
    network: Network,
    dense: np.ndarray,
    dtype: torch.dtype,
    tolerance: float,
    value_error: float,
    angle: float,
    basis_size: int,
    chunk_size: int | None,
) -> None:
    model, inputs, targets = network
    operator = CountingOperator(model.to(dtype), inputs.to(dtype), targets, chunk_size)
    pairs = leading_eigenpairs(
        operator,
        COUNT,
        generator=torch.Generator().manual_seed(0),
        tolerance=tolerance,
        basis_size=basis_size,
    )
    values, vectors = leading(dense, COUNT + 1)
    assert pairs.converged.all()
    assert pairs.products == operator.products
    np.testing.assert_allclose(pairs.eigenvalues, values[:COUNT], rtol=0, atol=value_error * values[0])
    found = pairs.eigenvectors.double().numpy()
    for rank in range(1, COUNT + 1):
        if values[rank - 1] - values[rank] > 0.02 * values[0]:
            assert largest_angle(found[:rank], vectors[:rank]) < angle
    gaps = np.abs(np.diff(values)) / values[0]
    expected = np.minimum(gaps, np.concatenate([[np.inf], gaps[:-1]]))
    np.testing.assert_allclose(pairs.gaps, expected, atol=1e-2)


class Copies(nn.Module):
    """Networks that do not know of each other: their joint Hessian has every eigenvalue once for each."""

    def __init__(self, model: nn.Module, number: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(deepcopy(model) for _ in range(number))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.stack([member(inputs) for member in self.members], -1)


@pytest.mark.parametrize(("copies", "count"), [(1, 20), (2, 10), (5, 10), (5, 13)])
def test_float64_eigenvalues_are_those_of_the_dense_hessian(copies: int, count: int) -> None:
    """Up to 2,000 parameters; clusters of two and of five are planted by copies of a network."""
    model, inputs, targets = trained_on_digits((26 if copies == 1 else 5,), steps=60)
    joint = model if copies == 1 else Copies(model, copies)
    joint_targets = targets if copies == 1 else targets[:, None].expand(-1, copies)
    operator = hessian_operator(joint, cross_entropy, inputs, joint_targets)
    assert 700 < operator.size <= 2000
    pairs = leading_eigenpairs(
        operator, count, generator=torch.Generator().manual_seed(0), tolerance=1e-8, basis_size=100
    )
    dense = dense_hessian(model, cross_entropy, inputs, targets).numpy() / copies
    values, vectors = leading(dense, len(dense))
    values = np.repeat(values, copies)
    assert pairs.converged.all()
    np.testing.assert_allclose(pairs.eigenvalues, values[:count], rtol=1e-9)
    whole = (count // copies) * copies
    expected = np.concatenate([np.kron(np.eye(copies), vector) for vector in vectors[: count // copies]])
    assert largest_angle(pairs.eigenvectors[:whole].numpy(), expected) < 1e-5

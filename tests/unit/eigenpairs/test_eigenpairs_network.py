"""A real network's leading eigenpairs against its dense Hessian in float64."""

import numpy as np
import pytest
import torch
from eigenpairs_helpers import largest_angle, leading
from torch import nn

from eigendrift.eigenpairs.lanczos import leading_eigenpairs
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

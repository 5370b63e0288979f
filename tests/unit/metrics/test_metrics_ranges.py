"""Metrics of directions: what an array is, and how long its vectors are, changes nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from eigendrift.metrics.alignment import alignment
from eigendrift.metrics.displacement import displacement, overlaps, subspace_displacement
from eigendrift.metrics.localization import inverse_participation_ratio

Metric = Callable[[Any], np.ndarray]

FRAMES = np.random.default_rng(0).normal(size=(3, 2, 40))
FRAMES[1, 1] = np.nan

OF_DIRECTIONS: dict[str, Metric] = {
    "overlaps": overlaps,
    "displacement": lambda vectors: displacement(overlaps(vectors)),
    "subspace_displacement": lambda vectors: subspace_displacement(overlaps(vectors)),
    "inverse_participation_ratio": inverse_participation_ratio,
    "alignment of directions": lambda vectors: alignment(vectors[:, 0], FRAMES),
    "alignment of eigenvectors": lambda vectors: alignment(FRAMES[:, 0], vectors),
}
each_metric = pytest.mark.parametrize("name", OF_DIRECTIONS)


@each_metric
@pytest.mark.parametrize("power", [-900, -600, -300, 300, 600, 900])
def test_metrics_of_directions_do_not_depend_on_their_length(name: str, power: int) -> None:
    expected = OF_DIRECTIONS[name](FRAMES)
    assert np.isfinite(expected).any()
    np.testing.assert_allclose(OF_DIRECTIONS[name](FRAMES * 2.0**power), expected, rtol=1e-13, atol=1e-13)


@each_metric
def test_each_vector_has_a_length_of_its_own(name: str) -> None:
    powers = np.array([[-900, 300], [0, 900], [600, -300]])[..., None]
    expected = OF_DIRECTIONS[name](FRAMES)
    np.testing.assert_allclose(
        OF_DIRECTIONS[name](np.ldexp(FRAMES, powers)), expected, rtol=1e-13, atol=1e-13
    )


@each_metric
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_tensors_may_be_part_of_a_graph_and_of_any_precision(name: str, dtype: torch.dtype) -> None:
    tensor = torch.tensor(FRAMES, dtype=dtype, requires_grad=True)
    expected = OF_DIRECTIONS[name](tensor.detach().double().numpy())
    np.testing.assert_allclose(OF_DIRECTIONS[name](tensor), expected, rtol=1e-13, atol=1e-13)

"""Inverse participation ratio, alignment, and what all metrics of directions have in common."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as given_arrays
from metrics_helpers import walk

from eigendrift.metrics import arrays
from eigendrift.metrics.alignment import alignment, weight_change_alignment
from eigendrift.metrics.arrays import log10
from eigendrift.metrics.displacement import displacement, isotropic_displacement, overlaps, subspace_displacement
from eigendrift.metrics.localization import inverse_participation_ratio, isotropic_inverse_participation_ratio

property_test = settings(max_examples=60, deadline=None, derandomize=True)
vectors_of = st.integers(1, 40).flatmap(
    lambda size: given_arrays.arrays(
        np.float64, size, elements=st.floats(-10, 10).map(lambda x: x + np.copysign(1e-3, x))
    )
)


@property_test
@given(vector=vectors_of, factor=st.floats(1e-3, 1e3), sign=st.sampled_from([-1, 1]))
def test_bounds_and_scale(vector: np.ndarray, factor: float, sign: int) -> None:
    ratio = float(inverse_participation_ratio(vector))
    assert 1 / vector.size - 1e-12 <= ratio <= 1 + 1e-12
    assert float(inverse_participation_ratio(sign * factor * vector)) == pytest.approx(ratio, rel=1e-9)


@pytest.mark.parametrize("function", [isotropic_inverse_participation_ratio, isotropic_displacement])
def test_a_sphere_has_at_least_one_dimension(function: Callable[[int], float]) -> None:
    with pytest.raises(ValueError, match="parameters is 0, expected at least 1"):
        function(0)


def test_numbers_that_are_not_positive_have_no_logarithm() -> None:
    values = xr.DataArray([100.0, 0.1, 0, -10, np.nan], {"rank": [1, 2, 3, 4, 5]})
    xr.testing.assert_allclose(log10(values), values.copy(data=[2, -1, np.nan, np.nan, np.nan]))


@pytest.mark.parametrize("size", [1, 2, 50])
def test_one_parameter_all_alike_none_and_isotropic_vectors(size: int) -> None:
    one_hot = np.zeros((2, size), np.float32)
    one_hot[[0, 1], [0, -1]] = (1, -1)
    np.testing.assert_array_equal(inverse_participation_ratio(one_hot), [1, 1])
    uniform = np.random.default_rng(0).choice([-1.0, 1.0], (3, size)) / np.sqrt(size)
    np.testing.assert_allclose(inverse_participation_ratio(uniform), 1 / size)
    np.testing.assert_array_equal(inverse_participation_ratio([[0.0] * size, [np.nan] * size]), [np.nan, np.nan])
    ratios = inverse_participation_ratio(np.random.default_rng(1).normal(size=(20_000, size)))
    assert isotropic_inverse_participation_ratio(size) == pytest.approx(ratios.mean(), rel=0.01)


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_ratio_is_the_formula_whatever_the_block_and_the_shape(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    vectors = np.random.default_rng(2).normal(size=(4, 3, 30)).astype(np.float32)
    vectors[1, 2] = np.nan
    monkeypatch.setattr(arrays, "BLOCK", block)
    wide = vectors.astype(np.float64)
    expected = (wide**4).sum(-1) / (wide**2).sum(-1) ** 2
    ratios = inverse_participation_ratio(vectors)
    np.testing.assert_allclose(ratios, expected, rtol=1e-13)
    assert ratios.dtype == np.float64


def test_alignment_is_signed_and_blind_to_lengths_and_nan_without_a_direction() -> None:
    frame = np.stack([np.eye(3, dtype=np.float32)[:2]] * 4)
    directions = np.array([[5, 0, 0], [-1e-20, 0, 0], [3, -4, 0], [0, 0, 1]], np.float32)
    np.testing.assert_allclose(alignment(directions, frame), [[1, 0], [-1, 0], [0.6, -0.8], [0, 0]], atol=1e-12)

    frame[2, 1] = np.nan
    directions = np.array([[0, 0, 0], [np.nan, 1, 1], [1, 0, 0]], np.float32)
    np.testing.assert_array_equal(alignment(directions, frame[:3]), [[np.nan] * 2, [np.nan] * 2, [1, np.nan]])


@property_test
@given(seed=st.integers(0, 2**16), size=st.integers(1, 30))
def test_alignment_is_a_cosine(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(2, 3, size)).astype(np.float32)
    directions = random.normal(size=(2, size)).astype(np.float32)
    directions[1] = -2 * vectors[1, 0]
    cosines = alignment(directions, vectors)
    assert (np.abs(cosines) <= 1).all()
    assert cosines[1, 0] == pytest.approx(-1, abs=1e-14)
    flipped = alignment(directions, -vectors)
    np.testing.assert_array_equal(flipped, -cosines)


CHECKPOINTS, RANKS, PARAMETERS = 4, 2, 30
WEIGHTS = walk(CHECKPOINTS, PARAMETERS)


def directions(seed: int = 1) -> np.ndarray:
    """Vectors of about unit length, float32 (checkpoint, rank, parameter)."""
    vectors = np.random.default_rng(seed).normal(size=(CHECKPOINTS, RANKS, PARAMETERS))
    return (vectors / math.sqrt(PARAMETERS)).astype(np.float32)


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_weight_change_alignment_is_the_cosine_with_the_vector_at_the_start(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(arrays, "BLOCK", block)
    weights, vectors = WEIGHTS.astype(float), directions().astype(float)
    aligned = weight_change_alignment(WEIGHTS, directions())
    assert aligned.dtype == np.float64
    for start, end, rank in np.ndindex(CHECKPOINTS, CHECKPOINTS, RANKS):
        change, vector = weights[end] - weights[start], vectors[start, rank]
        product, lengths = math.fsum(change * vector), math.sqrt(math.fsum(change**2) * math.fsum(vector**2))
        expected = abs(product) / lengths if start != end else math.nan
        assert aligned[start, end, rank] == pytest.approx(expected, rel=1e-12, nan_ok=True)


@property_test
@given(seed=st.integers(0, 2**16), factor=st.floats(1e-3, 1e3), rank=st.integers(0, RANKS - 1))
def test_a_weight_change_along_a_vector_is_aligned_with_it(seed: int, factor: float, rank: int) -> None:
    vectors = directions(seed)
    weights = np.zeros((CHECKPOINTS, PARAMETERS))
    weights[2] = -factor * vectors[1, rank].astype(np.float64)
    aligned = weight_change_alignment(weights, vectors)
    assert aligned[1, 2, rank] == pytest.approx(1, abs=1e-14)
    reached = aligned[np.isfinite(aligned)]
    assert ((reached >= 0) & (reached <= 1)).all()


def test_missing_weight_changes_and_vectors_are_nan_and_do_not_spread() -> None:
    still = np.repeat(WEIGHTS[:1], CHECKPOINTS, axis=0)
    assert np.isnan(weight_change_alignment(still, directions())).all()
    whole, diverged, vectors = weight_change_alignment(WEIGHTS, directions()), WEIGHTS.copy(), directions()
    diverged[3:] = np.nan
    aligned = weight_change_alignment(diverged, directions())
    np.testing.assert_array_equal(aligned[:3, :3], whole[:3, :3])
    assert np.isnan(aligned[3:]).all()
    assert np.isnan(aligned[:, 3:]).all()
    vectors[1, 1] = np.nan
    aligned = weight_change_alignment(WEIGHTS, vectors)
    assert np.isnan(aligned[1, :, 1]).all()
    aligned[1, :, 1] = whole[1, :, 1]
    np.testing.assert_array_equal(aligned, whole)


FRAMES = np.random.default_rng(0).normal(size=(3, 2, 40))
FRAMES[1, 1] = np.nan
OF_DIRECTIONS: dict[str, Callable[[Any], np.ndarray]] = {
    "overlaps": overlaps,
    "displacement": lambda vectors: displacement(overlaps(vectors)),
    "subspace_displacement": lambda vectors: subspace_displacement(overlaps(vectors)),
    "inverse_participation_ratio": inverse_participation_ratio,
    "alignment of directions": lambda vectors: alignment(vectors[:, 0], FRAMES),
    "alignment of eigenvectors": lambda vectors: alignment(FRAMES[:, 0], vectors),
}
OWN_POWERS = np.array([[-900, 300], [0, 900], [600, -300]])[..., None]
each_metric = pytest.mark.parametrize("name", OF_DIRECTIONS)


@each_metric
@pytest.mark.parametrize("powers", [-900, -300, 300, 900, OWN_POWERS], ids=["-900", "-300", "300", "900", "own"])
def test_metrics_of_directions_do_not_depend_on_length(name: str, powers: Any) -> None:
    expected = OF_DIRECTIONS[name](FRAMES)
    assert np.isfinite(expected).any()
    found = OF_DIRECTIONS[name](np.ldexp(FRAMES, powers))
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


@each_metric
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_tensors_may_be_part_of_a_graph_and_of_any_precision(name: str, dtype: torch.dtype) -> None:
    tensor = torch.tensor(FRAMES, dtype=dtype, requires_grad=True)
    expected = OF_DIRECTIONS[name](tensor.detach().double().numpy())
    np.testing.assert_allclose(OF_DIRECTIONS[name](tensor), expected, rtol=1e-13, atol=1e-13)

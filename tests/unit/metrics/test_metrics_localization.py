"""Inverse participation ratio and alignment."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eigendrift.metrics import blocks
from eigendrift.metrics.alignment import alignment
from eigendrift.metrics.localization import (
    inverse_participation_ratio,
    isotropic_inverse_participation_ratio,
)

property_test = settings(max_examples=60, deadline=None, derandomize=True)
vectors_of = st.integers(1, 40).flatmap(
    lambda size: arrays(np.float64, size, elements=st.floats(-10, 10).map(lambda x: x + np.copysign(1e-3, x)))
)


@property_test
@given(vector=vectors_of, factor=st.floats(1e-3, 1e3), sign=st.sampled_from([-1, 1]))
def test_bounds_and_scale(vector: np.ndarray, factor: float, sign: int) -> None:
    ratio = float(inverse_participation_ratio(vector))
    assert 1 / vector.size - 1e-12 <= ratio <= 1 + 1e-12
    assert float(inverse_participation_ratio(sign * factor * vector)) == pytest.approx(ratio, rel=1e-9)


def test_a_sphere_has_at_least_one_dimension() -> None:
    with pytest.raises(ValueError, match="parameters is 0, expected at least 1"):
        isotropic_inverse_participation_ratio(0)


def test_what_has_no_direction_has_no_ratio() -> None:
    ratios = inverse_participation_ratio(np.array([[0.0, 0.0], [np.nan, 1.0], [0.0, 2.0]]))
    np.testing.assert_array_equal(ratios, [np.nan, np.nan, 1])


@pytest.mark.parametrize("size", [1, 2, 50])
def test_one_parameter_and_all_alike(size: int) -> None:
    one_hot = np.zeros((2, size), np.float32)
    one_hot[[0, 1], [0, -1]] = (1, -1)
    np.testing.assert_array_equal(inverse_participation_ratio(one_hot), [1, 1])
    uniform = np.random.default_rng(0).choice([-1.0, 1.0], (3, size)) / np.sqrt(size)
    np.testing.assert_allclose(inverse_participation_ratio(uniform), 1 / size)


@pytest.mark.parametrize("size", [1, 2, 20])
def test_isotropic_mean(size: int) -> None:
    ratios = inverse_participation_ratio(np.random.default_rng(1).normal(size=(20_000, size)))
    assert isotropic_inverse_participation_ratio(size) == pytest.approx(ratios.mean(), rel=0.01)


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_ratio_is_the_formula_whatever_the_block_and_the_shape(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    vectors = np.random.default_rng(2).normal(size=(4, 3, 30)).astype(np.float32)
    vectors[1, 2] = np.nan
    monkeypatch.setattr(blocks, "BLOCK", block)
    wide = vectors.astype(np.float64)
    expected = (wide**4).sum(-1) / (wide**2).sum(-1) ** 2
    ratios = inverse_participation_ratio(vectors)
    np.testing.assert_allclose(ratios, expected, rtol=1e-13)
    assert ratios.dtype == np.float64


def test_alignment_is_signed_and_blind_to_lengths() -> None:
    frame = np.stack([np.eye(3, dtype=np.float32)[:2]] * 4)
    directions = np.array([[5, 0, 0], [-1e-20, 0, 0], [3, -4, 0], [0, 0, 1]], np.float32)
    np.testing.assert_allclose(
        alignment(directions, frame), [[1, 0], [-1, 0], [0.6, -0.8], [0, 0]], atol=1e-12
    )


def test_alignment_of_no_direction_is_nan() -> None:
    frame = np.stack([np.eye(3, dtype=np.float32)[:2]] * 3)
    frame[2, 1] = np.nan
    directions = np.array([[0, 0, 0], [np.nan, 1, 1], [1, 0, 0]], np.float32)
    np.testing.assert_array_equal(alignment(directions, frame), [[np.nan] * 2, [np.nan] * 2, [1, np.nan]])


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

"""Rank correlation within blocks, compared with scipy and with planted relations."""

import numpy as np
import pytest
from scipy.stats import permutation_test, spearmanr

from eigendrift.metrics.association import Association, association_within

BLOCKS = [f"block {number}" for number in range(6) for _ in range(7)]
SHIFTS = np.repeat(np.arange(6.0), 7) * 20


def found(x: np.ndarray, y: np.ndarray, blocks: list[str] = BLOCKS, resamples: int = 999) -> Association:
    return association_within(x, y, blocks, 0.95, resamples)


def test_one_block_is_spearmans_coefficient_and_scipys_permutation_test() -> None:
    random = np.random.default_rng(0)
    x, y = random.integers(8, size=(2, 12)).astype(float)
    result = found(x, y, ["one"] * 12, 20_000)
    assert result.coefficient == pytest.approx(spearmanr(x, y).statistic)
    reference = permutation_test(
        (x,),
        lambda values: spearmanr(values, y).statistic,
        permutation_type="pairings",
        n_resamples=1_000,
        rng=np.random.default_rng(1),
    )
    assert result.p == pytest.approx(reference.pvalue, abs=0.05)
    assert result.low <= result.coefficient <= result.high
    assert (result.units, result.blocks) == (12, 1)


def test_several_blocks_are_the_weighted_mean_of_their_coefficients() -> None:
    random = np.random.default_rng(2)
    sizes = (4, 6, 9)
    x, y = random.normal(size=(2, sum(sizes)))
    blocks = [str(size) for size in sizes for _ in range(size)]
    each = [spearmanr(x[np.array(blocks) == str(size)], y[np.array(blocks) == str(size)]) for size in sizes]
    weights = [size * (size - 1) / (size + 1) for size in sizes]
    expected = np.average([one.statistic for one in each], weights=weights)
    assert found(x, y, blocks).coefficient == pytest.approx(expected)


def test_a_monotone_relation_within_blocks_is_found_though_their_means_lie_the_other_way() -> None:
    random = np.random.default_rng(3)
    x = random.normal(size=42)
    y = np.exp(x + 0.3 * random.normal(size=42))
    result = found(x + SHIFTS, y - SHIFTS)
    assert spearmanr(x + SHIFTS, y - SHIFTS).statistic < -0.8
    assert result.coefficient > 0.8
    assert result.low > 0.6
    assert result.p == 1 / 1000
    assert (result.units, result.blocks) == (42, 6)


def test_a_relation_between_blocks_alone_is_none() -> None:
    random = np.random.default_rng(4)
    x, y = random.normal(size=(2, 42))
    result = found(x + SHIFTS, y + SHIFTS)
    assert spearmanr(x + SHIFTS, y + SHIFTS).statistic > 0.9
    assert result == found(x, y)
    assert result.low < 0 < result.high
    assert result.p > 0.05


@pytest.mark.slow
def test_about_one_in_twenty_unrelated_data_sets_is_called_related() -> None:
    random = np.random.default_rng(5)
    ps, missed = [], 0
    for _ in range(400):
        x, y = random.normal(size=(2, 42))
        result = association_within(x + SHIFTS, y + SHIFTS, BLOCKS, 0.95, 199)
        ps.append(result.p)
        missed += not result.low <= 0 <= result.high
    # Two standard deviations of 400 draws are 2.2 %.
    assert 0.025 < np.mean(np.array(ps) <= 0.05) < 0.075
    assert missed / 400 < 0.075
    assert np.mean(np.array(ps) <= 0.5) == pytest.approx(0.5, abs=0.06)


def test_a_monotone_change_of_either_changes_nothing() -> None:
    x, y = np.random.default_rng(6).normal(size=(2, 42))
    assert found(np.exp(x), y**3) == found(x, y)
    flipped = found(x, -y)
    assert flipped.coefficient == pytest.approx(-found(x, y).coefficient)
    assert flipped.p == found(x, y).p
    # As sure of a relation that falls as of one that rises.
    assert found(x, -x).p == found(x, x).p == 1 / 1000


def test_small_blocks_and_constants_have_no_coefficient() -> None:
    x, y = np.random.default_rng(7).normal(size=(2, 9))
    few = found(x, y, ["a"] * 3 + ["b"] * 3 + ["c"] * 3)
    assert np.isnan([few.coefficient, few.low, few.high, few.p]).all()
    assert (few.units, few.blocks) == (0, 0)
    constant = found(np.ones(9), y, ["a"] * 9)
    assert np.isnan([constant.coefficient, constant.p]).all()
    assert (constant.units, constant.blocks) == (9, 1)
    assert found(x, y, ["a"] * 6 + ["b"] * 3) == found(x[:6], y[:6], ["a"] * 6)

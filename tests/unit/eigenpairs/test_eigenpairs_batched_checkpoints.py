"""Checkpoints that are decomposed together: pairs, failures, and resuming with the same bits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from eigenpairs_helpers import CPU, MODEL, SETTINGS, STEPS, columns_of

from eigendrift.data.samples import Samples
from eigendrift.eigenpairs.batched_perceptrons import PerceptronStack
from eigendrift.eigenpairs.decompose import decompose
from eigendrift.eigenpairs.landscape import Landscape, Record, undefined_record
from eigendrift.numerics import generator
from eigendrift.stores.progress import Progress


@pytest.fixture
def grouped(samples: Samples) -> Landscape:
    """It takes three checkpoints together: of four the first three, and the last."""
    return Landscape(samples, MODEL, SETTINGS | {"chunk_size": 40}, CPU, together=3)


def test_groups_have_the_pairs_of_each_checkpoint(landscape, grouped, weights, progress):
    kept = weights.copy()
    results = [
        decompose(each, weights, STEPS, progress(name), 0, "test")
        for name, each in (("alone", landscape), ("grouped", grouped))
    ]
    np.testing.assert_array_equal(weights, kept)
    alone, together = (columns_of(result) for result in results)
    assert alone.keys() == together.keys()
    for name in ("eigenvalue", "gap", "next_eigenvalue"):
        np.testing.assert_allclose(together[name], alone[name], rtol=0, atol=1e-4 * np.nanmax(alone[name]))
    for name in alone:
        assert together[name].dtype == alone[name].dtype
    overlaps = np.abs((together["eigenvector"] * alone["eigenvector"]).sum(-1))
    np.testing.assert_allclose(overlaps[[0, 1, 3]], 1, atol=1e-6)
    np.testing.assert_array_equal(together["converged"], alone["converged"])
    assert results[0].summary["unconverged"] == results[1].summary["unconverged"] == 3


class Observed(Landscape):
    """Takes down which checkpoints it is asked for together, by their first weights."""

    asked: list[list[int]]

    def eigenpairs_at_each(self, weights: Any, starts: Any, preconditioners: Any = None) -> list[Record]:
        self.asked.append([int(flat[0]) for flat in weights])
        return super().eigenpairs_at_each(weights, starts, preconditioners)


class DyingProgress(Progress):
    """Is killed after some records."""

    left: int

    def save(self, index: int, record: Record) -> None:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        super().save(index, record)


@pytest.mark.slow
@pytest.mark.parametrize(("together", "kept"), [(1, 2), *((3, kept) for kept in range(8))])
def test_a_job_killed_within_a_group_resumes_with_the_same_bits(samples, progress, together, kept):
    landscape = Observed(samples, MODEL, SETTINGS | {"chunk_size": 40}, CPU, together)
    weights = np.random.default_rng(1).normal(0, 0.7, (8, landscape.size)).astype(np.float32)
    weights[4] = np.nan
    weights[:, 0] = steps = np.arange(8)
    groups = [list(range(8))[first : first + together] for first in range(0, 8, together)]

    def run(progress: Progress) -> dict[str, np.ndarray]:
        landscape.asked = []
        return columns_of(decompose(landscape, weights, steps, progress, 0, "test"))

    whole = run(progress("whole"))
    assert landscape.asked == groups
    dying = DyingProgress(progress("killed").directory)
    dying.left = kept
    with pytest.raises(KeyboardInterrupt):
        run(dying)
    before = {path: path.stat().st_mtime_ns for path in dying.directory.glob("record-*.npz")}
    assert len(before) == kept
    resumed = run(progress("killed"))
    # The group that the kill hit is computed as a whole; what had been kept of it stays as it was.
    assert landscape.asked == groups[kept // together :]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    for name, column in whole.items():
        np.testing.assert_array_equal(resumed[name], column)
    run(progress("killed"))
    assert landscape.asked == []


def test_a_checkpoint_that_overflows_disturbs_no_other_of_its_group(grouped, weights, caplog):
    weights[1] = 3e38
    starts = [generator("test", index) for index in range(4)]
    records = grouped.eigenpairs_at_each(weights, starts)
    for index in (1, 2):
        for name, value in undefined_record(3, grouped.size).items():
            np.testing.assert_array_equal(records[index][name], value)
    assert records[0]["converged"].all()
    assert records[3]["converged"].all()
    assert caplog.text.count("The Hessian cannot be computed here") == 1


def test_each_checkpoint_begins_with_its_own_vectors(grouped, weights):
    starts = [generator("test", index) for index in range(4)]
    grouped.eigenpairs_at_each(weights, starts)
    untouched = [
        torch.equal(start.get_state(), generator("test", index).get_state()) for index, start in enumerate(starts)
    ]
    # The third has no finite weights.
    assert untouched == [False, False, True, False]


def test_a_group_without_finite_weights_is_undefined(grouped, weights):
    weights[:] = np.nan
    records = grouped.eigenpairs_at_each(weights[:2], [generator("a"), generator("b")])
    assert [record["converged"].any() for record in records] == [False, False]


def test_products_of_a_group_are_batched(grouped, weights, monkeypatch):
    calls = []
    products = PerceptronStack.products

    def spy(self: PerceptronStack, vectors: torch.Tensor, networks: Sequence[int]) -> torch.Tensor:
        calls.append(list(networks))
        return products(self, vectors, networks)

    monkeypatch.setattr(PerceptronStack, "products", spy)
    records = grouped.eigenpairs_at_each(weights, [generator("test", index) for index in range(4)])
    assert [0, 1, 2] in calls
    steps = [sum(call.count(index) for call in calls if len(set(call)) == len(call)) for index in range(3)]
    assert max(steps) <= len(calls) < sum(steps)
    # Blocks of a network's own are its certificates.
    assert sum(len(call) for call in calls) == sum(int(record["matvecs"]) for record in records)


def test_without_a_gpu_and_with_small_chunks_each_checkpoint_stands_alone(samples):
    assert Landscape(samples, MODEL, SETTINGS | {"chunk_size": 40}, CPU).together == 1
    assert Landscape(samples, MODEL, SETTINGS | {"chunk_size": 39}, CPU, together=3).together == 1
    assert Landscape(samples, MODEL, SETTINGS | {"chunk_size": 40}, CPU, together=3).together == 3
    few = SETTINGS | {"chunk_size": 12, "samples": 12}
    assert Landscape(samples, MODEL, few, CPU, together=3).together == 3

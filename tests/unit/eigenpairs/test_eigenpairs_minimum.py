"""The best minimum of an optimizer: which run it is, and the curvature there against a dense Hessian."""

from dataclasses import replace

import numpy as np
import pytest
from eigenpairs_helpers import CPU, MODEL, SETTINGS, dense_at

from eigendrift.data.samples import Samples
from eigendrift.eigenpairs.landscape import Landscape
from eigendrift.eigenpairs.minimum import End, Minimum, best_minimum
from eigendrift.stores.reading import open_store
from eigendrift.stores.writing import write_store

WIDE = {**MODEL, "hidden_widths": [12]}
SIZE = 159
SOLVER = {**SETTINGS, "chunk_size": 30}
CURVATURE = ("eigenvalue", "residual", "curvature", "density")


@pytest.fixture(scope="module")
def parts() -> Samples:
    """Forty training samples, and ten test samples that look different."""
    random = np.random.default_rng(0)
    images = random.random((50, 3, 3), np.float32)
    labels = np.arange(50) % 3
    images[np.arange(40), labels[:40], labels[:40]] += 1
    images[40:] *= 2
    return Samples(images[:40], labels[:40], images[40:], labels[40:])


def ends() -> list[End]:
    """Three runs. The loss is lowest over training samples in the first, over test samples in the last.

    Over all samples, four training samples for each test sample, it is lowest in the one between.
    """
    random = np.random.default_rng(1)
    return [
        End(seed, random.normal(0, 0.7, SIZE).astype(np.float32), train, test, accuracy, accuracy - 0.5)
        for seed, train, test, accuracy in ((3, 0.1, 1.0, 0.9), (5, 0.2, 0.3, 0.8), (8, 0.3, 0.1, 0.7))
    ]


def found(parts: Samples, runs: list[End]) -> Minimum:
    return best_minimum(parts, runs, WIDE, SOLVER, CPU)


@pytest.fixture(scope="module")
def minimum(parts: Samples) -> Minimum:
    return found(parts, ends())


@pytest.fixture(scope="module")
def exact(parts: Samples) -> np.ndarray:
    """All eigenvalues at the best end over training and test samples, in float64, descending."""
    images = np.concatenate([parts.train_images, parts.test_images])
    labels = np.concatenate([parts.train_labels, parts.test_labels])
    return np.linalg.eigvalsh(dense_at(Landscape(parts, WIDE, SOLVER, CPU), ends()[1].weights, images, labels))[::-1]


@pytest.mark.slow
def test_the_lowest_loss_over_all_samples_wins(minimum):
    columns = minimum.columns
    np.testing.assert_array_equal(columns["seed"], [3, 5, 8])
    np.testing.assert_allclose(columns["loss"], [0.28, 0.22, 0.26])
    np.testing.assert_allclose(columns["accuracy"], [0.8, 0.7, 0.6])
    np.testing.assert_array_equal(columns["best"], [False, True, False])
    assert minimum.summary["best_seed"] == 5


@pytest.mark.parametrize("loss", [np.nan, *(pytest.param(sign * np.inf, marks=pytest.mark.slow) for sign in (1, -1))])
def test_a_loss_that_is_not_finite_never_wins(parts, loss):
    runs = ends()
    runs[1] = replace(runs[1], test_loss=loss)
    minimum = found(parts, runs)
    np.testing.assert_array_equal(minimum.columns["best"], [False, False, True])
    assert minimum.summary["best_seed"] == 8


def test_eigenvalues_are_those_over_training_and_test_samples(minimum, exact):
    np.testing.assert_allclose(minimum.columns["eigenvalue"], exact[:3], atol=1e-5 * exact[0])
    np.testing.assert_array_equal(minimum.columns["rank"], [1, 2, 3])
    assert minimum.columns["converged"].all()
    assert (minimum.columns["residual"] <= 1e-5).all()
    assert (minimum.summary["parameters"], minimum.summary["samples"]) == (SIZE, 50)


def test_the_density_is_that_of_all_eigenvalues(minimum, exact):
    at, density = minimum.columns["curvature"], minimum.columns["density"]
    smoothing = minimum.summary["smoothing"]
    assert smoothing == pytest.approx((exact[0] - exact[-1]) / 100, rel=1e-4)
    assert at[0] < exact[-1] - 4 * smoothing
    assert at[-1] > exact[0] + 4 * smoothing
    assert np.trapezoid(density, at) == pytest.approx(1, abs=1e-6)
    # Random weights of the eigenvalues, 1/N on average: sums of many are right within a few per cent.
    below = np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(at))
    for bound in (0.1, 1.0):
        assert np.interp(bound, at[1:], below) == pytest.approx(np.mean(exact <= bound), abs=0.05)
    for outlier in exact[:3]:
        assert np.interp(outlier, at, density) > 0.1 / (SIZE * np.sqrt(2 * np.pi) * smoothing)


def test_the_trace_is_within_its_error(minimum, exact):
    summary = minimum.summary
    assert 0 < summary["trace_standard_error"] < 0.1 * exact.sum()
    assert abs(summary["trace"] - exact.sum()) < 4 * summary["trace_standard_error"]
    assert summary["products"] > 90


def test_nothing_is_said_of_runs_that_all_diverged(parts, tmp_path):
    """Also where the weights of the first one are finite: its test loss has overflowed."""
    lost = {"train_loss": np.nan, "test_loss": np.nan, "train_accuracy": np.nan, "test_accuracy": np.nan}
    runs = [replace(end, weights=np.full(SIZE, np.nan, np.float32), **lost) for end in ends()]
    for all_lost in (runs, [replace(ends()[0], test_loss=np.inf), *runs[1:]]):
        minimum = found(parts, all_lost)
        assert not minimum.columns["best"].any()
        assert not minimum.columns["converged"].any()
        for name in CURVATURE:
            assert np.isnan(minimum.columns[name]).all()
        assert minimum.summary == {
            **dict.fromkeys(("best_seed", "trace", "trace_standard_error", "smoothing")),
            "parameters": SIZE,
            "samples": 50,
            "products": 0,
        }
        write_store(tmp_path / "minimum.zarr", "minimum", minimum.columns, {}, minimum.summary)


def test_an_overflowing_hessian_leaves_a_best_run_without_curvature(parts):
    runs = ends()
    runs[1] = replace(runs[1], weights=np.full(SIZE, 3e38, np.float32))
    minimum = found(parts, runs)
    assert minimum.summary["best_seed"] == 5
    assert minimum.summary["trace"] is None
    assert all(np.isnan(minimum.columns[name]).all() for name in CURVATURE)


def test_a_loss_without_curvature_has_a_trace_but_no_density(parts):
    """A network whose bias alone decides, by so much that nothing else counts, has a Hessian of zeros."""
    flat = np.zeros(SIZE, np.float32)
    flat[-3] = 200
    parts = replace(parts, train_labels=parts.train_labels * 0, test_labels=parts.test_labels * 0)
    minimum = found(parts, [replace(ends()[1], weights=flat)])
    assert minimum.summary["trace"] == minimum.summary["smoothing"] == 0
    assert np.isnan(minimum.columns["density"]).all()


@pytest.mark.slow
def test_a_store_accepts_it_and_the_same_runs_give_the_same_bits(parts, minimum, tmp_path):
    for name, one in (("one", minimum), ("other", found(parts, ends()))):
        write_store(tmp_path / f"{name}.zarr", "minimum", one.columns, {}, one.summary)
    stored = open_store(tmp_path / "one.zarr", "minimum")
    for name, values in minimum.columns.items():
        np.testing.assert_array_equal(stored[name].values, values)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()

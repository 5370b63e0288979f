"""Measured runs and baselines, compared with plain loops."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from metrics_helpers import draws_of, eigenpairs_of, trajectory_of

from eigendrift.metrics.draws import draws_for
from eigendrift.metrics.measure import COPIED, measure_baseline, measure_preconditioned, measure_run, summarize_run
from eigendrift.stores.arrays import BASELINE
from eigendrift.stores.reading import open_store
from eigendrift.stores.writing import write_store

CHECKPOINTS, RANKS, PARAMETERS = 5, 3, 12
SHAPES = [[2, 3], [2], [1, 2], [1], [1]]


@pytest.fixture
def eigenpairs() -> xr.Dataset:
    pairs = eigenpairs_of(SHAPES, CHECKPOINTS, 0, RANKS)
    pairs["converged"][1, 2] = False
    return pairs


@pytest.fixture
def trajectory() -> xr.Dataset:
    return trajectory_of(SHAPES, CHECKPOINTS)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_a_run_is_measured_as_a_plain_loop_does(trajectory: xr.Dataset, eigenpairs: xr.Dataset) -> None:
    measured = measure_run(trajectory, eigenpairs)
    v, ok = eigenpairs["eigenvector"].values, eigenpairs["converged"].values
    gradient, update = trajectory["gradient"].values, trajectory["update"].values
    weights = trajectory["weights"].values.astype(float)
    for t in range(CHECKPOINTS):
        for i in range(RANKS):
            expected = {
                "eigenvalue": eigenpairs["eigenvalue"].values[t, i],
                "gap": eigenpairs["gap"].values[t, i],
                "inverse_participation_ratio": (v[t, i].astype(float) ** 4).sum(),
                "gradient_alignment": cosine(gradient[t], v[t, i]),
                "update_alignment": cosine(update[t], v[t, i]),
                "final_overlap": abs(cosine(v[t, i], v[-1, i])),
            }
            for name, value in expected.items():
                found = measured[name][t, i]
                assert found == pytest.approx(value, rel=1e-6) if ok[t, i] else np.isnan(found), name
            for s in range(CHECKPOINTS):
                moved = 2 * (1 - abs(cosine(v[s, i], v[t, i]))) if ok[s, i] and ok[t, i] else np.nan
                np.testing.assert_allclose(measured["displacement"][s, t, i], moved, atol=1e-14)
                aligned = abs(cosine(weights[t] - weights[s], v[s, i])) if ok[s, i] and s != t else np.nan
                np.testing.assert_allclose(measured["weight_change_alignment"][s, t, i], aligned, atol=1e-14)
        for s in range(CHECKPOINTS):
            change = weights[t] - weights[s]
            np.testing.assert_allclose(measured["weight_displacement"][s, t], change @ change / PARAMETERS)
            for k in range(1, RANKS + 1):
                squares = [cosine(v[s, i], v[t, j]) ** 2 for i in range(k) for j in range(k)]
                spanned = 1 - sum(squares) / k if ok[s, :k].all() and ok[t, :k].all() else np.nan
                np.testing.assert_allclose(measured["subspace_displacement"][s, t, k - 1], spanned, atol=1e-7)
    for name in COPIED:
        np.testing.assert_array_equal(measured[name], trajectory[name].values)


def test_only_checkpoints_with_eigenpairs_are_measured(trajectory: xr.Dataset, eigenpairs: xr.Dataset) -> None:
    whole = measure_run(trajectory, eigenpairs)
    some = measure_run(trajectory, eigenpairs.isel(checkpoint=slice(None, None, 2)))
    for name in ("step", "train_loss", "eigenvalue", "gradient_alignment", "final_overlap"):
        np.testing.assert_allclose(some[name], whole[name][::2], atol=1e-14, err_msg=name)
    for name in ("displacement", "subspace_displacement", "weight_displacement", "weight_change_alignment"):
        np.testing.assert_allclose(some[name], whole[name][::2, ::2], atol=1e-14, err_msg=name)
    trajectory["train_loss"][1:3] = np.nan
    eigenpairs["converged"][1:4] = False
    summary = summarize_run(trajectory, eigenpairs.isel(checkpoint=slice(None, None, 2)))
    assert summary["unconverged"] == 0


def test_measuring_does_not_change_its_input_fits_the_store_and_is_the_same_for_the_preconditioned_hessian(
    trajectory: xr.Dataset, eigenpairs: xr.Dataset, tmp_path: Path
) -> None:
    before = eigenpairs.copy(deep=True)
    own, plain = measure_preconditioned(eigenpairs), measure_run(trajectory, eigenpairs)
    xr.testing.assert_identical(eigenpairs, before)
    assert {"displacement", "eigenvalue", "inverse_participation_ratio"} < set(own) < set(plain)
    for name, values in own.items():
        np.testing.assert_array_equal(values, plain[name])
    for kind, measured in (("metrics", plain), ("preconditioned_metrics", own)):
        write_store(tmp_path / kind, kind, measured, {})
        assert open_store(tmp_path / kind, kind).sizes["waiting"] == CHECKPOINTS


def test_summary_counts_masked_pairs_up_to_a_divergence(trajectory: xr.Dataset, eigenpairs: xr.Dataset) -> None:
    expected = {"parameters": PARAMETERS, "shapes": SHAPES, "diverged_at": None, "unconverged": 1}
    assert summarize_run(trajectory, eigenpairs) == expected
    trajectory.attrs["summary"]["diverged_at"] = 25
    trajectory["train_loss"][3:] = np.nan
    eigenpairs["converged"][3:] = False
    assert summarize_run(trajectory, eigenpairs) == expected | {"diverged_at": 25}


def test_a_diverged_run_is_measured_as_far_as_it_goes(trajectory: xr.Dataset, eigenpairs: xr.Dataset) -> None:
    eigenpairs["converged"][:] = True
    eigenpairs["converged"][3:] = False
    eigenpairs["eigenvector"][3:] = np.nan
    for name in ("weights", "gradient"):
        trajectory[name][3:] = np.nan
    measured = measure_run(trajectory, eigenpairs)
    for name in ("eigenvalue", "inverse_participation_ratio", "gradient_alignment"):
        assert np.isfinite(measured[name][:3]).all()
        assert np.isnan(measured[name][3:]).all()
    assert np.isfinite(measured["weight_change_alignment"][0, 1:3]).all()
    for name in ("displacement", "tracked_displacement", "subspace_displacement", "weight_displacement"):
        assert np.isfinite(measured[name][:3, :3]).all()
        assert np.isnan(measured[name][3:]).all()
        assert np.isnan(measured[name][:, 3:]).all()
    assert np.isnan(measured["final_overlap"]).all()


def test_baseline_is_over_every_pair_of_draws() -> None:
    null = draws_of(SHAPES, [-1] * 4, 3, RANKS)
    null["converged"][3, 0] = False
    vectors, converged = null["eigenvector"].values, null["converged"].values
    before = null.copy(deep=True)
    baseline = measure_baseline(null)
    xr.testing.assert_identical(null, before)
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert baseline["displacement"].shape == (6, RANKS)
    for index, (a, b) in enumerate(pairs):
        for i in range(RANKS):
            masked = i == 0 and b == 3
            expected = np.nan if masked else 2 * (1 - abs(cosine(vectors[a, i], vectors[b, i])))
            np.testing.assert_allclose(baseline["displacement"][index, i], expected, atol=1e-14)
        assert np.isnan(baseline["subspace_displacement"][index]).tolist() == [b == 3] * RANKS
    np.testing.assert_array_equal(np.isnan(baseline["inverse_participation_ratio"]), ~converged)
    np.testing.assert_array_equal(np.isnan(baseline["eigenvalue"]), ~converged)


def test_draws_of_different_optimizers_are_not_paired() -> None:
    """They may share their start, and are then not independent."""
    null = draws_of(SHAPES, [0, 1, 0, 1, 0], 5, RANKS)
    null["eigenvalue"][:] = np.arange(5.0)[:, None]
    vectors = null["eigenvector"].values
    measured = measure_baseline(null)
    pairs = [(0, 2), (0, 4), (1, 3), (2, 4)]
    expected = [[2 - 2 * abs(vectors[a, i] @ vectors[b, i]) for i in range(RANKS)] for a, b in pairs]
    np.testing.assert_allclose(measured["displacement"], expected, atol=1e-6)
    dims = {spec.name: spec.dims for spec in BASELINE.arrays}
    trainings = [{"optimizer": {"name": name}} for name in ("sgd", "adam")]
    baseline = xr.Dataset(
        {name: (dims[name], values) for name, values in measured.items()}, attrs={"settings": {"trainings": trainings}}
    )
    adam, sgd = (draws_for(baseline, name) for name in ("adam", "sgd"))
    assert adam["eigenvalue"].sel(rank=1).values.tolist() == [1, 3]
    np.testing.assert_array_equal(adam["displacement"], baseline["displacement"][[2]])
    np.testing.assert_array_equal(sgd["displacement"], baseline["displacement"][[0, 1, 3]])
    assert draws_for(baseline, "rmsprop").identical(baseline)

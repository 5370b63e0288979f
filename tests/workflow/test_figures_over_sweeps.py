"""Figures 8 and 17 to 21 of the smoke study, compared with numbers computed from the stores with plain NumPy."""

import math
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from smoke_stores import (
    DATASETS,
    OPTIMIZERS,
    PARAMETERS,
    SEEDS,
    arrays,
    eigenvectors,
    evaluate,
    ipr,
    mean_overlap,
    moved,
    null_of,
    quantiles,
    run_of,
    samples_of,
    table,
)

VALUES: dict[str, dict[str, tuple[Any, ...]]] = {
    "batch_size": {"sgd": (64, 128, "full"), "adam": (64, 128, "full")},
    "learning_rate": {"sgd": (0.05, 0.2), "adam": (0.001, 0.01)},
}
# Steps by batch size. Runs with batches of 64 and 128 see the same number of samples. Every run has seven checkpoints.
STEPS = {64: 60, 128: 30, "full": 12}
SHARES = np.arange(7) / 6
# Checkpoints at the waiting times 0, 1/3 and 5/6.
WAITING = (0, 2, 5)


def swept(results: Path, varied: str) -> list[tuple[str, Any, Path]]:
    """Return the optimizer, the value and the directory of each run of a sweep; all runs have seed 0."""
    listed = [(optimizer, value) for optimizer, values in VALUES[varied].items() for value in values]
    return [(optimizer, value, run_of(results, "digits", optimizer, **{varied: value})) for optimizer, value in listed]


def rows_of(shown: pd.DataFrame, optimizer: str, varied: str, value: Any) -> pd.DataFrame:
    # pandas reads batch sizes as text because one of them is "full".
    return shown[(shown["optimizer"] == optimizer) & (shown[varied].astype(str) == str(value))]


def assert_baseline(shown: pd.DataFrame, draws: Any, isotropic: list[float]) -> None:
    baseline = shown[shown["quantity"] == "baseline"]
    for row in baseline.itertuples():
        assert [row.low, row.median, row.high] == pytest.approx(quantiles(draws))
    assert set(baseline["optimizer"]) == set(OPTIMIZERS)
    assert shown[shown["quantity"] == "isotropic"]["mean"].tolist() == pytest.approx(isotropic)


def test_fig17_shows_mean_alignments_with_stored_eigenvectors(results: Path) -> None:
    shown = table(results, "fig17_learning_rate_alignment")
    aligned = shown[shown["quantity"] == "alignment"]
    expected = 0
    for (optimizer, rate, run), direction in product(swept(results, "learning_rate"), ("gradient", "update")):
        vectors = eigenvectors(run / "eigenpairs.zarr")
        motion = arrays(run / "trajectory.zarr")[direction].astype(float)
        cosines = np.abs(np.einsum("crp,cp->cr", vectors, motion)) / np.linalg.norm(motion, axis=1)[:, None]
        rows = rows_of(aligned[aligned["direction"] == direction], optimizer, "learning_rate", rate)
        for name in ("mean", "minimum", "maximum"):
            np.testing.assert_allclose(rows.sort_values("rank")[name], np.nanmean(cosines, 0))
        expected += len(rows)
    assert len(aligned) == expected == 2 * 4 * 3
    isotropic = shown[shown["quantity"] == "isotropic"]["mean"]
    assert isotropic.tolist() == pytest.approx(6 * [mean_overlap(PARAMETERS["digits"])])


@pytest.mark.parametrize(
    ("name", "varied"),
    [
        ("fig18_batch_size_localization", "batch_size"),
        ("fig19_learning_rate_localization", "learning_rate"),
    ],
)
def test_fig18_and_fig19_show_the_localization_of_stored_eigenvectors(results: Path, name: str, varied: str) -> None:
    shown = table(results, name)
    for optimizer, value, run in swept(results, varied):
        steps = arrays(run / "eigenpairs.zarr")["step"]
        assert steps[-1] == STEPS[value if varied == "batch_size" else 64]
        ratios = ipr(eigenvectors(run / "eigenpairs.zarr")[:, 0])
        rows = rows_of(shown, optimizer, varied, value)
        np.testing.assert_allclose(rows["share"], SHARES[np.isfinite(ratios)])
        for band in ("mean", "minimum", "maximum"):
            np.testing.assert_allclose(rows[band], ratios[np.isfinite(ratios)])
    draws = ipr(eigenvectors(null_of(results, "digits"))[:, 0])
    assert_baseline(shown, draws, 2 * [3 / (PARAMETERS["digits"] + 2)])
    assert set(shown[varied].dropna().astype(str)) == {str(value) for _, value, _ in swept(results, varied)}


@pytest.mark.parametrize(
    ("name", "varied"),
    [
        ("fig20_batch_size_displacement", "batch_size"),
        ("fig21_learning_rate_displacement", "learning_rate"),
    ],
)
def test_fig20_and_fig21_show_the_displacement_of_stored_eigenvectors(results: Path, name: str, varied: str) -> None:
    shown = table(results, name)
    curves = shown[shown["quantity"] == "displacement"]
    expected = 0
    for optimizer, value, run in swept(results, varied):
        vectors = eigenvectors(run / "eigenpairs.zarr")[:, 0]
        times = [
            (SHARES[start], SHARES[end] - SHARES[start], moved(vectors[start], vectors[end]))
            for start in WAITING
            for end in range(start + 1, 7)
            if np.isfinite(vectors[[start, end]]).all()
        ]
        rows = rows_of(curves, optimizer, varied, value)[["waiting_time", "lag", "mean"]]
        np.testing.assert_allclose(rows, times, rtol=1e-9, atol=1e-12)
        expected += len(times)
    assert len(curves) == expected > 20
    draws = eigenvectors(null_of(results, "digits"))[:, 0]
    null = [moved(one, other) for one, other in combinations(draws, 2)]
    count = len(swept(results, varied))
    assert_baseline(shown, null, count * [2 * (1 - mean_overlap(PARAMETERS["digits"]))])


def hessian(weights: np.ndarray, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the Hessian from central differences of the gradient."""
    step = 1e-6
    ends = [
        [evaluate(weights + sign * step * unit, images, labels)[2] for sign in (1, -1)] for unit in np.eye(len(weights))
    ]
    columns = np.array([(above - below) / (2 * step) for above, below in ends])
    return (columns + columns.T) / 2


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_fig08_shows_the_curvature_of_the_best_run_over_all_samples(results: Path, optimizer: str) -> None:
    parts = [samples_of(results, "digits", part) for part in ("train", "test")]
    digits = [np.concatenate(both) for both in zip(*parts, strict=True)]
    shown = table(results, "fig08_minima").query("dataset == 'digits' and optimizer == @optimizer")
    by_quantity = {str(name): rows for name, rows in shown.groupby("quantity")}
    ends = [arrays(run_of(results, "digits", optimizer, seed) / "trajectory.zarr")["weights"][-1] for seed in SEEDS]
    losses, accuracies, _ = zip(*(evaluate(end, *digits) for end in ends), strict=True)
    runs = by_quantity["run"].sort_values("seed")
    # Training computes losses in float32.
    np.testing.assert_allclose(runs["loss"], losses, rtol=1e-5)
    np.testing.assert_allclose(runs["error_rate"], 1 - np.array(accuracies), atol=1e-12)
    best = int(np.argmin(losses))
    assert runs["best"].astype(bool).tolist() == [seed == best for seed in SEEDS]

    exact = np.linalg.eigvalsh(hessian(ends[best].astype(float), *digits))[::-1]
    np.testing.assert_allclose(by_quantity["eigenvalue"]["value"], exact[:5], rtol=1e-3)
    trace = by_quantity["trace"].iloc[0]
    assert abs(trace["value"] - exact.sum()) < 4 * trace["standard_error"] < 0.2 * exact.sum()

    at, density = by_quantity["spectral density"][["curvature", "value"]].to_numpy().T
    smoothing = (exact[0] - exact[-1]) / 100
    assert at[[0, -1]] == pytest.approx([exact[-1] - 5 * smoothing, exact[0] + 5 * smoothing], rel=1e-3)
    assert np.trapezoid(density, at) == pytest.approx(1, abs=1e-6)
    # With ten random vectors, the weight of a single eigenvalue is uncertain. Its position and the sums of many weights
    # are accurate.
    below = np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(at))
    for bound in (-0.1, 0.0, 0.1, 0.5):
        share = np.mean([0.5 * (1 + math.erf((bound - value) / smoothing / math.sqrt(2))) for value in exact])
        assert np.interp(bound, at[1:], below) == pytest.approx(share, abs=0.03)


def test_fig08_shows_every_data_set_and_optimizer(results: Path) -> None:
    panels = table(results, "fig08_minima").groupby(["dataset", "optimizer"])["quantity"].value_counts()
    counts = {"spectral density": 441, "run": 2, "eigenvalue": 5, "trace": 1}
    expected = {
        (*panel, quantity): count for panel in product(DATASETS, OPTIMIZERS) for quantity, count in counts.items()
    }
    assert panels.to_dict() == expected

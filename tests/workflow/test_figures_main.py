"""Figures 1 to 16 of the smoke study, compared with numbers computed from the stores with plain NumPy."""

import math
from collections.abc import Callable
from dataclasses import dataclass
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
    STEPS,
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
    unit,
)

RANKS = (1, 2, 3)
WAITING_TIMES = (0, 20, 50)
Rows = dict[tuple[Any, ...], dict[str, float]]


@dataclass(frozen=True)
class Run:
    """One run in float64, with NaN where an eigenpair did not converge.

    Attributes:
        vectors: Unit eigenvectors (checkpoint, rank, parameter).
        eigenvalues: Eigenvalues (checkpoint, rank).
        weights: Weights (checkpoint, parameter).
        gradients: Gradients (checkpoint, parameter).
        updates: Updates (checkpoint, parameter).
        losses: Training losses (checkpoint), computed from the weights.
        accuracy: The share of test samples that the last weights classify correctly.
    """

    vectors: np.ndarray
    eigenvalues: np.ndarray
    weights: np.ndarray
    gradients: np.ndarray
    updates: np.ndarray
    losses: np.ndarray
    accuracy: float


Runs = dict[tuple[str, str, int], Run]


@pytest.fixture(scope="module")
def runs(results: Path) -> Runs:
    samples = {name: [samples_of(results, name, part) for part in ("train", "test")] for name in DATASETS}

    def read(dataset: str, optimizer: str, seed: int) -> Run:
        path = run_of(results, dataset, optimizer, seed)
        pairs, trajectory = arrays(path / "eigenpairs.zarr"), arrays(path / "trajectory.zarr")
        assert tuple(pairs["step"]) == tuple(trajectory["step"]) == STEPS
        weights, (train, test) = trajectory["weights"], samples[dataset]
        return Run(
            eigenvectors(path / "eigenpairs.zarr"),
            np.where(pairs["converged"], pairs["eigenvalue"], np.nan),
            *(trajectory[name].astype(float) for name in ("weights", "gradient", "update")),
            np.array([evaluate(at, *train)[0] for at in weights]),
            evaluate(weights[-1], *test)[1],
        )

    return {key: read(*key) for key in product(DATASETS, OPTIMIZERS, SEEDS)}


@pytest.fixture(scope="module")
def draws(results: Path) -> dict[str, np.ndarray]:
    """The converged leading eigenvectors of the null model's draws (draw, parameter), by data set."""
    vectors = {dataset: eigenvectors(null_of(results, dataset))[:, 0] for dataset in DATASETS}
    return {dataset: found[np.isfinite(found).all(1)] for dataset, found in vectors.items()}


def assert_rows(shown: pd.DataFrame, keys: list[str], expected: Rows, rel: float = 1e-9) -> None:
    """Check that a table has exactly these rows, in any order."""
    found = {tuple(row[key] for key in keys): row for row in shown.to_dict("records")}
    assert len(found) == len(shown)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        for name, value in values.items():
            assert found[key][name] == pytest.approx(value, rel=rel, abs=1e-9), (key, name)


def over_seeds(values: list[float]) -> dict[str, float]:
    there = [value for value in values if math.isfinite(value)]
    mean = sum(there) / len(there)
    return {"mean": mean, "minimum": min(there), "maximum": max(there), "seeds": len(there)}


def band_of(values: Any) -> dict[str, float]:
    return dict(zip(("low", "median", "high"), quantiles(values), strict=True))


def intervals(value: Callable[[str, int, int, int], float]) -> Rows:
    """Return the means over seeds of a value that depends on the optimizer, the seed and two checkpoints."""
    expected: Rows = {}
    for optimizer, waiting, step in product(OPTIMIZERS, WAITING_TIMES, STEPS):
        if step > waiting:
            start, end = STEPS.index(waiting), STEPS.index(step)
            band = over_seeds([value(optimizer, seed, start, end) for seed in SEEDS])
            expected[optimizer, waiting, step - waiting] = {key: band[key] for key in ("mean", "seeds")}
    return expected


OVER_TIME = ["optimizer", "waiting_time", "lag"]


@pytest.mark.parametrize(("name", "dataset"), [("fig01_displacement", "digits"), ("fig09_displacement", "mnist5k")])
def test_fig01_and_fig09_show_the_displacement_between_stored_eigenvectors(
    results: Path, runs: Runs, draws: dict[str, np.ndarray], name: str, dataset: str
) -> None:
    def displacement(optimizer: str, seed: int, start: int, end: int) -> float:
        vectors = runs[dataset, optimizer, seed].vectors[:, 0]
        return float(moved(vectors[start], vectors[end]))

    assert_rows(table(results, name, "displacement"), OVER_TIME, intervals(displacement))
    null = band_of([moved(one, other) for one, other in combinations(draws[dataset], 2)])
    isotropic = {"mean": 2 * (1 - mean_overlap(PARAMETERS[dataset]))}
    for quantity, row in (("baseline", null), ("isotropic", isotropic)):
        assert_rows(table(results, name, quantity), ["optimizer"], {(key,): row for key in OPTIMIZERS})


def test_fig02_shows_every_checkpoint_rank_and_run(results: Path, runs: Runs) -> None:
    expected: Rows = {}
    for (dataset, optimizer, seed), run in runs.items():
        for (at, step), rank in product(enumerate(STEPS), RANKS):
            vector = run.vectors[at, rank - 1]
            aligned = {
                f"{name}_alignment": abs(direction[at] @ vector) / np.linalg.norm(direction[at])
                for name, direction in (("gradient", run.gradients), ("update", run.updates))
            }
            if np.isfinite(list(aligned.values())).all():
                expected[dataset, optimizer, seed, step, rank] = aligned
    shown = table(results, "fig02_alignment")
    assert_rows(shown, ["dataset", "optimizer", "seed", "step", "rank"], expected)
    differences = (shown["update_alignment"] - shown["gradient_alignment"]).abs()
    # The update of plain SGD is parallel to the gradient, up to the rounding of float32 weights.
    assert differences[shown["optimizer"] == "sgd"].max() < 1e-3
    assert differences[shown["optimizer"] == "adam"].max() > 0.05


# Figure, quantity, the quantity's value in a run by checkpoint and rank, ranks, and relative tolerance. The losses need
# a larger tolerance because training computes in float32.
BANDS: list[tuple[str, str | None, Callable[[Run, int, int], float], tuple[int, ...], float]] = [
    (
        "fig03_localization",
        "inverse_participation_ratio",
        lambda run, at, rank: float(ipr(run.vectors[at, rank])),
        (1,),
        1e-9,
    ),
    ("fig04_training_loss", None, lambda run, at, _: run.losses[at], (1,), 1e-5),
    ("fig06_eigenvalues", None, lambda run, at, rank: run.eigenvalues[at, rank], RANKS, 1e-9),
    (
        "fig07_convergence",
        None,
        lambda run, at, rank: abs(run.vectors[at, rank] @ run.vectors[-1, rank]),
        RANKS,
        1e-9,
    ),
]


@pytest.mark.parametrize(("name", "quantity", "value", "ranks", "rel"), BANDS, ids=[one[0] for one in BANDS])
def test_bands_over_seeds_agree_with_the_stores(
    results: Path,
    runs: Runs,
    name: str,
    quantity: str | None,
    value: Callable[[Run, int, int], float],
    ranks: tuple[int, ...],
    rel: float,
) -> None:
    expected: Rows = {}
    for dataset, optimizer, rank, (at, step) in product(DATASETS, OPTIMIZERS, ranks, enumerate(STEPS)):
        values = [value(runs[dataset, optimizer, seed], at, rank - 1) for seed in SEEDS]
        if any(map(math.isfinite, values)):
            expected[dataset, optimizer, rank, step] = over_seeds(values)
    shown = table(results, name, quantity)
    shown = shown if ranks == RANKS else shown.assign(rank=1)
    assert_rows(shown, ["dataset", "optimizer", "rank", "step"], expected, rel)


def test_fig03_shows_the_null_model_and_isotropic_vectors(results: Path, draws: dict[str, np.ndarray]) -> None:
    null = {(dataset,): band_of(ipr(draws[dataset])) for dataset in DATASETS}
    assert_rows(table(results, "fig03_localization", "baseline"), ["dataset"], null)
    isotropic = {(dataset,): {"mean": 3 / (PARAMETERS[dataset] + 2)} for dataset in DATASETS}
    assert_rows(table(results, "fig03_localization", "isotropic"), ["dataset"], isotropic)


def test_fig05_shows_the_accuracy_of_the_last_weights(results: Path, runs: Runs) -> None:
    expected = {key: {"test_accuracy": run.accuracy} for key, run in runs.items()}
    assert_rows(table(results, "fig05_test_accuracy"), ["dataset", "optimizer", "seed"], expected)


def test_fig10_is_the_mean_square_movement_of_the_weights(results: Path, runs: Runs) -> None:
    def movement(optimizer: str, seed: int, start: int, end: int) -> float:
        weights = runs["digits", optimizer, seed].weights
        return float(np.mean((weights[end] - weights[start]) ** 2))

    assert_rows(table(results, "fig10_weight_displacement"), OVER_TIME, intervals(movement))


def test_fig11_is_the_cosine_of_the_weight_change_and_the_earlier_eigenvector(results: Path, runs: Runs) -> None:
    def cosine(optimizer: str, seed: int, start: int, end: int) -> float:
        run = runs["digits", optimizer, seed]
        return float(abs(unit(run.weights[end] - run.weights[start]) @ run.vectors[start, 0]))

    shown = table(results, "fig11_weight_change_alignment")
    isotropic = shown["quantity"] == "isotropic"
    assert shown[isotropic]["mean"].tolist() == pytest.approx(2 * [mean_overlap(610)], rel=1e-9)
    assert_rows(shown[~isotropic], OVER_TIME, intervals(cosine))


def test_fig12_has_signs_relative_to_the_gradient(results: Path, runs: Runs) -> None:
    expected: Rows = {}
    for optimizer, (at, step), rank in product(OPTIMIZERS, enumerate(STEPS), RANKS):
        run = runs["digits", optimizer, 0]
        vector = run.vectors[at, rank - 1]
        gradient, update = unit(run.gradients[at]) @ vector, unit(run.updates[at]) @ vector
        expected[optimizer, step, rank] = {
            "gradient_alignment": abs(gradient),
            "update_alignment": np.sign(gradient) * update,
        }
    shown = table(results, "fig12_raw_alignment")
    assert_rows(shown, ["optimizer", "step", "rank"], expected)
    sgd = shown[shown["optimizer"] == "sgd"]
    np.testing.assert_allclose(sgd["update_alignment"], -sgd["gradient_alignment"], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "dataset"), [("fig13_alignment_means", "digits"), ("fig14_alignment_means", "mnist5k")]
)
def test_fig13_and_fig14_are_means_over_checkpoints(results: Path, runs: Runs, name: str, dataset: str) -> None:
    shown = table(results, name)
    assert set(shown["dataset"]) == {dataset}
    isotropic = shown["quantity"] == "isotropic"
    overlap = mean_overlap(PARAMETERS[dataset])
    assert shown[isotropic]["mean"].tolist() == pytest.approx(2 * [overlap], rel=1e-9)
    expected: Rows = {}
    for optimizer, seed, rank in product(OPTIMIZERS, SEEDS, RANKS):
        run = runs[dataset, optimizer, seed]
        for direction, motion in (("gradient", run.gradients), ("update", run.updates)):
            cosines = np.abs((unit(motion) * run.vectors[:, rank - 1]).sum(1))
            expected[f"{direction}_alignment", optimizer, seed, rank] = {
                "mean": float(np.nanmean(cosines)),
                "checkpoints": np.isfinite(cosines).sum(),
            }
    assert_rows(shown[~isotropic], ["quantity", "optimizer", "seed", "rank"], expected)


def test_fig15_shows_the_inverse_participation_ratio_of_every_rank(results: Path, draws: dict[str, np.ndarray]) -> None:
    shown = table(results, "fig15_wide_localization")
    expected: Rows = {}
    for optimizer in OPTIMIZERS:
        ratios = ipr(eigenvectors(run_of(results, "digits", optimizer) / "wide/eigenpairs.zarr"))
        assert ratios.shape[1] == 5
        for (checkpoint, index), value in np.ndenumerate(ratios):
            if np.isfinite(value):
                expected[optimizer, index + 1, STEPS[::2][checkpoint]] = {"value": value}
    found = shown[shown["quantity"] == "inverse_participation_ratio"]
    assert_rows(found, ["optimizer", "rank", "step"], expected)
    assert shown[shown["quantity"] == "isotropic"]["mean"].tolist() == pytest.approx(2 * [3 / 612])
    baseline = shown[shown["quantity"] == "baseline"][["low", "median", "high"]].to_numpy()
    np.testing.assert_allclose(baseline, 2 * [quantiles(ipr(draws["digits"]))])


def test_fig16_shows_the_last_leading_eigenvector_in_the_shapes_of_the_layers(results: Path) -> None:
    shown = table(results, "fig16_leading_eigenvector")
    # Layer, units and inputs; the biases follow the weights of their layer.
    parts = [(1, 8, 64), (1, 8, None), (2, 10, 8), (2, 10, None)]
    places = [
        (layer, row, column)
        for layer, units, inputs in parts
        for row in range(units)
        for column in (range(inputs) if inputs else [-1])
    ]
    first = None
    for optimizer in OPTIMIZERS:
        vector = arrays(run_of(results, "digits", optimizer) / "eigenpairs.zarr")["eigenvector"][-1, 0]
        vector = vector * np.sign(vector[np.abs(vector).argmax()] if first is None else vector @ first)
        first = vector if first is None else first
        rows = shown[shown["optimizer"] == optimizer]
        assert rows["parameter"].tolist() == list(range(610))
        np.testing.assert_allclose(rows["value"], vector, rtol=1e-6)
        columns = rows["column"].fillna(-1).astype(int)
        assert list(zip(rows["layer"], rows["row"], columns, strict=True)) == places

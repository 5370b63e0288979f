"""Figures 1 to 7 and 9 of the smoke study, against their numbers computed anew from the stores."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from itertools import combinations, product
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from clone import Clone
from figure_checks import check_labels, check_legend

from eigendrift.figures.declarations import FIGURES as DECLARED
from eigendrift.figures.parts import Plotted
from eigendrift.figures.style import house_style
from eigendrift.metrics.collection import collect

pytestmark = pytest.mark.xdist_group("smoke")

DATASETS = ("digits", "mnist5k")
PARAMETERS = {"digits": 64 * 8 + 8 + 8 * 10 + 10, "mnist5k": 784 * 8 + 8 + 8 * 10 + 10}
SETTINGS = {"sgd": "batch64-lr0.05", "adam": "batch64-lr0.001"}
SEEDS = (0, 1)
STEPS = (0, 10, 20, 30, 40, 50, 60)
RANKS = (1, 2, 3)
WAITING_TIMES = (0, 20, 50)
# Name and settings.
FIGURES: dict[str, dict[str, Any]] = {
    "fig01_displacement": {"dataset": "digits", "waiting_times": 3},
    "fig02_alignment": {},
    "fig03_localization": {},
    "fig04_training_loss": {},
    "fig05_test_accuracy": {},
    "fig06_eigenvalues": {},
    "fig07_convergence": {},
    "fig09_displacement": {"dataset": "mnist5k", "waiting_times": 3},
}

Rows = dict[tuple[Any, ...], dict[str, float]]


@dataclass(frozen=True)
class Run:
    """One run, in float64: eigenvectors and eigenvalues by checkpoint and rank, NaN where not converged."""

    vectors: np.ndarray
    eigenvalues: np.ndarray
    gradients: np.ndarray
    updates: np.ndarray
    losses: np.ndarray
    accuracy: float


Runs = dict[tuple[str, str, int], Run]


@pytest.fixture(scope="module")
def results(smoke: Clone) -> Path:
    return smoke.path / "results/smoke"


def opened(path: Path) -> xr.Dataset:
    return xr.open_zarr(path).load()


def unit(vectors: np.ndarray, converged: np.ndarray) -> np.ndarray:
    wide = vectors.astype(np.float64)
    wide[~converged] = np.nan
    return wide / np.sqrt((wide**2).sum(-1, keepdims=True))


def logits(weights: np.ndarray, images: np.ndarray) -> np.ndarray:
    """A perceptron with 8 hidden units; its weights stand layer by layer, each matrix before its biases."""
    inputs = images.reshape(len(images), -1).astype(np.float64)
    sizes = np.cumsum([8 * inputs.shape[1], 8, 10 * 8, 10])
    matrix, bias, last_matrix, last_bias = np.split(weights.astype(np.float64), sizes[:-1])
    hidden = np.maximum(inputs @ matrix.reshape(8, -1).T + bias, 0)
    return hidden @ last_matrix.reshape(10, 8).T + last_bias


def cross_entropy(outputs: np.ndarray, labels: np.ndarray) -> float:
    shifted = outputs - outputs.max(1, keepdims=True)
    chosen = shifted[np.arange(len(labels)), labels]
    return float((np.log(np.exp(shifted).sum(1)) - chosen).mean())


@pytest.fixture(scope="module")
def runs(results: Path) -> Runs:
    samples = {name: opened(results / f"data/{name}.zarr") for name in DATASETS}

    def read(dataset: str, optimizer: str, seed: int) -> Run:
        path = results / f"runs/{dataset}/mlp-8/{optimizer}/{SETTINGS[optimizer]}/seed{seed}"
        pairs, trajectory = opened(path / "eigenpairs.zarr"), opened(path / "trajectory.zarr")
        assert tuple(pairs["step"].values) == tuple(trajectory["step"].values) == STEPS
        converged, weights = pairs["converged"].values, trajectory["weights"].values
        data = samples[dataset]
        images, labels = data["train_images"].values, data["train_labels"].values
        guesses = logits(weights[-1], data["test_images"].values).argmax(1)
        return Run(
            unit(pairs["eigenvector"].values, converged),
            np.where(converged, pairs["eigenvalue"].values, np.nan),
            trajectory["gradient"].values.astype(np.float64),
            trajectory["update"].values.astype(np.float64),
            np.array([cross_entropy(logits(at, images), labels) for at in weights]),
            float((guesses == data["test_labels"].values).mean()),
        )

    return {key: read(*key) for key in product(DATASETS, SETTINGS, SEEDS)}


@pytest.fixture(scope="module")
def leading_draws(results: Path) -> dict[str, np.ndarray]:
    """The leading eigenvectors of the null model's draws, for each data set (draw, parameter)."""

    def read(dataset: str) -> np.ndarray:
        draws = opened(results / f"null/{dataset}/mlp-8/reinitialized.zarr")
        vectors = unit(draws["eigenvector"].values, draws["converged"].values)[:, 0]
        return vectors[np.isfinite(vectors).all(1)]

    return {dataset: read(dataset) for dataset in DATASETS}


def table(results: Path, name: str, quantity: str | None = None) -> pd.DataFrame:
    content = pd.read_csv(results / f"figures/{name}.csv")
    return content if quantity is None else content[content["quantity"] == quantity]


def assert_rows(shown: pd.DataFrame, keys: list[str], expected: Rows, rel: float = 1e-9) -> None:
    """Compare a table with the rows that it must have, no more and no fewer, whatever their order."""
    found = {tuple(row[key] for key in keys): row for row in shown.to_dict("records")}
    assert len(found) == len(shown)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        for name, value in values.items():
            assert found[key][name] == pytest.approx(value, rel=rel, abs=1e-9), (key, name)


def over_seeds(values: list[float]) -> dict[str, float]:
    there = [value for value in values if math.isfinite(value)]
    return {
        "mean": sum(there) / len(there),
        "minimum": min(there),
        "maximum": max(there),
        "seeds": len(there),
    }


def moved(one: np.ndarray, other: np.ndarray) -> float:
    return min(float(((other - sign * one) ** 2).sum()) for sign in (1, -1))


def quantiles(values: list[float]) -> dict[str, float]:
    low, median, high = np.quantile(values, [0.05, 0.5, 0.95])
    return {"low": low, "median": median, "high": high}


@pytest.mark.parametrize(
    ("name", "dataset"), [("fig01_displacement", "digits"), ("fig09_displacement", "mnist5k")]
)
def test_fig01_and_fig09_show_the_displacement_between_stored_eigenvectors(
    results: Path, runs: Runs, leading_draws: dict[str, np.ndarray], name: str, dataset: str
) -> None:
    expected: Rows = {}
    for optimizer, waiting, step in product(SETTINGS, WAITING_TIMES, STEPS):
        if step > waiting:
            one, other = STEPS.index(waiting), STEPS.index(step)
            vectors = [runs[dataset, optimizer, seed].vectors[:, 0] for seed in SEEDS]
            band = over_seeds([moved(at[one], at[other]) for at in vectors])
            expected[optimizer, waiting, step - waiting] = {key: band[key] for key in ("mean", "seeds")}
    assert_rows(table(results, name, "displacement"), ["optimizer", "waiting_time", "lag"], expected)

    draws = leading_draws[dataset]
    null = quantiles([moved(one, other) for one, other in combinations(draws, 2)])
    assert_rows(
        table(results, name, "baseline"), ["optimizer"], {(optimizer,): null for optimizer in SETTINGS}
    )
    half = PARAMETERS[dataset] / 2
    overlap = math.exp(math.lgamma(half) - math.lgamma(half + 0.5)) / math.sqrt(math.pi)
    isotropic = {(optimizer,): {"mean": 2 * (1 - overlap)} for optimizer in SETTINGS}
    assert_rows(table(results, name, "isotropic"), ["optimizer"], isotropic)


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


def bands(runs: Runs, value: Callable[[Run, int, int], float], ranks: tuple[int, ...] = (1,)) -> Rows:
    """The band over seeds of each data set, optimizer, rank and step."""
    expected: Rows = {}
    for dataset, optimizer, rank, (at, step) in product(DATASETS, SETTINGS, ranks, enumerate(STEPS)):
        values = [value(runs[dataset, optimizer, seed], at, rank - 1) for seed in SEEDS]
        if any(map(math.isfinite, values)):
            expected[dataset, optimizer, rank, step] = over_seeds(values)
    return expected


def test_fig03_shows_the_inverse_participation_ratio_of_stored_eigenvectors(
    results: Path, runs: Runs, leading_draws: dict[str, np.ndarray]
) -> None:
    name, quantity = "fig03_localization", "inverse_participation_ratio"
    expected = bands(runs, lambda run, at, rank: float((run.vectors[at, rank] ** 4).sum()))
    shown = table(results, name, quantity).assign(rank=1)
    assert_rows(shown, ["dataset", "optimizer", "rank", "step"], expected)
    null = {(dataset,): quantiles(list((leading_draws[dataset] ** 4).sum(1))) for dataset in DATASETS}
    assert_rows(table(results, name, "baseline"), ["dataset"], null)
    isotropic = {(dataset,): {"mean": 3 / (PARAMETERS[dataset] + 2)} for dataset in DATASETS}
    assert_rows(table(results, name, "isotropic"), ["dataset"], isotropic)


def test_fig04_shows_the_loss_of_the_stored_weights(results: Path, runs: Runs) -> None:
    expected = bands(runs, lambda run, at, _: run.losses[at])
    shown = table(results, "fig04_training_loss").assign(rank=1)
    # Training computes in float32.
    assert_rows(shown, ["dataset", "optimizer", "rank", "step"], expected, rel=1e-5)


def test_fig05_shows_the_accuracy_of_the_last_weights(results: Path, runs: Runs) -> None:
    expected = {key: {"test_accuracy": run.accuracy} for key, run in runs.items()}
    assert_rows(table(results, "fig05_test_accuracy"), ["dataset", "optimizer", "seed"], expected)


def test_fig06_shows_the_stored_eigenvalues(results: Path, runs: Runs) -> None:
    expected = bands(runs, lambda run, at, rank: run.eigenvalues[at, rank], RANKS)
    assert_rows(table(results, "fig06_eigenvalues"), ["dataset", "optimizer", "rank", "step"], expected)


def test_fig07_shows_the_overlap_with_the_last_eigenvectors(results: Path, runs: Runs) -> None:
    expected = bands(runs, lambda run, at, rank: abs(run.vectors[at, rank] @ run.vectors[-1, rank]), RANKS)
    assert_rows(table(results, "fig07_convergence"), ["dataset", "optimizer", "rank", "step"], expected)


@pytest.fixture(params=FIGURES)
def drawn(request: pytest.FixtureRequest, results: Path) -> Iterator[tuple[str, Plotted]]:
    paths = [
        results / f"runs/{dataset}/mlp-8/{optimizer}/{SETTINGS[optimizer]}/seed{seed}/metrics.zarr"
        for dataset, optimizer, seed in product(DATASETS, SETTINGS, SEEDS)
    ]
    baselines = [results / f"null/{dataset}/mlp-8/reinitialized-baseline.zarr" for dataset in DATASETS]
    with house_style({}):
        yield request.param, DECLARED[request.param].draw(collect(paths, baselines), **FIGURES[request.param])
    plt.close("all")


def test_axes_are_labelled_and_the_legend_is_complete(drawn: tuple[str, Plotted]) -> None:
    name, plotted = drawn
    check_labels(plotted.figure)
    if name != "fig05_test_accuracy":  # its ticks name the optimizers
        check_legend(plotted.figure)


def test_the_file_is_what_the_module_draws(drawn: tuple[str, Plotted], results: Path) -> None:
    name, plotted = drawn
    again = pd.read_csv(StringIO(plotted.table.to_csv(index=False)))
    pd.testing.assert_frame_equal(again, table(results, name), check_dtype=False)

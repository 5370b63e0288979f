"""Extensions 4 to 6 of the smoke study, against their numbers computed anew from the stores."""

from itertools import product
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from clone import Clone
from scipy.stats import spearmanr

pytestmark = pytest.mark.xdist_group("smoke")

PIXELS = {"digits": 64, "mnist5k": 784}
SETTINGS = {"sgd": "batch64-lr0.05", "adam": "batch64-lr0.001"}
SEEDS = (0, 1)
# Late checkpoints, and late pairs of checkpoints at the claims' lag, a third of 60 steps.
LATE = slice(3, None)
LATE_WAITING = (2, 3, 4)
LAG = 2


@pytest.fixture(scope="module")
def results(smoke: Clone) -> Path:
    return smoke.path / "results/smoke"


def table(results: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(results / f"figures/{name}.csv")


def leading(store: Path) -> np.ndarray:
    """The leading eigenvectors, in float64, of unit length; NaN where not converged."""
    pairs = xr.open_zarr(store).load()
    vectors = pairs["eigenvector"].values[:, 0].astype(float)
    vectors[~pairs["converged"].values[:, 0]] = np.nan
    return vectors / np.sqrt((vectors**2).sum(-1, keepdims=True))


def run_of(results: Path, dataset: str, optimizer: str, seed: int) -> Path:
    return results / f"runs/{dataset}/mlp-8/{optimizer}/{SETTINGS[optimizer]}/seed{seed}"


def by_neuron(vector: np.ndarray, dataset: str) -> list[tuple[np.ndarray, int, int]]:
    """Of each layer the mass of its neurons, and how many parameters a neuron and the layer have."""
    squares, pixels = vector**2, PIXELS[dataset]
    first, bias, last, last_bias = np.split(squares, np.cumsum([8 * pixels, 8, 80]))
    return [
        (first.reshape(8, pixels).sum(1) + bias, pixels + 1, 8 * (pixels + 1)),
        (last.reshape(10, 8).sum(1) + last_bias, 9, 90),
    ]


def logarithms(vector: np.ndarray, dataset: str) -> np.ndarray:
    """Of N times what layers, neurons, and single weights make of the inverse participation ratio."""
    parts = by_neuron(vector, dataset)
    layers = sum(mass.sum() ** 2 / size for mass, _, size in parts)
    neurons = sum((mass**2).sum() / each for mass, each, _ in parts)
    return np.log10(len(vector) * np.array([layers, neurons, (vector**4).sum()]))


@pytest.mark.parametrize("dataset", PIXELS)
def test_ext04_splits_the_localization_of_runs_and_draws(results: Path, dataset: str) -> None:
    shown = table(results, "ext04_anatomy").query("dataset == @dataset")
    shown = shown.assign(optimizer=shown["optimizer"].fillna(""))
    values = shown[shown["layer"].isna() & shown["step"].isna()].set_index(
        ["networks", "optimizer", "quantity"]
    )["value"]
    vectors = {
        ("late", optimizer): np.concatenate(
            [leading(run_of(results, dataset, optimizer, seed) / "eigenpairs.zarr")[LATE] for seed in SEEDS]
        )
        for optimizer in SETTINGS
    }
    vectors["reinitialized", ""] = leading(results / f"null/{dataset}/mlp-8/reinitialized.zarr")
    vectors["isotropic", ""] = leading(results / f"null/{dataset}/mlp-8/isotropic.zarr")
    permuted = leading(results / f"null/{dataset}/mlp-8/permuted.zarr")
    vectors |= {("permuted", name): permuted[place::2] for place, name in enumerate(SETTINGS)}
    for (networks, optimizer), every in vectors.items():
        expected = np.mean([logarithms(vector, dataset) for vector in every], axis=0)
        found = [values[networks, optimizer, f"log10 part of {g}"] for g in ("layers", "neurons", "weights")]
        np.testing.assert_allclose(np.cumsum(found), expected, rtol=1e-6)
        assert values[networks, optimizer, "log10 of N × IPR"] == pytest.approx(expected[-1], rel=1e-6)
        assert min(found) >= 0


@pytest.mark.parametrize("dataset", PIXELS)
def test_ext04_shows_shares_of_layers_neurons_and_the_top(results: Path, dataset: str) -> None:
    shown = table(results, "ext04_anatomy").query("dataset == @dataset")
    for optimizer in SETTINGS:
        every = [leading(run_of(results, dataset, optimizer, seed) / "eigenpairs.zarr") for seed in SEEDS]
        late = [by_neuron(vector, dataset) for vectors in every for vector in vectors[LATE]]
        own = shown[(shown["optimizer"] == optimizer) & (shown["networks"] == "late")]
        for layer, neurons in ((1, 8), (2, 10)):
            values = own[own["layer"] == layer].set_index("quantity")["value"]
            masses = [parts[layer - 1][0] for parts in late]
            assert values["share"] == pytest.approx(np.mean([mass.sum() for mass in masses]), rel=1e-6)
            effective = [mass.sum() ** 2 / (mass**2).sum() / neurons for mass in masses]
            assert values["effective neurons over neurons"] == pytest.approx(np.mean(effective), rel=1e-6)
        own_top = shown[(shown["optimizer"] == optimizer) & (shown["quantity"] == "top share")]
        count = -(-every[0].shape[1] // 100)
        expected = np.mean([np.sort(vectors**2, axis=1)[:, -count:].sum(1) for vectors in every], axis=0)
        np.testing.assert_allclose(own_top["mean"], expected, rtol=1e-6)
        assert list(own_top["step"]) == list(range(0, 61, 10))
    sizes = shown[shown["networks"] == "parameters"]["value"].to_numpy()
    inputs = 8 * (PIXELS[dataset] + 1)
    np.testing.assert_allclose(sizes, np.array([inputs, 90]) / (inputs + 90))


def test_ext05_shows_the_stored_eigenvectors_of_both_hessians(results: Path) -> None:
    shown = table(results, "ext05_preconditioned")
    for dataset, hessian in product(PIXELS, ("plain", "preconditioned")):
        folder = "preconditioned/" if hessian == "preconditioned" else ""
        every = [
            leading(run_of(results, dataset, "adam", seed) / f"{folder}eigenpairs.zarr") for seed in SEEDS
        ]
        rows = shown.query("dataset == @dataset and optimizer == 'adam' and hessian == @hessian")
        rows = rows.set_index("quantity")
        moved = [2 - 2 * np.abs((one[:-LAG] * one[LAG:]).sum(1)) for one in every]
        np.testing.assert_allclose(rows.loc["displacement", "mean"], np.mean(moved, axis=0), atol=1e-6)
        ratios = np.mean([(one**4).sum(1) for one in every], axis=0)
        np.testing.assert_allclose(rows.loc["inverse_participation_ratio", "mean"], ratios, rtol=1e-5)


def test_ext05_shows_eigenvalues_of_the_preconditioned_hessian_over_the_threshold(results: Path) -> None:
    """Each eigenvalue is also the Rayleigh quotient that a difference of gradients gives."""
    shown = table(results, "ext05_preconditioned").query("quantity == 'eigenvalue over threshold'")
    for dataset in PIXELS:
        stores = [run_of(results, dataset, "adam", seed) / "preconditioned/eigenpairs.zarr" for seed in SEEDS]
        values = np.mean([xr.open_zarr(store)["eigenvalue"].values[:, 0] for store in stores], axis=0)
        own = shown.query("dataset == @dataset and hessian == 'preconditioned'")
        np.testing.assert_allclose(own["threshold"], 38 / 0.001)
        np.testing.assert_allclose(own["mean"], values * 0.001 / 38)
        sgd = shown.query("dataset == @dataset and optimizer == 'sgd'")
        np.testing.assert_allclose(sgd["threshold"], 2 / 0.05)
        trajectory = xr.open_zarr(run_of(results, dataset, "adam", 0) / "trajectory.zarr").load()
        data = xr.open_zarr(results / f"data/{dataset}.zarr").load()
        for checkpoint in (0, 3, 6):
            expected = quotient(trajectory, data, stores[0], checkpoint, dataset)
            value = float(xr.open_zarr(stores[0])["eigenvalue"][checkpoint, 0])
            assert value == pytest.approx(expected, rel=5e-3)


def gradient(weights: np.ndarray, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of the mean cross-entropy of a perceptron with 8 hidden units, written out."""
    sizes = np.cumsum([8 * images.shape[1], 8, 80])
    first, bias, last, last_bias = np.split(weights, sizes)
    first, last = first.reshape(8, -1), last.reshape(10, 8)
    hidden = np.maximum(images @ first.T + bias, 0)
    outputs = hidden @ last.T + last_bias
    error = np.exp(outputs - outputs.max(1, keepdims=True))
    error /= error.sum(1, keepdims=True)
    error[np.arange(len(labels)), labels] -= 1
    error /= len(labels)
    behind = (error @ last) * (hidden > 0)
    parts = (behind.T @ images, behind.sum(0), error.T @ hidden, error.sum(0))
    return np.concatenate([part.ravel() for part in parts])


def quotient(trajectory: xr.Dataset, data: xr.Dataset, store: Path, checkpoint: int, dataset: str) -> float:
    """uᵀ P^(−1/2) H P^(−1/2) u, P written out, H by differences."""
    u = leading(store)[checkpoint]
    step = 10 * checkpoint
    g = trajectory["gradient"].values[checkpoint].astype(float)
    v = 0.999 * trajectory["second_moment"].values[checkpoint].astype(float) + 0.001 * g**2
    diagonal = (1 - 0.9 ** (step + 1)) * (np.sqrt(v / (1 - 0.999 ** (step + 1))) + 1e-8)
    direction = u / np.sqrt(diagonal)
    weights = trajectory["weights"].values[checkpoint].astype(float)
    images = data["train_images"].values.reshape(-1, PIXELS[dataset]).astype(float)
    labels = data["train_labels"].values
    h = 1e-7 / np.linalg.norm(direction)
    ends = [gradient(weights + sign * h * direction, images, labels) for sign in (1, -1)]
    return float(direction @ (ends[0] - ends[1]) / (2 * h))


def test_ext06_has_a_row_for_every_run_and_the_correlations_of_them(results: Path) -> None:
    shown = table(results, "ext06_flatness")
    points = shown[shown["quantity"] == "run"]
    stores = sorted((results / "runs").glob("*/*/*/*/seed?/eigenpairs.zarr"))
    assert len(points) == len(stores) > 8
    keys = ["dataset", "optimizer", "batch_size", "learning_rate", "seed"]
    points = points.astype({"seed": int})
    found = {tuple(str(row[key]) for key in keys): row for row in points.to_dict("records")}
    for store in stores:
        run = store.parent
        dataset, _, optimizer, setting, seed = run.parts[-5:]
        batch, rate = setting.removeprefix("batch").split("-lr")
        row = found[dataset, optimizer, batch, rate, seed.removeprefix("seed")]
        vectors, pairs = leading(store), xr.open_zarr(store)
        # The mean over late waiting times 30, 40 and 50 of 60 steps, each to the next checkpoint.
        moved = [2 - 2 * abs(vectors[index] @ vectors[index + LAG]) for index in LATE_WAITING]
        assert row["displacement"] == pytest.approx(np.mean(moved), abs=1e-6)
        assert row["eigenvalue"] == pytest.approx(float(pairs["eigenvalue"][-1, 0]))
        accuracy = float(xr.open_zarr(run / "trajectory.zarr")["test_accuracy"][-1])
        assert row["accuracy"] == pytest.approx(accuracy)
    pooled = shown[shown["runs_compared"] == "all runs, pooled"].set_index(["x", "y"])["coefficient"]
    expected = spearmanr(points["displacement"], points["accuracy"]).statistic
    assert pooled["displacement", "accuracy"] == pytest.approx(expected)


def test_ext06_correlates_within_blocks(results: Path) -> None:
    shown = table(results, "ext06_flatness")
    points = shown[shown["quantity"] == "run"]
    rows = shown.set_index(["x", "y", "runs_compared"])
    # Digits has four settings of each optimizer; with two seeds there is no block of enough.
    assert (rows.xs("seeds vary", level=2)["units"] == 0).all()
    own = points[points["dataset"] == "digits"]
    means = own.groupby(["optimizer", "batch_size", "learning_rate"])[["displacement", "eigenvalue"]].mean()
    each = [
        spearmanr(means.loc[name, "displacement"], means.loc[name, "eigenvalue"]).statistic
        for name in ("sgd", "adam")
    ]
    found = rows.loc[("displacement", "eigenvalue", "settings vary")]
    assert (found["units"], found["blocks"]) == (8, 2)
    assert found["coefficient"] == pytest.approx(np.mean(each))
    assert found["low"] <= found["coefficient"] <= found["high"]


@pytest.mark.parametrize("name", ["ext04_anatomy", "ext05_preconditioned", "ext06_flatness"])
def test_the_pictures_are_not_blank(results: Path, name: str) -> None:
    picture = matplotlib.image.imread(results / f"figures/{name}.png")
    assert (picture[..., :3].min(-1) < 0.9).mean() > 0.01

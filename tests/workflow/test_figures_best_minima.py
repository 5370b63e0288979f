"""Figure 8 of the smoke study, against its numbers computed anew from the stores."""

import math
from io import StringIO
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import zarr
from clone import Clone
from figure_checks import check_labels, check_picture

from eigendrift.figures.curvature import draw_minima, read_minima
from eigendrift.figures.style import house_style

pytestmark = pytest.mark.xdist_group("smoke")

USUAL = {"sgd": "batch64-lr0.05", "adam": "batch64-lr0.001"}
NAME = "fig08_minima"


@pytest.fixture(scope="module")
def results(smoke: Clone) -> Path:
    return smoke.path / "results/smoke"


@pytest.fixture(scope="module")
def table(results: Path) -> pd.DataFrame:
    return pd.read_csv(results / f"figures/{NAME}.csv")


def arrays(store: Path) -> dict[str, np.ndarray]:
    return {name: np.asarray(array) for name, array in zarr.open_group(store, mode="r").arrays()}


@pytest.fixture(scope="module")
def digits(results: Path) -> tuple[np.ndarray, np.ndarray]:
    """Training and test samples together: images (sample, pixel) and labels."""
    data = arrays(results / "data/digits.zarr")
    images = np.concatenate([data["train_images"], data["test_images"]]).astype(float)
    return images.reshape(len(images), -1), np.concatenate([data["train_labels"], data["test_labels"]])


def gradient(weights: np.ndarray, images: np.ndarray, labels: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Mean cross-entropy, accuracy and gradient of a perceptron with 8 hidden units, by hand."""
    first, bias, second, last = np.split(weights, np.cumsum([8 * images.shape[1], 8, 80]))
    hidden = np.maximum(images @ first.reshape(8, -1).T + bias, 0)
    scores = hidden @ second.reshape(10, 8).T + last
    scores -= scores.max(1, keepdims=True)
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    right = np.eye(10)[labels]
    loss = -float(np.log((shares * right).sum(1)).mean())
    above = (shares - right) / len(labels)
    below = (above @ second.reshape(10, 8)) * (hidden > 0)
    parts = (below.T @ images, below.sum(0), above.T @ hidden, above.sum(0))
    accuracy = float((scores.argmax(1) == labels).mean())
    return loss, accuracy, np.concatenate([part.ravel() for part in parts])


def hessian(weights: np.ndarray, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The Hessian by central differences of the gradient."""
    step = 1e-6
    columns = [
        (
            gradient(weights + step * unit, images, labels)[2]
            - gradient(weights - step * unit, images, labels)[2]
        )
        / (2 * step)
        for unit in np.eye(len(weights))
    ]
    return (np.array(columns) + np.array(columns).T) / 2


@pytest.mark.parametrize("optimizer", USUAL)
def test_fig08_shows_the_curvature_at_the_best_end_over_all_samples(
    results: Path, table: pd.DataFrame, digits: tuple[np.ndarray, np.ndarray], optimizer: str
) -> None:
    shown = table.query("dataset == 'digits' and optimizer == @optimizer")
    by_quantity = {str(name): rows for name, rows in shown.groupby("quantity")}
    ends = [
        arrays(results / f"runs/digits/mlp-8/{optimizer}/{USUAL[optimizer]}/seed{seed}/trajectory.zarr")[
            "weights"
        ][-1]
        for seed in (0, 1)
    ]
    measured = [gradient(end.astype(float), *digits)[:2] for end in ends]
    runs = by_quantity["run"].sort_values("seed")
    # Training computes losses in float32.
    np.testing.assert_allclose(runs["loss"], [loss for loss, _ in measured], rtol=1e-5)
    np.testing.assert_allclose(runs["error_rate"], [1 - accuracy for _, accuracy in measured], atol=1e-12)
    best = int(np.argmin([loss for loss, _ in measured]))
    assert runs["best"].astype(bool).tolist() == [seed == best for seed in (0, 1)]

    exact = np.linalg.eigvalsh(hessian(ends[best].astype(float), *digits))[::-1]
    np.testing.assert_allclose(by_quantity["eigenvalue"]["value"], exact[:5], rtol=1e-3)
    trace = by_quantity["trace"].iloc[0]
    assert abs(trace["value"] - exact.sum()) < 4 * trace["standard_error"] < 0.2 * exact.sum()

    at, density = by_quantity["spectral density"][["curvature", "value"]].to_numpy().T
    smoothing = (exact[0] - exact[-1]) / 100
    assert at[[0, -1]] == pytest.approx([exact[-1] - 5 * smoothing, exact[0] + 5 * smoothing], rel=1e-3)
    assert np.trapezoid(density, at) == pytest.approx(1, abs=1e-6)
    # Ten random vectors make the weight of an eigenvalue uncertain, but not its place, nor that of many.
    below = np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(at))
    for bound in (-0.1, 0.0, 0.1, 0.5):
        share = np.mean([0.5 * (1 + math.erf((bound - value) / smoothing / math.sqrt(2))) for value in exact])
        assert np.interp(bound, at[1:], below) == pytest.approx(share, abs=0.03)


def test_fig08_shows_every_data_set_and_optimizer(table: pd.DataFrame) -> None:
    panels = table.groupby(["dataset", "optimizer"], sort=False)["quantity"].agg(
        lambda names: names.value_counts().to_dict()
    )
    assert list(panels.index) == list(product(("digits", "mnist5k"), USUAL))
    for counts in panels:
        assert counts == {"spectral density": 441, "run": 2, "eigenvalue": 5, "trace": 1}


def test_the_picture_is_not_blank(results: Path) -> None:
    check_picture(results / "figures", NAME)


def test_the_file_is_what_the_module_draws_with_all_axes_labelled(results: Path, table: pd.DataFrame) -> None:
    stores = [
        results / f"minima/{dataset}/mlp-8/{optimizer}.zarr"
        for dataset, optimizer in product(("digits", "mnist5k"), USUAL)
    ]
    with house_style({}):
        plotted = draw_minima(read_minima(minima=stores))
    again = pd.read_csv(StringIO(plotted.table.to_csv(index=False)))
    pd.testing.assert_frame_equal(again, table, check_dtype=False)
    check_labels(plotted.figure)
    legend = [text.get_text() for text in plotted.figure.legends[0].get_texts()]
    assert legend == ["SGD", "Adam", "best run", "other run"]
    plt.close("all")

"""Helpers for tests that recompute the smoke study's figures: its runs, and the arrays of its stores."""

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr

PIXELS = {"digits": 64, "mnist5k": 784}
DATASETS = tuple(PIXELS)
# One hidden layer of 8 units and 10 classes.
PARAMETERS = {name: 8 * pixels + 8 + 80 + 10 for name, pixels in PIXELS.items()}
OPTIMIZERS = ("sgd", "adam")
USUAL_RATE = {"sgd": 0.05, "adam": 0.001}
SEEDS = (0, 1)
STEPS = tuple(range(0, 61, 10))


def run_of(
    results: Path,
    dataset: str,
    optimizer: str,
    seed: int = 0,
    *,
    batch_size: int | str = 64,
    learning_rate: float | None = None,
) -> Path:
    """Return the directory of a run; by default, its settings are those of the main experiment."""
    rate = USUAL_RATE[optimizer] if learning_rate is None else learning_rate
    return results / f"runs/{dataset}/mlp-8/{optimizer}/batch{batch_size}-lr{rate}/seed{seed}"


def null_of(results: Path, dataset: str, name: str = "reinitialized") -> Path:
    return results / f"null/{dataset}/mlp-8/{name}.zarr"


@functools.cache
def arrays(store: Path) -> dict[str, np.ndarray]:
    """Return all arrays of a store; the smoke study does not change, so each store is read once."""
    return {name: np.asarray(array) for name, array in zarr.open_group(store, mode="r").arrays()}


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors in float64, scaled to length 1."""
    wide = vectors.astype(float)
    return np.asarray(wide / np.sqrt((wide**2).sum(-1, keepdims=True)))


def eigenvectors(store: Path) -> np.ndarray:
    """Return unit eigenvectors in float64 (checkpoint or draw, rank, parameter); NaN where not converged."""
    pairs = arrays(store)
    return np.where(pairs["converged"][..., None], unit(pairs["eigenvector"]), np.nan)


def moved(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the displacement, the squared distance between vectors up to their sign."""
    return np.asarray(np.minimum(((one - other) ** 2).sum(-1), ((one + other) ** 2).sum(-1)))


def ipr(vectors: np.ndarray) -> np.ndarray:
    return np.asarray((vectors**4).sum(-1))


def mean_overlap(parameters: int) -> float:
    """Return the mean of |⟨u, w⟩| over isotropic unit vectors."""
    half = parameters / 2
    return math.exp(math.lgamma(half) - math.lgamma(half + 0.5)) / math.sqrt(math.pi)


def quantiles(values: Any) -> list[float]:
    """Return the 5%, 50% and 95% quantiles of the values that are finite."""
    return [float(value) for value in np.nanquantile(values, [0.05, 0.5, 0.95])]


def table(results: Path, name: str, quantity: str | None = None) -> pd.DataFrame:
    """Return the table of a figure, or its rows of one quantity."""
    content = pd.read_csv(results / f"figures/{name}.csv")
    return content if quantity is None else content[content["quantity"] == quantity]


def samples_of(results: Path, dataset: str, part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Return images (sample, pixel) in float64, and labels."""
    data = arrays(results / f"data/{dataset}.zarr")
    images = data[f"{part}_images"].astype(float)
    return images.reshape(len(images), -1), data[f"{part}_labels"]


def evaluate(weights: np.ndarray, images: np.ndarray, labels: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Return the mean cross-entropy, the accuracy and the gradient of the perceptron, computed in float64."""
    first, bias, second, last = np.split(weights.astype(float), np.cumsum([8 * images.shape[1], 8, 80]))
    hidden = np.maximum(images @ first.reshape(8, -1).T + bias, 0)
    scores = hidden @ second.reshape(10, 8).T + last
    scores -= scores.max(1, keepdims=True)
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    chosen = np.arange(len(labels)), labels
    loss = float((np.log(np.exp(scores).sum(1)) - scores[chosen]).mean())
    above = shares / len(labels)
    above[chosen] -= 1 / len(labels)
    below = (above @ second.reshape(10, 8)) * (hidden > 0)
    parts = (below.T @ images, below.sum(0), above.T @ hidden, above.sum(0))
    accuracy = float((scores.argmax(1) == labels).mean())
    return loss, accuracy, np.concatenate([part.ravel() for part in parts])

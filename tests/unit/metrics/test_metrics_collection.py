"""Runs put together: what is stacked, what is missing, what is noted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eigendrift.metrics.collection import Collection, collect
from eigendrift.stores.registry import STORES
from eigendrift.stores.writing import write_store

SIZES = {"checkpoint": 4, "waiting": 4, "rank": 2, "draw": 3, "pair": 3}


def columns(kind: str, value: float) -> dict[str, np.ndarray]:
    filled = {
        spec.name: np.full([SIZES[dim] for dim in spec.dims], value, spec.dtype)
        for spec in STORES[kind].arrays
    }
    known = {"step": 10 * np.arange(4), "rank": np.arange(1, 3), "draw": np.arange(3)}
    return filled | {name: values for name, values in known.items() if name in filled}


def write_run(
    directory: Path, dataset: str, optimizer: str, seed: int, diverged_at: int | None = None, **changes: Any
) -> Path:
    path = directory / f"{dataset}-{optimizer}-{seed}.zarr"
    training = {"dataset": dataset, "optimizer": {"name": optimizer}, "seed": seed}
    summary = {"diverged_at": diverged_at, "unconverged": 0, "parameters": 9} | changes
    content = columns("metrics", seed + (100 if optimizer == "adam" else 0))
    write_store(path, "metrics", content, {"training": training}, summary)
    return path


def write_baseline(directory: Path, dataset: str, null_model: str = "isotropic") -> Path:
    path = directory / f"{dataset}-baseline.zarr"
    write_store(path, "baseline", columns("baseline", 1), {"dataset": dataset, "null_model": null_model})
    return path


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    """SGD has three seeds, Adam two; digits also has a run of SGD."""
    runs = [write_run(tmp_path, "mnist5k", "sgd", seed) for seed in range(3)]
    runs.append(write_run(tmp_path, "mnist5k", "adam", 0, unconverged=4))
    runs.append(write_run(tmp_path, "mnist5k", "adam", 1, diverged_at=25))
    runs.append(write_run(tmp_path, "digits", "sgd", 0))
    return collect(runs, [write_baseline(tmp_path, name) for name in ("mnist5k", "digits")])


def test_runs_are_stacked_by_optimizer_and_seed(collection: Collection) -> None:
    runs = collection.runs["mnist5k"]
    assert runs["optimizer"].values.tolist() == ["sgd", "adam"]
    assert runs["seed"].values.tolist() == [0, 1, 2]
    assert runs["step"].dims == ("checkpoint",)
    assert runs["step"].values.tolist() == [0, 10, 20, 30]
    assert runs["displacement"].dims == ("optimizer", "seed", "waiting", "checkpoint", "rank")
    losses = runs["train_loss"].isel(checkpoint=0).values
    np.testing.assert_array_equal(losses, [[0, 1, 2], [100, 101, np.nan]])
    assert runs.attrs["parameters"] == 9


def test_runs_that_are_not_there_are_nan(collection: Collection) -> None:
    missing = collection.runs["mnist5k"].sel(optimizer="adam", seed=2)
    assert all(
        np.isnan(missing[name].values).all() for name in ("unconverged", "diverged_at", "displacement")
    )


def test_divergences_and_masked_pairs_are_noted(collection: Collection) -> None:
    assert collection.notes("mnist5k") == [
        "mnist5k: adam seed 1 diverged at step 25",
        "mnist5k: 4 unconverged eigenpairs are left out",
    ]
    assert collection.notes("digits") == []


def test_baselines_belong_to_their_data_sets(collection: Collection) -> None:
    assert list(collection.baselines) == ["mnist5k", "digits"]
    assert collection.null_model == "isotropic"
    assert collection.baselines["digits"]["displacement"].dims == ("pair", "rank")


def test_order_of_optimizers_is_that_of_the_files(tmp_path: Path) -> None:
    paths = [write_run(tmp_path, "digits", optimizer, 0) for optimizer in ("adam", "sgd")]
    assert collect(paths, []).runs["digits"]["optimizer"].values.tolist() == ["adam", "sgd"]

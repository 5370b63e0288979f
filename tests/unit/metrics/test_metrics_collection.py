"""Runs put together: what is stacked, what is missing, what is noted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from metrics_helpers import SHAPES, write_baseline, write_run

from eigendrift.errors import UserError
from eigendrift.metrics.collection import Collection, collect, notes_on, one_optimizer, read_run


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    """SGD has three seeds, Adam two; digits also has a run of SGD."""
    small = {"dataset": "mnist5k", "optimizer": "sgd"}
    adam = {"dataset": "mnist5k", "optimizer": "adam"}
    runs = [write_run(tmp_path / f"{seed}.zarr", seed, seed=seed, **small) for seed in range(3)]
    runs.append(write_run(tmp_path / "3.zarr", 100, seed=0, unconverged=4, **adam))
    runs.append(write_run(tmp_path / "4.zarr", 101, seed=1, diverged_at=25, **adam))
    runs.append(write_run(tmp_path / "5.zarr"))
    return collect(runs, [write_baseline(tmp_path / f"{name}.zarr", name) for name in ("mnist5k", "digits")])


def test_runs_are_stacked_by_optimizer_and_seed(collection: Collection) -> None:
    assert list(collection.runs) == ["mnist5k", "digits"]
    runs = collection.runs["mnist5k"]
    assert runs["optimizer"].values.tolist() == ["sgd", "adam"]
    assert runs["seed"].values.tolist() == [0, 1, 2]
    assert runs["step"].dims == ("checkpoint",)
    assert runs["step"].values.tolist() == [0, 10, 20, 30]
    assert runs["displacement"].dims == ("optimizer", "seed", "waiting", "checkpoint", "rank")
    assert runs["weight_displacement"].dims == ("optimizer", "seed", "waiting", "checkpoint")
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
        "mnist5k, adam: seed 1 diverged at step 25",
        "mnist5k, adam: without 4 unconverged eigenpairs",
    ]
    assert collection.notes("digits") == []


def test_notes_on_a_setting_name_every_diverged_seed_and_add_up_the_masked_pairs(tmp_path: Path) -> None:
    paths = [
        write_run(tmp_path / f"{seed}.zarr", seed=seed, diverged_at=at, unconverged=seed)
        for seed, at in [(0, 12), (2, None), (5, 3)]
    ]
    runs = one_optimizer(read_run(path) for path in paths)
    assert notes_on(runs, "SGD, batches of 64") == [
        "SGD, batches of 64: seed 0 diverged at step 12",
        "SGD, batches of 64: seed 5 diverged at step 3",
        "SGD, batches of 64: without 7 unconverged eigenpairs",
    ]


def test_a_run_tells_what_it_was(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run.zarr", seed=3, batch_size="full", learning_rate=0.1))
    assert run.attrs == {
        "dataset": "digits",
        "optimizer": "sgd",
        "batch_size": "full",
        "learning_rate": 0.1,
        "parameters": 9,
        "shapes": SHAPES,
        "training": {
            "dataset": "digits",
            "optimizer": {"name": "sgd", "learning_rate": 0.1},
            "batch_size": "full",
        },
        "store": str(tmp_path / "run.zarr"),
    }
    assert run["seed"].item() == 3
    assert np.isnan(run["diverged_at"].item())


@pytest.mark.parametrize(
    ("other", "what"),
    [({"seed": 2, "learning_rate": 0.2}, "two settings"), ({"seed": 0}, "one seed")],
    ids=["another setting", "another seed"],
)
def test_a_store_in_the_place_of_another_is_refused(tmp_path: Path, other: dict[str, Any], what: str) -> None:
    paths = [write_run(tmp_path / f"{seed}.zarr", seed=seed) for seed in (0, 1)]
    paths.append(write_run(tmp_path / "2.zarr", **other))
    with pytest.raises(UserError, match=rf"0\.zarr and .*2\.zarr are of {what}, .* run `rm -rf .*2\.zarr"):
        collect(paths, [])


def test_runs_with_other_checkpoints_are_not_put_together(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / f"{seed}.zarr", seed=seed, interval=10 + seed) for seed in (0, 1)]
    with pytest.raises(xr.MergeError, match="step"):
        collect(paths, [])


def test_baselines_belong_to_their_data_sets(collection: Collection) -> None:
    assert list(collection.baselines) == ["mnist5k", "digits"]
    assert collection.null_model == "isotropic"
    assert collection.baselines["digits"]["displacement"].dims == ("pair", "rank")


def test_order_of_optimizers_is_that_of_the_files(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / f"{name}.zarr", optimizer=name) for name in ("adam", "sgd")]
    assert collect(paths, []).runs["digits"]["optimizer"].values.tolist() == ["adam", "sgd"]

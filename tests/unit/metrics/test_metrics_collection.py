"""Runs of a study and of a sweep: what is stacked, what is missing, what is noted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from metrics_helpers import SHAPES, write_baseline, write_run

from eigendrift.errors import UserError
from eigendrift.metrics.collection import Collection, collect, notes_on, one_optimizer, read_run
from eigendrift.metrics.sweep import Sweep, read_sweep, read_swept_runs


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """SGD has three seeds, Adam two; digits also has a run of SGD."""
    folder = tmp_path_factory.mktemp("collection")
    small = {"dataset": "mnist5k", "optimizer": "sgd"}
    adam = {"dataset": "mnist5k", "optimizer": "adam"}
    runs = [write_run(folder / f"{seed}.zarr", seed, seed=seed, **small) for seed in range(3)]
    runs.append(write_run(folder / "3.zarr", 100, seed=0, unconverged=4, **adam))
    runs.append(write_run(folder / "4.zarr", 101, seed=1, diverged_at=25, **adam))
    runs.append(write_run(folder / "5.zarr"))
    return collect(runs, [write_baseline(folder / f"{name}.zarr", name) for name in ("mnist5k", "digits")])


def test_runs_are_stacked_by_optimizer_and_seed(collection: Collection) -> None:
    assert list(collection.runs) == ["mnist5k", "digits"]
    runs = collection.runs["mnist5k"]
    assert runs["optimizer"].values.tolist() == ["sgd", "adam"]
    assert runs["seed"].values.tolist() == [0, 1, 2]
    assert runs["step"].values.tolist() == [0, 10, 20, 30]
    assert runs["displacement"].dims == ("optimizer", "seed", "waiting", "checkpoint", "rank")
    losses = runs["train_loss"].isel(checkpoint=0).values
    np.testing.assert_array_equal(losses, [[0, 1, 2], [100, 101, np.nan]])
    assert runs.attrs["parameters"] == 9
    missing = runs.sel(optimizer="adam", seed=2)
    assert all(missing[name].isnull().all() for name in ("unconverged", "diverged_at", "displacement"))


def test_divergences_and_masked_pairs_are_noted_and_baselines_belong_to_data_sets(collection: Collection) -> None:
    assert collection.notes("mnist5k") == [
        "mnist5k, adam: seed 1 diverged at step 25",
        "mnist5k, adam: without 4 unconverged eigenpairs",
    ]
    assert collection.notes("digits") == []

    assert list(collection.baselines) == ["mnist5k", "digits"]
    assert collection.null_model == "isotropic"
    assert collection.baselines["digits"]["displacement"].dims == ("pair", "rank")


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


def test_a_run_has_its_settings_as_attributes(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run.zarr", seed=3, batch_size="full", learning_rate=0.1))
    optimizer = {"name": "sgd", "learning_rate": 0.1}
    assert run.attrs == {
        "dataset": "digits",
        "optimizer": "sgd",
        "batch_size": "full",
        "learning_rate": 0.1,
        "parameters": 9,
        "shapes": SHAPES,
        "training": {"dataset": "digits", "optimizer": optimizer, "batch_size": "full"},
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
    paths = [write_run(tmp_path / "0.zarr", seed=0), write_run(tmp_path / "2.zarr", **other)]
    with pytest.raises(UserError, match=rf"0\.zarr and .*2\.zarr are of {what}, .* run `rm -rf .*2\.zarr"):
        collect(paths, [])


def test_runs_with_other_checkpoints_are_not_put_together(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / f"{seed}.zarr", seed=seed, interval=10 + seed) for seed in (0, 1)]
    with pytest.raises(xr.MergeError, match="step"):
        collect(paths, [])


SIZES = {128: 5, 64: 10, "full": 3}
SWEPT = [(name, size, seed) for name in ("sgd", "adam") for size in SIZES for seed in (0, 1)]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """Each run's measurements are a number of its own; steps differ between batch sizes."""
    folder = tmp_path_factory.mktemp("sweep")
    paths = [
        write_run(
            folder / f"{number}.zarr",
            number,
            optimizer=name,
            batch_size=size,
            seed=seed,
            interval=SIZES[size],
            unconverged=2 * (number == 7),
            diverged_at=7 if number == 7 else None,
        )
        for number, (name, size, seed) in enumerate(SWEPT)
    ]
    return read_sweep(paths, [write_baseline(folder / "baseline.zarr")], "batch_size")


def test_runs_of_a_sweep_are_found_by_optimizer_and_batch_size(sweep: Sweep) -> None:
    assert list(sweep.runs) == ["sgd", "adam"]
    assert list(sweep.runs["adam"]) == [128, 64, "full"]
    for number, (name, size, seed) in enumerate(SWEPT):
        runs = sweep.runs[name][size]
        assert runs["train_loss"].dims == ("seed", "checkpoint")
        assert (runs.sel(seed=seed)["train_loss"].values == number).all()
    assert sweep.runs["sgd"]["full"]["step"].values.tolist() == [0, 3, 6, 9]
    assert sweep.runs["sgd"][64]["step"].values.tolist() == [0, 10, 20, 30]


def test_a_sweep_has_a_data_set_a_null_model_and_notes(sweep: Sweep) -> None:
    assert (sweep.dataset, sweep.null_model, sweep.varied) == ("digits", "isotropic", "batch_size")
    assert sweep.parameters == 9
    assert sweep.baseline["displacement"].dims == ("pair", "rank")
    assert np.isnan(sweep.runs["sgd"][64]["diverged_at"].values).all()
    assert sweep.notes() == ["adam, 128: seed 1 diverged at step 7", "adam, 128: without 2 unconverged eigenpairs"]


def test_learning_rates_belong_to_their_optimizers_and_data_sets(tmp_path: Path) -> None:
    settings = [("digits", "sgd", 0.2), ("digits", "sgd", 0.05), ("digits", "adam", 0.01)]
    settings.append(("mnist5k", "sgd", 0.2))
    paths = [
        write_run(tmp_path / f"{number}.zarr", number, dataset=dataset, optimizer=name, learning_rate=rate)
        for number, (dataset, name, rate) in enumerate(settings)
    ]
    by_dataset = read_swept_runs(paths, "learning_rate")
    assert {name: list(rates) for name, rates in by_dataset["digits"].items()} == {"sgd": [0.2, 0.05], "adam": [0.01]}
    assert list(by_dataset) == ["digits", "mnist5k"]
    for number, (dataset, name, rate) in enumerate(settings):
        assert (by_dataset[dataset][name][rate]["train_loss"].values == number).all()
    assert read_swept_runs([], "batch_size") == {}

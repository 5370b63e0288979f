"""The runs of a sweep, put together by the value of what varies."""

from pathlib import Path

import numpy as np
import pytest
from metrics_helpers import write_baseline, write_run

from eigendrift.metrics.sweep import read_sweep, read_swept_runs


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    return write_baseline(tmp_path / "baseline.zarr")


def test_runs_are_found_by_optimizer_and_batch_size(tmp_path: Path, baseline: Path) -> None:
    """Each run's measurements are a number of its own; steps differ between batch sizes."""
    settings = [
        (name, size, seed) for name in ("sgd", "adam") for size in (128, 64, "full") for seed in (0, 1)
    ]
    paths = [
        write_run(
            tmp_path / f"{number}.zarr",
            number,
            optimizer=name,
            batch_size=size,
            seed=seed,
            interval={128: 5, 64: 10, "full": 3}[size],
        )
        for number, (name, size, seed) in enumerate(settings)
    ]
    sweep = read_sweep(paths, [baseline], "batch_size")
    assert list(sweep.runs) == ["sgd", "adam"]
    assert list(sweep.runs["adam"]) == [128, 64, "full"]
    for number, (name, size, seed) in enumerate(settings):
        runs = sweep.runs[name][size]
        assert runs["train_loss"].dims == ("seed", "checkpoint")
        assert (runs.sel(seed=seed)["train_loss"].values == number).all()
    assert sweep.runs["sgd"]["full"]["step"].values.tolist() == [0, 3, 6, 9]
    assert sweep.runs["sgd"][64]["step"].values.tolist() == [0, 10, 20, 30]


def test_each_optimizer_has_learning_rates_of_its_own(tmp_path: Path, baseline: Path) -> None:
    settings = [("sgd", 0.2), ("sgd", 0.05), ("adam", 0.001), ("adam", 0.01), ("adam", 0.0003)]
    paths = [
        write_run(tmp_path / f"{number}.zarr", optimizer=name, learning_rate=rate)
        for number, (name, rate) in enumerate(settings)
    ]
    sweep = read_sweep(paths, [baseline], "learning_rate")
    assert {name: list(values) for name, values in sweep.runs.items()} == {
        "sgd": [0.2, 0.05],
        "adam": [0.001, 0.01, 0.0003],
    }


def test_it_knows_its_data_set_null_model_and_parameters(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run.zarr", dataset="mnist5k", parameters=26_506)
    null = write_baseline(tmp_path / "null.zarr", "mnist5k", "reinitialized")
    sweep = read_sweep([run], [null], "batch_size")
    assert (sweep.dataset, sweep.null_model, sweep.varied) == ("mnist5k", "reinitialized", "batch_size")
    assert sweep.parameters == 26_506
    assert sweep.baseline["displacement"].dims == ("pair", "rank")
    assert np.isnan(sweep.runs["sgd"][64]["diverged_at"].values).all()


def test_divergences_and_masked_pairs_are_noted(tmp_path: Path, baseline: Path) -> None:
    paths = [
        write_run(tmp_path / "0.zarr", learning_rate=0.2, seed=0),
        write_run(tmp_path / "1.zarr", learning_rate=0.2, seed=1, diverged_at=7, unconverged=2),
        write_run(tmp_path / "2.zarr", learning_rate=0.05, seed=0, unconverged=1),
    ]
    assert read_sweep(paths, [baseline], "learning_rate").notes() == [
        "sgd, 0.2: seed 1 diverged at step 7",
        "sgd, 0.2: without 2 unconverged eigenpairs",
        "sgd, 0.05: without 1 unconverged eigenpair",
    ]


def test_sweeps_on_several_data_sets_are_told_apart(tmp_path: Path) -> None:
    settings = [(name, rate) for name in ("digits", "mnist5k") for rate in (0.1, 0.2)]
    paths = [
        write_run(tmp_path / f"{number}.zarr", number, dataset=name, learning_rate=rate)
        for number, (name, rate) in enumerate(settings)
    ]
    by_dataset = read_swept_runs(paths, "learning_rate")
    assert list(by_dataset) == ["digits", "mnist5k"]
    for number, (name, rate) in enumerate(settings):
        assert (by_dataset[name]["sgd"][rate]["train_loss"].values == number).all()
    assert read_swept_runs([], "batch_size") == {}

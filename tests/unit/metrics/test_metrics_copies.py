"""Replicates that are equal to the bit: found, reported, and not counted."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from metrics_helpers import SHAPES, columns, eigenpairs_of, trajectory_of, write_baseline, write_run

from eigendrift.figures import curvature
from eigendrift.metrics.collection import collect, notes_on, one_optimizer, read_run
from eigendrift.metrics.copies import (
    FROM_TRAINING,
    copies,
    distinct,
    masked,
    repeated,
    replicates,
    without_copied_draws,
)
from eigendrift.metrics.draws import pairs_of
from eigendrift.metrics.measure import measure_run
from eigendrift.stores.reading import open_store
from eigendrift.stores.writing import write_store


def measured(values: list[float]) -> xr.Dataset:
    return xr.Dataset(
        {
            "train_loss": (("seed", "checkpoint"), np.array(values)[:, None] * [1.0, 0.5, np.nan]),
            "eigenvalue": (("seed", "rank"), np.arange(float(len(values)))[:, None]),
            "step": ("checkpoint", [0, 10, 20]),
            "diverged_at": ("seed", np.full(len(values), np.nan)),
            "unconverged": ("seed", np.zeros(len(values))),
        },
        {"seed": np.arange(len(values)) + 10},
    )


def test_copies_are_equal_in_every_bit_of_their_training() -> None:
    """Runs without results are no copies, and zeros of two signs differ."""
    runs = measured([1, 2, 1, 3, 2, 1])
    assert copies(runs) == {12: 10, 14: 11, 15: 10}
    runs["train_loss"][2, 1] = np.nextafter(runs["train_loss"][2, 1], 1)
    assert copies(runs) == {14: 11, 15: 10}
    assert copies(measured([np.nan, np.nan, 1, np.nan])) == copies(measured([np.inf, np.inf])) == {}
    assert copies(measured([0.0, -0.0, 0.0])) == {12: 10}


@pytest.mark.parametrize("name", FROM_TRAINING)
def test_every_array_that_the_training_decides_distinguishes_runs(name: str) -> None:
    runs = measured([1, 1, 1])
    assert copies(runs.assign({name: ("seed", [1.0, 2, 1])})) == {12: 10}


def test_only_arrays_that_the_training_alone_decides_are_compared() -> None:
    """These arrays, and no others, are the same for two solutions of the eigenproblem."""
    one, other = (measure_run(trajectory_of(SHAPES, 4), eigenpairs_of(SHAPES, 4, seed)) for seed in (0, 1))
    same = {name for name in one if np.array_equal(one[name], other[name], equal_nan=True)}
    assert same - {"step", "rank", "layer"} == set(FROM_TRAINING)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_bit_patterns_of_nan_are_equal(dtype: type) -> None:
    patterns = np.array([[1, np.nan], [1, np.nan]], dtype)
    patterns.view(f"uint{8 * patterns.itemsize}")[1, 1] ^= 1
    assert patterns[0].tobytes() != patterns[1].tobytes()
    assert repeated([4, 7], [patterns]) == {7: 4}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Seed 2 is a copy of seed 0; seed 1 is different."""
    folder = tmp_path_factory.mktemp("stores")
    paths = [write_run(folder / f"{seed}.zarr", seed, seed=seed) for seed in (0, 1)]
    return [*paths, copy_run(paths[0], folder / "2.zarr", seed=2)]


def copy_run(path: Path, copied: Path, seed: int, **optimizer: float) -> Path:
    """Write the metrics of a run again for another seed; the eigenpairs differ in the last bits."""
    store = open_store(path, "metrics").load()
    training = store.attrs["settings"]["training"] | {"seed": seed}
    training["optimizer"] = training["optimizer"] | optimizer
    arrays = {str(name): values.values for name, values in store.variables.items()}
    arrays["eigenvalue"] = np.nextafter(arrays["eigenvalue"], 1)
    write_store(copied, "metrics", arrays, {"training": training}, store.attrs["summary"])
    return copied


def test_the_results_of_copied_runs_are_removed_and_the_seed_is_reported(stores: list[Path]) -> None:
    runs = one_optimizer(map(read_run, stores))
    assert runs["seed"].values.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(runs["copy_of"], [np.nan, np.nan, 0])
    for name in ("train_loss", "eigenvalue"):
        assert runs[name].isnull().all(runs[name].dims[1:]).values.tolist() == [False, False, True]
    assert copies(runs) == {2: 0}
    assert replicates(runs) == 2
    assert notes_on(runs, "SGD") == ["SGD: seed 2 repeats the training of seed 0 to the bit and is left out"]


def test_one_warning_names_the_setting_and_the_seeds(stores: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    one_optimizer(map(read_run, stores))
    distinct(map(read_run, stores))
    said = (
        "Copies are left out of dataset digits, optimizer sgd, batch size 64, learning rate 0.05, because "
        "they are not independent replicates: seed 2 repeats seed 0."
    )
    assert caplog.messages == [said, said]
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    caplog.clear()
    one_optimizer(map(read_run, stores[:2]))
    distinct(map(read_run, stores[:2]))
    assert caplog.messages == []


def test_masking_keeps_the_shape_and_what_is_no_copy() -> None:
    runs = measured([1, 2, 3])
    hidden = masked(runs, {12: 10, 99: 10})
    assert hidden.sizes == runs.sizes
    np.testing.assert_array_equal(hidden["copy_of"], [np.nan, np.nan, 10])
    xr.testing.assert_identical(hidden.isel(seed=[0, 1]).drop_vars("copy_of"), runs.isel(seed=[0, 1]))
    assert hidden[["train_loss", "eigenvalue"]].isel(seed=2).isnull().to_array().all()
    xr.testing.assert_identical(masked(runs, {}).drop_vars("copy_of"), runs)
    assert (replicates(runs), replicates(hidden), replicates(masked(runs, {}))) == (3, 2, 3)


def test_a_collection_notes_copies_and_leaves_them_out_of_means(stores: list[Path], tmp_path: Path) -> None:
    baseline = columns("baseline", 1)
    baseline["top_share"][2] = baseline["top_share"][1]
    null = {"dataset": "digits", "null_model": "isotropic"}
    write_store(tmp_path / "null.zarr", "baseline", baseline, null)
    collection = collect(stores, [tmp_path / "null.zarr"])
    assert float(collection.runs["digits"]["train_loss"].mean()) == 0.5
    assert collection.notes("digits") == [
        "digits, sgd: seed 2 repeats the training of seed 0 to the bit and is left out",
        "digits: without 1 draw of the null model isotropic equal to another to the bit",
    ]
    assert collection.baselines["digits"].sizes["draw"] == 2


def test_draws_of_one_optimizer_are_copies_and_left_out_with_their_pairs(caplog: pytest.LogCaptureFixture) -> None:
    """All optimizers of a null model may start alike; draws of one optimizer are compared in all results."""
    optimizers = np.array([0, 1, 0, 1, 0, 0])
    one, other = pairs_of(optimizers)
    baseline = xr.Dataset(
        {
            "eigenvalue": (("draw", "rank"), np.array([1.0, 1, 2, 1, 1, 5])[:, None]),
            "top_share": (("draw", "rank"), np.array([1.0, 1, 1, 1, np.nextafter(1, 2), 1])[:, None]),
            "displacement": (("pair", "rank"), (10.0 * one + other)[:, None]),
        },
        {"draw": np.arange(6), "optimizer": ("draw", optimizers)},
        {"settings": {"dataset": "digits", "null_model": "shuffled_labels"}},
    )
    kept = without_copied_draws(baseline)
    assert kept["draw"].values.tolist() == [0, 1, 2, 4, 5]
    assert kept.attrs["copies"] == 1
    left, right = pairs_of(kept["optimizer"].values)
    expected = 10 * kept["draw"].values[left] + kept["draw"].values[right]
    np.testing.assert_array_equal(kept["displacement"].values[:, 0], expected)
    said = "because they are not independent replicates: draw 3 repeats draw 1."
    assert caplog.messages == [f"Copies are left out of digits, shuffled_labels, {said}"]


def test_runs_of_two_settings_are_no_copies(stores: list[Path], tmp_path: Path) -> None:
    """The same training with another learning rate is a result about learning rates."""
    other = copy_run(stores[0], tmp_path / "other.zarr", seed=0, learning_rate=0.3)
    found = distinct(map(read_run, [*stores, other]))
    assert [run.attrs["store"] for run in found] == [*map(str, stores[:2]), str(other)]
    plotted = curvature.draw_flatness(curvature.read_flatness(map(str, [*stores, other])), 0.25, 0.95, 499)
    below = plotted.figure.get_supxlabel()
    assert "3 in all; without 0 that diverged, 1 that repeat the training of another seed and 0" in below
    points = plotted.table[plotted.table["quantity"] == "run"]
    assert points[["learning_rate", "seed"]].values.tolist() == [[0.05, 0], [0.05, 1], [0.3, 0]]


def test_preconditioned_runs_are_copies_where_the_plain_runs_are(tmp_path: Path) -> None:
    """Preconditioned stores hold nothing that the training alone decides, and here they all differ."""
    runs = [write_run(tmp_path / f"run-{seed}.zarr", 1, seed=seed, optimizer="adam") for seed in range(2)]
    repeats = [(runs[0], 0), (runs[1], 1), (runs[0], 2)]
    plain = [copy_run(run, tmp_path / f"{seed}.zarr", seed, beta1=0.9) for run, seed in repeats]
    preconditioned_runs = []
    for seed in range(3):
        store = tmp_path / f"preconditioned-{seed}.zarr"
        training = {"dataset": "digits", "optimizer": {"name": "adam"}, "seed": seed}
        measured = columns("preconditioned_metrics", 1 + seed)
        write_store(store, "preconditioned_metrics", measured, {"training": training}, {"unconverged": 5})
        preconditioned_runs.append(store)
    null = write_baseline(tmp_path / "null.zarr")
    source = curvature.read_preconditioned(map(str, plain), [str(null)], map(str, preconditioned_runs))
    own = source.preconditioned["digits"]["adam"]
    np.testing.assert_array_equal(own["copy_of"], [np.nan, np.nan, 0])
    assert own["eigenvalue"].sel(seed=2).isnull().all()
    assert own["eigenvalue"].sel(seed=[0, 1]).notnull().all()
    assert source.unconverged == {"digits": 10}
    plotted = curvature.draw_preconditioned(source, 0.25)
    below = plotted.figure.get_supxlabel()
    assert "preconditioned Hessian of Adam: 2 seeds; without 10 unconverged eigenpairs of it" in below
    assert "parameters, 2 seeds; " in below
    assert "digits, adam: seed 2 repeats the training of seed 0 to the bit and is left out" in below
    shown = plotted.table.query("hessian == 'preconditioned'")
    assert set(shown["seeds"]) == {2}
    ratios = shown[shown["quantity"] == "inverse_participation_ratio"]
    assert set(ratios["mean"]) == {1.5}

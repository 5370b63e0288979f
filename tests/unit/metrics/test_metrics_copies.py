"""Replicates that are equal to the bit: found, reported, and not counted."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from metrics_helpers import columns, write_run

from eigendrift.figures.flatness import read
from eigendrift.metrics.collection import collect, notes_on, one_optimizer, read_run
from eigendrift.metrics.copies import copies, distinct, without_copied_draws
from eigendrift.metrics.draws import pairs_of
from eigendrift.stores.writing import write_store


def measured(values: list[float]) -> xr.Dataset:
    return xr.Dataset(
        {
            "loss": (("seed", "checkpoint"), np.array(values)[:, None] * [1.0, 0.5, np.nan]),
            "step": ("checkpoint", [0, 10, 20]),
            "diverged_at": ("seed", np.full(len(values), np.nan)),
            "unconverged": ("seed", np.zeros(len(values))),
        },
        {"seed": np.arange(len(values)) + 10},
    )


def test_copies_are_equal_in_every_bit_of_every_result() -> None:
    runs = measured([1, 2, 1, 3, 2, 1])
    assert copies(runs) == {12: 10, 14: 11, 15: 10}
    runs["loss"][2, 1] = np.nextafter(runs["loss"][2, 1], 1)
    assert copies(runs) == {14: 11, 15: 10}
    assert copies(runs.assign(other=("seed", np.arange(6.0)))) == {}
    assert copies(runs.rename(seed="draw"), "draw") == {14: 11, 15: 10}


def test_replicates_without_results_are_no_copies() -> None:
    assert copies(measured([np.nan, np.nan, 1, np.nan])) == {}


def test_zeros_of_two_signs_are_two_results() -> None:
    assert copies(measured([0.0, -0.0, 0.0])) == {12: 10}


@pytest.fixture
def stores(tmp_path: Path) -> list[Path]:
    """Seeds 0 and 2 are one; 1 is another."""
    paths = [write_run(tmp_path / f"{seed}.zarr", seed, seed=seed) for seed in (0, 1)]
    copied = columns("metrics", 0)
    settings = read_run(paths[0]).attrs["training"] | {"seed": 2}
    summary = {"diverged_at": None, "unconverged": 3, "parameters": 9, "shapes": [[9]]}
    write_store(tmp_path / "2.zarr", "metrics", copied, {"training": settings}, summary)
    return [*paths, tmp_path / "2.zarr"]


def test_the_results_of_copied_runs_are_removed_and_the_seed_is_reported(stores: list[Path]) -> None:
    runs = one_optimizer(map(read_run, stores))
    assert runs["seed"].values.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(runs["copy_of"], [np.nan, np.nan, 0])
    assert np.isnan(runs["train_loss"].sel(seed=2)).all()
    assert np.isfinite(runs["train_loss"].sel(seed=[0, 1])).all()
    assert copies(runs) == {2: 0}
    assert notes_on(runs, "SGD") == ["SGD: seed 2 is equal to seed 0 to the bit and is left out"]


def test_figures_note_copies_and_average_over_the_others(stores: list[Path], tmp_path: Path) -> None:
    baseline = columns("baseline", 1)
    baseline["top_share"][2] = baseline["top_share"][1]
    null = {"dataset": "digits", "null_model": "isotropic"}
    write_store(tmp_path / "null.zarr", "baseline", baseline, null)
    collection = collect(stores, [tmp_path / "null.zarr"])
    assert float(collection.runs["digits"]["train_loss"].mean()) == 0.5
    assert collection.notes("digits") == [
        "digits, sgd: seed 2 is equal to seed 0 to the bit and is left out",
        "digits: without 1 draw of the null model isotropic equal to another to the bit",
    ]
    assert collection.baselines["digits"].sizes["draw"] == 2
    assert len(read(map(str, stores)).runs) == 2


def test_pairs_of_draws_are_left_out_with_their_draws() -> None:
    optimizers = np.array([0, 1, 0, 1, 0, 0])
    one, other = pairs_of(optimizers)
    baseline = xr.Dataset(
        {
            "eigenvalue": (("draw", "rank"), np.array([1.0, 2, 3, 4, 1, 5])[:, None]),
            "displacement": (("pair", "rank"), (10.0 * one + other)[:, None]),
        },
        {"draw": np.arange(6), "optimizer": ("draw", optimizers)},
    )
    kept = without_copied_draws(baseline)
    assert kept["draw"].values.tolist() == [0, 1, 2, 3, 5]
    assert kept.attrs["copies"] == 1
    left, right = pairs_of(kept["optimizer"].values)
    expected = 10 * kept["draw"].values[left] + kept["draw"].values[right]
    np.testing.assert_array_equal(kept["displacement"].values[:, 0], expected)


def test_distinct_runs_may_be_of_any_settings(stores: list[Path], tmp_path: Path) -> None:
    other = write_run(tmp_path / "other.zarr", 1, seed=1, learning_rate=0.3)
    found = distinct(map(read_run, [*stores, other]))
    assert [run.attrs["store"] for run in found] == [str(stores[0]), str(stores[1])]

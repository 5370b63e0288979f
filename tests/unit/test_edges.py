"""Extreme data, networks and requests: each has a defined outcome."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn
from torch.nn.functional import cross_entropy

from eigendrift.data.samples import Samples
from eigendrift.eigenpairs.decompose import decompose
from eigendrift.eigenpairs.landscape import Landscape
from eigendrift.eigenpairs.minimum import End, best_minimum
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.errors import UserError
from eigendrift.metrics.measure import measure_run, summarize_run
from eigendrift.stores.progress import Progress
from eigendrift.stores.reading import open_store
from eigendrift.stores.writing import write_store
from eigendrift.training.trajectory import train

CPU = torch.device("cpu")
MODEL = {"name": "mlp", "hidden_widths": [5], "activation": "tanh", "initialization": "glorot_uniform"}
SOLVER = {
    "count": 3,
    "samples": "all",
    "chunk_size": 5000,
    "tolerance": 1e-4,
    "max_products": 200,
    "basis_size": 30,
}
TRAINING: dict[str, Any] = {
    "model": MODEL,
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
    "batch_size": 1,
    "seed": 0,
    "steps": 20,
    "checkpoints": {"count": 5, "spacing": "linear"},
}


def samples_of(train_count: int, classes: int) -> Samples:
    dice = np.random.default_rng(0)
    images = dice.random((train_count + 5, 3, 4), dtype=np.float32)
    labels = np.arange(train_count + 5) % classes
    return Samples(images[:train_count], labels[:train_count], images[train_count:], labels[train_count:])


def measured(samples: Samples, directory: Path) -> tuple[xr.Dataset, xr.Dataset, dict[str, np.ndarray]]:
    """Return trajectory, eigenpairs and metrics of a run, computed as in the stages."""
    parts = [directory / name for name in ("training", "solving")]
    for part in parts:
        part.mkdir(parents=True)
    run = train(samples, TRAINING, CPU, Progress(parts[0]), "test")
    write_store(directory / "trajectory.zarr", "trajectory", run.columns, {}, {"diverged_at": run.diverged_at})
    trajectory = open_store(directory / "trajectory.zarr", "trajectory")
    landscape = Landscape(samples, MODEL, SOLVER, CPU)
    pairs = decompose(landscape, trajectory["weights"], trajectory["step"].values, Progress(parts[1]), 0, "test")
    summary = {**pairs.summary, "shapes": landscape.shapes}
    write_store(directory / "eigenpairs.zarr", "eigenpairs", pairs.columns, {}, summary)
    eigenpairs = open_store(directory / "eigenpairs.zarr", "eigenpairs")
    return trajectory, eigenpairs, measure_run(trajectory, eigenpairs)


@pytest.mark.parametrize("count", [20, 1], ids=["all labels equal", "one training sample"])
def test_a_spectrum_of_zeros_has_eigenvalues_but_no_eigenvectors(
    count: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With one class the network has one output, so loss and Hessian are zero."""
    samples = samples_of(count, 1)
    trajectory, eigenpairs, metrics = measured(samples, tmp_path)
    assert trajectory.attrs["summary"]["diverged_at"] is None
    assert (trajectory["train_loss"].values == 0).all()
    assert (eigenpairs["eigenvalue"].values == 0).all()
    assert not eigenpairs["converged"].values.any()
    assert "The Hessian is zero" in caplog.text
    assert summarize_run(trajectory, eigenpairs)["unconverged"] == eigenpairs["converged"].size
    for name in ("displacement", "inverse_participation_ratio", "update_alignment", "final_overlap"):
        assert np.isnan(metrics[name]).all(), name
    end = End(0, trajectory["weights"][-1].values, 0.0, 0.0, 1.0, 1.0)
    minimum = best_minimum(samples, [end], MODEL, SOLVER, CPU)
    assert minimum.summary["trace"] == 0
    assert np.isnan(minimum.columns["density"]).all()


def test_one_sample_of_each_class_is_a_data_set(tmp_path: Path) -> None:
    trajectory, eigenpairs, metrics = measured(samples_of(3, 3), tmp_path)
    assert trajectory["train_loss"].values[-1] < trajectory["train_loss"].values[0]
    assert eigenpairs["converged"].values.all()
    assert np.isfinite(metrics["displacement"][0, 1]).all()


def test_more_eigenpairs_than_parameters_are_refused() -> None:
    with pytest.raises(UserError, match="100 eigenpairs are requested, but the network has only 83 param"):
        Landscape(samples_of(20, 3), MODEL, {**SOLVER, "count": 100}, CPU)


def test_the_hessian_of_one_sample_has_the_rank_that_softmax_leaves(tmp_path: Path) -> None:
    """With three classes, the curvature of one sample's loss in the outputs has rank 2."""
    samples = samples_of(20, 3)
    landscape = Landscape(samples, MODEL, {**SOLVER, "samples": 1, "count": 12}, CPU)
    record = landscape.eigenpairs_at(
        np.random.default_rng(1).normal(0, 0.3, landscape.size).astype(np.float32),
        torch.Generator().manual_seed(0),
    )
    assert record["converged"].all()
    assert record["eigenvalue"][-1] < 1e-6 * record["eigenvalue"][0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("activation", [nn.Tanh, nn.Softsign], ids=lambda kind: kind.__name__)
def test_16_bit_networks_are_refused(dtype: torch.dtype, activation: type[nn.Module]) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), activation(), nn.Linear(5, 3)).to(dtype)
    samples = samples_of(20, 3)
    inputs = torch.from_numpy(samples.train_images).to(dtype)
    with pytest.raises(ValueError, match=f"is {dtype}, expected float32 or float64; convert"):
        hessian_operator(network, cross_entropy, inputs, torch.from_numpy(samples.train_labels))


def test_pixels_of_nan_are_refused() -> None:
    images = np.ones((4, 2, 2), np.float32)
    images[2, 0, 1] = np.nan
    labels = np.arange(4)
    with pytest.raises(UserError, match=r"train_images is not finite at \(2, 0, 1\); repair or leave out"):
        Samples(images, labels, images[:1], labels[:1])

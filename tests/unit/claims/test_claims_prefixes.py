"""The beginning of a run is a run of that length: real trainings, their eigenpairs and metrics."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from eigendrift.claims.regimes import shortened
from eigendrift.data.samples import Samples
from eigendrift.eigenpairs.decompose import decompose
from eigendrift.eigenpairs.landscape import Landscape
from eigendrift.metrics.measure import measure_run
from eigendrift.stores.arrays import METRICS, specs_for
from eigendrift.stores.progress import Progress
from eigendrift.training.trajectory import train

CPU = torch.device("cpu")
STEPS, COUNT = 40, 9
MODEL = {"name": "mlp", "hidden_widths": [5], "activation": "tanh", "initialization": "glorot_uniform"}
OPTIMIZERS = {
    "sgd": {"name": "sgd", "learning_rate": 0.1},
    "adam": {"name": "adam", "learning_rate": 0.01, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8},
}
SOLVER = {"count": 2, "samples": "all", "chunk_size": 1000, "tolerance": 1e-4, "max_products": 200, "basis_size": 20}


def small_samples() -> Samples:
    random = np.random.default_rng(0)
    images, labels = random.random((60, 3, 4), dtype=np.float32), np.arange(60) % 3
    return Samples(images[:45], labels[:45], images[45:], labels[45:])


def run_of(optimizer: str, steps: int, count: int, directory: Path) -> dict[str, dict[str, np.ndarray]]:
    """Train, decompose and measure a run."""
    samples = small_samples()
    settings: dict[str, Any] = {
        "model": MODEL,
        "optimizer": OPTIMIZERS[optimizer],
        "batch_size": 8,
        "seed": 1,
        "steps": steps,
        "checkpoints": {"count": count, "spacing": "linear"},
    }
    progress = []
    for part in ("training", "pairs"):
        (directory / part).mkdir(parents=True)
        progress.append(Progress(directory / part))
    columns = train(samples, settings, CPU, progress[0], "run").columns
    trajectory = {name: np.array(list(column)) for name, column in columns.items()}
    landscape = Landscape(samples, MODEL, SOLVER, CPU)
    found = decompose(landscape, trajectory["weights"], trajectory["step"], progress[1], 1, "run")
    pairs = {name: np.array(list(column)) for name, column in found.columns.items()}
    summary = {"summary": {"shapes": landscape.shapes}}
    metrics = measure_run(store(trajectory, "trajectory"), store(pairs, "eigenpairs").assign_attrs(summary))
    return {"trajectory": trajectory, "pairs": pairs, "metrics": metrics}


def store(columns: dict[str, np.ndarray], kind: str) -> xr.Dataset:
    return xr.Dataset({spec.name: (spec.dims, columns[spec.name]) for spec in specs_for(kind, columns)})


@pytest.mark.parametrize(("optimizer", "share"), [("adam", 0.5), pytest.param("sgd", 0.25, marks=pytest.mark.slow)])
def test_the_beginning_of_a_run_is_a_shorter_run(optimizer: str, share: float, tmp_path: Path) -> None:
    count = round(share * (COUNT - 1)) + 1
    long = run_of(optimizer, STEPS, COUNT, tmp_path / "long")
    short = run_of(optimizer, round(share * STEPS), count, tmp_path / "short")
    for part in ("trajectory", "pairs"):
        for name, values in short[part].items():
            whole = long[part][name]
            np.testing.assert_array_equal(values, whole if name == "rank" else whole[:count], name)
    dims = {spec.name: spec.dims for spec in METRICS.arrays}
    measured = xr.Dataset({name: (dims[name], values) for name, values in long["metrics"].items()})
    cut = shortened(measured.set_coords(["step", "rank"]).assign(diverged_at=np.nan), share)
    assert {*cut.variables} == {*short["metrics"], "diverged_at"} - {"final_overlap"}
    for name in {*short["metrics"]} - {"final_overlap"}:
        # Products of many vectors at once may be summed in another order than those of few.
        np.testing.assert_allclose(cut[name], short["metrics"][name], rtol=1e-6, atol=1e-9, err_msg=name)

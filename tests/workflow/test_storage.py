"""A study that stores only part of its eigenvectors has the same metrics, and computes nothing twice."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from clone import SMOKE, Clone, copy_repository, rewritten
from docs.float16 import rounded

from eigendrift.metrics.measure import measure_run
from eigendrift.stores.reading import open_store

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("storage")]

RUN = "results/smoke/runs/digits/mlp-8/adam/batch64-lr0.001/seed0"
# Folders of eigenpairs, and the checkpoints whose eigenvectors are stored.
KEPT = {"": [0, 6], "wide/": [0, 3], "preconditioned/": [0, 6]}
ENTROPY = f"{RUN}/plugins/entropy.json"
TARGETS = [f"{RUN}/{folder}metrics.json" for folder in KEPT]
STUDY = (SMOKE, "thinned.yaml")
THINNED = "storage: {ranks: 3, every: 6}\nplugins: [examples/entropy.py]\n"


@pytest.fixture(scope="module")
def thinned(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    clone = copy_repository(tmp_path_factory.mktemp("thinned"))
    (clone.path / "thinned.yaml").write_text(THINNED)
    result = clone.snakemake(*TARGETS, ENTROPY, study=STUDY)
    assert result.returncode == 0, result.stdout
    return clone


def test_metrics_are_measured_with_all_eigenvectors(thinned: Clone, smoke: Clone) -> None:
    for target in TARGETS:
        found, expected = (json.loads((clone.path / target).read_text())["digest"] for clone in (thinned, smoke))
        assert found == expected
    entropy = xr.open_zarr((thinned.path / ENTROPY).with_suffix(".zarr"))["value"].values
    assert np.isfinite(entropy).all()


@pytest.mark.parametrize(("folder", "checkpoints"), KEPT.items())
def test_only_the_configured_eigenvectors_are_stored(
    thinned: Clone, smoke: Clone, folder: str, checkpoints: list[int]
) -> None:
    assert not (thinned.path / RUN / folder / "whole").exists()
    whole, kept = (xr.open_zarr(clone.path / RUN / folder / "eigenpairs.zarr") for clone in (smoke, thinned))
    expected = np.full_like(whole["eigenvector"].values, np.nan)
    expected[checkpoints, :3] = whole["eigenvector"].values[checkpoints, :3]
    np.testing.assert_array_equal(kept["eigenvector"].values, expected)
    for name in set(whole.variables) - {"eigenvector"}:
        np.testing.assert_array_equal(kept[name].values, whole[name].values)
    assert kept.attrs["settings"]["storage"] == {"ranks": 3, "every": 6, "dtype": "float32"}


def test_eigenpairs_rerun_only_if_metrics_do(thinned: Clone) -> None:
    assert thinned.planned(*TARGETS, study=STUDY) == {}
    module = thinned.path / "workflow/eigendrift/metrics/measure.py"
    with rewritten(module, module.read_text() + "\n# changed\n"):
        planned = thinned.planned(*TARGETS, study=STUDY)
    kinds = ("", "wide_", "preconditioned_")
    assert planned == {f"{kind}{stage}": 1 for kind in kinds for stage in ("eigenpairs", "metrics")}


def test_float16_metrics_are_measured_with_rounded_vectors(thinned: Clone, smoke: Clone, tmp_path: Path) -> None:
    half = tmp_path / "half.yaml"
    half.write_text("storage: {dtype: float16}")
    result = thinned.snakemake(f"{RUN}/metrics.json", study=(*STUDY, half))
    assert result.returncode == 0, result.stdout
    trajectory, whole = (open_store(smoke.path / RUN / f"{kind}.zarr", kind) for kind in ("trajectory", "eigenpairs"))
    metrics = open_store(thinned.path / RUN / "metrics.zarr", "metrics")
    for name, values in measure_run(trajectory, rounded(whole)).items():
        np.testing.assert_array_equal(metrics[name].values, values, err_msg=name)
    left = open_store(thinned.path / RUN / "eigenpairs.zarr", "eigenpairs")["eigenvector"].values
    np.testing.assert_array_equal(left[[0, 6]], rounded(whole)["eigenvector"].values[[0, 6]])

"""A study that keeps a part of its eigenvectors measures the same, and does nothing twice."""

import json

import numpy as np
import pytest
import xarray as xr
import yaml
from clone import SMOKE, copy_repository
from docs.half import rounded

from eigendrift.metrics.measure import measure_run
from eigendrift.stores.reading import open_store

pytestmark = pytest.mark.xdist_group("smoke")

RUN = "results/smoke/runs/digits/mlp-8/adam/batch64-lr0.001/seed0"
# The folders of pairs, and which checkpoints of theirs are among those that are kept.
KEPT = {"": [0, 6], "wide/": [0, 3], "preconditioned/": [0, 6]}
ENTROPY = f"{RUN}/plugins/entropy.json"
TARGETS = [f"{RUN}/{folder}metrics.json" for folder in KEPT]


@pytest.fixture(scope="module")
def thinned(tmp_path_factory):
    clone = copy_repository(tmp_path_factory.mktemp("thinned"))
    study = yaml.safe_load((clone.path / SMOKE).read_text())
    study["storage"] = {"ranks": 3, "every": 6}
    study["plugins"] = ["examples/entropy.py"]
    (clone.path / SMOKE).write_text(yaml.safe_dump(study))
    result = clone.snakemake(*TARGETS)
    assert result.returncode == 0, result.stdout
    return clone


def digest(clone, path):
    return json.loads((clone.path / path).read_text())["digest"]


def test_metrics_are_those_of_all_eigenvectors(thinned, smoke):
    for target in TARGETS:
        assert digest(thinned, target) == digest(smoke, target)


def test_metrics_of_plugins_are_of_all_eigenvectors(thinned):
    assert thinned.snakemake(ENTROPY).returncode == 0
    entropy = xr.open_zarr((thinned.path / ENTROPY).with_suffix(".zarr"))["value"].values
    assert np.isfinite(entropy).all()


@pytest.mark.parametrize(("folder", "checkpoints"), KEPT.items())
def test_what_the_configuration_keeps_stays_and_nothing_else(thinned, smoke, folder, checkpoints):
    run = thinned.path / RUN / folder
    assert not (run / "whole").exists()
    whole, kept = (xr.open_zarr(clone.path / RUN / folder / "eigenpairs.zarr") for clone in (smoke, thinned))
    expected = np.full_like(whole["eigenvector"].values, np.nan)
    expected[checkpoints, :3] = whole["eigenvector"].values[checkpoints, :3]
    np.testing.assert_array_equal(kept["eigenvector"].values, expected)
    for name in set(whole.variables) - {"eigenvector"}:
        np.testing.assert_array_equal(kept[name].values, whole[name].values)
    assert kept.attrs["settings"]["storage"] == {"ranks": 3, "every": 6, "dtype": "float32"}


def test_a_second_run_has_nothing_to_do(thinned):
    assert "Nothing to be done" in thinned.snakemake("--dry-run", *TARGETS).stdout


def test_measuring_anew_solves_anew(thinned):
    path = thinned.path / "workflow/eigendrift/metrics/measure.py"
    before = path.read_text()
    path.write_text(before + "\n# changed\n")
    try:
        planned = thinned.snakemake("--quiet", "rules", "--dry-run", *TARGETS).stdout
    finally:
        path.write_text(before)
    assert {line.split()[0] for line in planned.splitlines() if line[-2:] == " 1"} == {
        f"{kind}{what}" for kind in ("", "wide_", "preconditioned_") for what in ("eigenpairs", "metrics")
    }


def test_in_float16_metrics_are_of_the_rounded_vectors(thinned, smoke):
    path = thinned.path / SMOKE
    before = path.read_text()
    path.write_text(before.replace("ranks: 3", "ranks: 3\n  dtype: float16"))
    try:
        result = thinned.snakemake(f"{RUN}/metrics.json")
    finally:
        path.write_text(before)
    assert result.returncode == 0, result.stdout
    trajectory, whole = (
        open_store(smoke.path / RUN / f"{kind}.zarr", kind) for kind in ("trajectory", "eigenpairs")
    )
    metrics = open_store(thinned.path / RUN / "metrics.zarr", "metrics")
    for name, values in measure_run(trajectory, rounded(whole)).items():
        np.testing.assert_array_equal(metrics[name].values, values, err_msg=name)
    left = open_store(thinned.path / RUN / "eigenpairs.zarr", "eigenpairs")["eigenvector"].values
    np.testing.assert_array_equal(left[[0, 6]], rounded(whole)["eigenvector"].values[[0, 6]])

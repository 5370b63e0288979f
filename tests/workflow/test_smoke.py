"""The complete smoke study, with the parts of its report."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from clone import SMOKE, Clone, copy_of
from figure_checks import check_picture
from jsonschema import Draft202012Validator
from smoke_stores import DATASETS, OPTIMIZERS, SEEDS, run_of

from eigendrift.stores.arrays import SCHEMA_VERSION

# Groups start before single tests, so the study runs next to the unit tests.
pytestmark = pytest.mark.xdist_group("smoke")
ENDINGS = ("png", "pdf", "csv")
# Rules that only the report needs.
REPORT_ONLY = {"benchmarks", "claims_page", "configuration", "ext09", "reported"}


@pytest.fixture(scope="module")
def made(smoke: Clone) -> dict[str, str]:
    """The rule of every output of the study and its report, by path."""
    outputs = smoke.outputs("reported")
    assert not [path for path, output in outputs.items() if output.pending], "the smoke study is not complete"
    return {path: output.rule for path, output in outputs.items()}


@pytest.fixture(scope="module")
def figures(made: dict[str, str]) -> list[str]:
    return sorted({Path(path).stem for path, rule in made.items() if rule.startswith(("fig", "ext"))})


def test_figures_of_the_paper_and_extensions_have_their_own_numbers(figures: list[str], results: Path) -> None:
    assert [int(name[3:5]) for name in figures if name.startswith("fig")] == list(range(1, 22))
    assert [int(name[3:5]) for name in figures if name.startswith("ext")] == list(range(1, 10))
    files = {f"{name}.{ending}" for name in figures for ending in ENDINGS}
    assert {path.name for path in (results / "figures").iterdir()} == files


def test_figures_are_complete_pictures_with_tables(figures: list[str], results: Path) -> None:
    for name in figures:
        check_picture(results / "figures", name)
        assert len(pd.read_csv(results / f"figures/{name}.csv")) > 3, name


def test_figures_need_no_part_of_the_report(smoke: Clone) -> None:
    rules = {output.rule for output in smoke.outputs().values()}
    assert "fig01" in rules
    assert not rules & REPORT_ONLY
    assert {*smoke.planned("--forcerun", "fig04", "--", "reported")} == {
        "fig04",
        "benchmarks",
        "ext09",
        "reported",
    }


def test_run_times_cover_all_jobs(made: dict[str, str], results: Path) -> None:
    jobs = pd.read_csv(results / "benchmarks.csv", keep_default_na=False, na_values=[""])
    assert set(jobs["rule"]) == set(made.values()) - REPORT_ONLY
    stores = {"train": "trajectory", "metrics": r"seed\d+/metrics", "null_model": "null/.+"}
    for rule, store in stores.items():
        count = sum(bool(re.search(rf"{store}\.json$", path)) for path in made if made[path] == rule)
        assert (jobs["rule"] == rule).sum() == count > 0
    assert jobs[["seconds", "start_up_seconds", "cpu_seconds"]].notna().all(axis=None)


def test_the_saved_configuration_is_the_same_study_in_any_data_directory(
    smoke: Clone, results: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text("data_dir: /home/somebody/data\n")
    for study in (results / "config.yaml", (SMOKE, elsewhere)):
        assert smoke.planned("reported", study=study) == {}


def test_no_temporary_file_is_left(results: Path) -> None:
    assert [path for path in results.rglob(".*") if path.name != ".snakemake_timestamp"] == []


def test_xarray_opens_all_stores(results: Path) -> None:
    stores = list(results.rglob("*.zarr"))
    assert len(stores) > 30
    for store in stores:
        assert xr.open_zarr(store).attrs["schema_version"] == SCHEMA_VERSION


def test_a_run_that_several_experiments_share_exists_once(results: Path) -> None:
    """The main experiment and both sweeps include the usual settings, which have only one directory."""
    for optimizer in OPTIMIZERS:
        usual = run_of(results, "digits", optimizer, seed=1)
        assert list(usual.parents[1].glob("*/seed1")) == [usual]


def test_null_models_are_validated_and_departures_measured(results: Path) -> None:
    nulls = {"isotropic", "reinitialized", "permuted", "shuffled_labels"}
    validation = pd.read_csv(results / "null_validation.csv")
    departure = pd.read_csv(results / "null_departure.csv")
    for table in (validation, departure):
        assert set(table["null_model"]) == nulls
        assert set(table["dataset"]) == set(DATASETS)
    # Random directions differ so much from a Hessian's eigenvectors that 10 draws are enough to show it.
    isotropic = validation[validation["null_model"] == "isotropic"]
    assert (isotropic.loc[isotropic["statistic"] == "log10 IPR", "verdict"] == "different").all()
    assert "different" not in set(validation.loc[validation["null_model"] != "isotropic", "verdict"])
    started = departure[(departure["null_model"] == "reinitialized") & (departure["moment"] == "start")]
    assert "outside" not in set(started["verdict"])
    assert set(departure["optimizer"]) == set(OPTIMIZERS)
    assert set(departure["seed"]) == set(SEEDS)


def test_null_models_are_validated_on_the_networks_that_training_starts_from(results: Path) -> None:
    for dataset in DATASETS:
        observed = xr.open_zarr(results / f"null/{dataset}/mlp-8/untrained-observed.zarr")
        for seed in SEEDS:
            run = run_of(results, dataset, "sgd", seed) / "eigenpairs.zarr"
            start = xr.open_zarr(run)["eigenvalue"][0]
            np.testing.assert_allclose(observed["eigenvalue"][seed], start, rtol=1e-4)


def test_claims_are_decided(smoke: Clone, results: Path) -> None:
    """With two seeds, every claim is undecided; effects are means over seeds."""
    content = json.loads((results / "claims.json").read_text())
    schema = json.loads((smoke.path / "workflow/schemas/claims.schema.json").read_text())
    Draft202012Validator(schema).validate(content)
    claims = content["claims"]
    names = ("C1", "C2", "C3", "C4", "C5", "C5b", "C6", "C7")
    decided = [(claim["claim"], claim["dataset"]) for claim in claims]
    assert decided == [(name, dataset) for dataset in DATASETS for name in names]
    for claim in claims:
        # The sweeps have one seed and use only digits.
        swept = claim["claim"] in ("C5b", "C6", "C7")
        assert claim["n"] == (claim["dataset"] == "digits" if swept else 2)
        assert claim["verdict"] == ("undecided" if claim["n"] else "not measured")
        assert claim["interval"] is None
        if claim["n"]:
            assert claim["effect"] == pytest.approx(np.mean(list(claim["seeds"].values())))
            assert claim["reason"] == f"too few seeds for an interval of 95%: {claim['n']}"
    assert list(pd.read_csv(results / "claims.csv")["verdict"]) == [claim["verdict"] for claim in claims]


def test_claims_are_decided_with_other_numbers_of_eigenpairs(results: Path) -> None:
    sensitivity = pd.read_csv(results / "claims_sensitivity.csv")
    assert set(sensitivity[sensitivity["ranks"] == 3]["verdict"]) == {"undecided", "not measured"}
    many = sensitivity[sensitivity["ranks"] == 5]
    assert set(many["checkpoints"]) == {4}
    # The 4 checkpoints with 5 eigenpairs are a third of the training apart, and sweeps have 3 eigenpairs.
    assert many[(many["lag"] == 0.333) & many["claim"].isin(["C1", "C2"])]["n"].tolist() == [2] * 4
    assert many[many["claim"].isin(["C3", "C4", "C5"])]["n"].tolist() == [2] * 6
    elsewhere = many[(many["lag"] == 0.125) | many["claim"].isin(["C5b", "C6", "C7"])]
    assert set(elsewhere["verdict"]) == {"not measured"}
    assert len(elsewhere) + 10 == len(many)
    # Fewer ranks at the same checkpoints are included for comparison, for every effect of 5 eigenpairs.
    compared = sensitivity[sensitivity["checkpoints"] == 4]
    assert compared.groupby("ranks")["effect"].count().tolist() == [10] * 3


@pytest.mark.slow
def test_a_rerun_gives_the_same_bytes_and_ends_with_the_verdicts(smoke: Clone, results: Path, tmp_path: Path) -> None:
    """One run, one null model and everything that depends on them are recreated."""
    clone = copy_of(smoke, tmp_path / "clone")
    run = "results/smoke/runs/digits/mlp-8/adam/batch64-lr0.001/seed0"
    again = [f"{run}/trajectory.json", "results/smoke/null/digits/mlp-8/reinitialized.json"]
    result = clone.snakemake("--forcerun", *again)
    assert result.returncode == 0, result.stdout
    assert len(re.findall(r"^  C\d", result.stdout, re.M)) == 16
    compared = [*results.rglob("*.json"), *(results / "figures").iterdir(), results / "claims.csv"]
    made = set()
    for path in compared:
        copy = clone.path / path.relative_to(smoke.path)
        assert copy.read_bytes() == path.read_bytes(), f"{path.name} differs"
        if copy.stat().st_mtime_ns != path.stat().st_mtime_ns:
            made.add(str(path.relative_to(smoke.path)))
    figures = "results/smoke/figures"
    assert {*again, "results/smoke/claims.json", f"{figures}/fig01_displacement.png"} < made
    assert f"{figures}/fig03_localization.pdf" in made
    # This target does not include the claims.
    drawn = clone.snakemake("--force", f"{figures}/fig04_training_loss.png")
    assert drawn.returncode == 0, drawn.stdout
    assert "The paper's claims" not in drawn.stdout


def test_a_missing_benchmark_file_reruns_no_job(smoke_copy: Clone) -> None:
    next((smoke_copy.path / "results/smoke/benchmarks/train").rglob("*.tsv")).unlink()
    assert smoke_copy.planned("reported") == {}


def printed_by(smoke: Clone, *arguments: str) -> str:
    command, environment = [sys.executable, *arguments], {**os.environ, "PYTHONPATH": "workflow"}
    return subprocess.check_output(command, cwd=smoke.path, env=environment, text=True)


def test_the_example_in_the_docs_reads_the_results(smoke: Clone, results: Path) -> None:
    lines = printed_by(smoke, "docs/read_results.py", "results/smoke").splitlines()
    assert len(lines) == len(list(results.glob("runs/*/*/*/*/seed*/metrics.zarr"))) > 0
    numbers = r"after \d+ steps loss [\d.e-]+, λ1 [\d.e-]+, moved by [\d.e-]+, inverse participation ratio [\d.e-]+"
    assert all(re.search(numbers, line) for line in lines)


def test_the_live_view_shows_that_everything_is_computed(smoke: Clone) -> None:
    shown = " ".join(printed_by(smoke, "-m", "runtime.watch", SMOKE).split())
    assert shown.startswith(
        "Study smoke: training, eigenpairs and null models are done; metrics, claims and figures follow "
    )
    assert "60 of 60 loss " in shown
    assert re.search(r"eigenpairs ━+ 18 of 18 18 done", shown)

"""The smoke study from end to end."""

import json
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from clone import Clone
from jsonschema import Draft202012Validator

from eigendrift.stores.arrays import SCHEMA_VERSION

pytestmark = pytest.mark.xdist_group("smoke")

ENDINGS = ("png", "pdf", "csv")


@pytest.fixture(scope="module")
def results(smoke: Clone) -> Path:
    return smoke.path / "results/smoke"


@pytest.fixture(scope="module")
def figures(smoke: Clone) -> list[str]:
    """Names of the figures of the study, except run times."""
    outputs = smoke.outputs()
    made = (path for path, output in outputs.items() if output.rule.startswith(("fig", "ext")))
    return sorted({Path(path).stem for path in made})


def test_figures_are_numbered_as_in_the_paper_and_ours_apart(figures: list[str], results: Path) -> None:
    numbers = [int(name[3:5]) for name in figures if name.startswith("fig")]
    assert sorted(numbers) == list(range(1, 22))
    assert "ext07_claims" in figures
    files = {f"{name}.{ending}" for name in figures for ending in ENDINGS}
    of_the_report = {f"ext09_run_times.{ending}" for ending in ENDINGS}
    assert {path.name for path in (results / "figures").iterdir()} - of_the_report == files


def test_figures_are_whole_pictures_with_numbers(figures: list[str], results: Path) -> None:
    for name in figures:
        pixels = matplotlib.image.imread(results / f"figures/{name}.png")
        assert min(pixels.shape[:2]) > 300, name
        assert len(np.unique(pixels[..., :3] @ (1, 10, 100))) > 20, f"{name} has hardly any colours"
        for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
            assert (edge == 1).all(), f"{name} is cut off at an edge"
        assert (results / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF"), name
        assert len(pd.read_csv(results / f"figures/{name}.csv")) > 3, name


def test_the_text_of_figures_stays_text(figures: list[str], results: Path) -> None:
    for name in figures:
        content = (results / f"figures/{name}.pdf").read_bytes()
        assert b"/FontFile2" in content, f"{name} has no TrueType font"
        assert b"/Type3" not in content, name


def test_nothing_is_left_to_do(smoke: Clone) -> None:
    result = smoke.snakemake("--dry-run")
    assert result.returncode == 0, result.stdout
    assert "Nothing to be done" in result.stdout
    assert smoke.pending() == set()


def test_no_scratch_is_left(results: Path) -> None:
    assert [path for path in results.rglob(".*") if path.name != ".snakemake_timestamp"] == []


def test_stores_open_as_they_are(results: Path) -> None:
    stores = list(results.rglob("*.zarr"))
    assert len(stores) > 30
    for store in stores:
        assert xr.open_zarr(store).attrs["schema_version"] == SCHEMA_VERSION


def test_a_run_that_two_experiments_share_is_there_once(results: Path) -> None:
    """Main and both sweeps have the usual settings; no directory spells them in another way."""
    usual = {"sgd": "batch64-lr0.05", "adam": "batch64-lr0.001"}
    for optimizer, settings in usual.items():
        found = {path.parent.name for path in (results / f"runs/digits/mlp-8/{optimizer}").glob("*/seed1")}
        assert found == {settings}


def test_null_models_are_validated_and_left(results: Path) -> None:
    nulls = {"isotropic", "reinitialized", "permuted", "shuffled_labels"}
    validation = pd.read_csv(results / "null_validation.csv")
    departure = pd.read_csv(results / "null_departure.csv")
    for table in (validation, departure):
        assert set(table["null_model"]) == nulls
        assert set(table["dataset"]) == {"digits", "mnist5k"}
    # Random directions are nothing like a Hessian's, which 10 draws suffice to see.
    isotropic = validation[validation["null_model"] == "isotropic"]
    assert (isotropic.loc[isotropic["statistic"] == "log10 IPR", "verdict"] == "different").all()
    assert "different" not in set(validation.loc[validation["null_model"] != "isotropic", "verdict"])
    started = departure[(departure["null_model"] == "reinitialized") & (departure["moment"] == "start")]
    assert "outside" not in set(started["verdict"])
    assert set(departure["optimizer"]) == {"sgd", "adam"}
    assert set(departure["seed"]) == {0, 1}


def test_what_validates_null_models_is_what_training_starts_from(results: Path) -> None:
    for dataset in ("digits", "mnist5k"):
        observed = xr.open_zarr(results / f"null/{dataset}/mlp-8/untrained-observed.zarr")
        for seed in (0, 1):
            run = results / f"runs/{dataset}/mlp-8/sgd/batch64-lr0.05/seed{seed}/eigenpairs.zarr"
            start = xr.open_zarr(run)["eigenvalue"][0]
            np.testing.assert_allclose(observed["eigenvalue"][seed], start, rtol=1e-4)


def test_claims_are_decided(results: Path) -> None:
    """With two seeds, nothing can be; effects are those of the seeds."""
    content = json.loads((results / "claims.json").read_text())
    schema = json.loads((results.parents[1] / "workflow/schemas/claims.schema.json").read_text())
    Draft202012Validator(schema).validate(content)
    claims = content["claims"]
    names = ("C1", "C2", "C3", "C4", "C5", "C5b", "C6", "C7")
    decided = [(claim["claim"], claim["dataset"]) for claim in claims]
    assert decided == [(name, dataset) for dataset in ("digits", "mnist5k") for name in names]
    for claim in claims:
        # The sweeps are of one seed, on digits alone.
        swept = claim["claim"] in ("C5b", "C6", "C7")
        assert claim["n"] == (claim["dataset"] == "digits" if swept else 2)
        assert claim["verdict"] == ("undecided" if claim["n"] else "not measured")
        assert claim["interval"] is None
        if claim["n"]:
            assert claim["effect"] == pytest.approx(np.mean(list(claim["seeds"].values())))
            assert claim["reason"] == f"too few seeds for an interval of 95%: {claim['n']}"
    assert list(pd.read_csv(results / "claims.csv")["verdict"]) == [claim["verdict"] for claim in claims]
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
    # Fewer ranks at the same checkpoints, to compare with, wherever there is something to compare.
    compared = sensitivity[sensitivity["checkpoints"] == 4]
    assert compared.groupby("ranks")["effect"].count().tolist() == [10] * 3


def test_the_console_ends_with_the_verdicts_if_claims_were_asked_for(smoke: Clone) -> None:
    decided = smoke.snakemake("--forcerun", "claims")
    assert decided.returncode == 0, decided.stdout
    assert len(re.findall(r"^  C\d", decided.stdout, re.M)) == 16
    for arguments in (["--dry-run"], ["results/smoke/figures/fig04_training_loss.png"]):
        assert "The paper's claims" not in smoke.snakemake(*arguments).stdout


def test_the_same_study_gives_the_same_bytes(smoke: Clone, results: Path) -> None:
    """One run and one null model are made again, and whatever is made from them."""
    run = "results/smoke/runs/digits/mlp-8/adam/batch64-lr0.001/seed0"
    again = [f"{run}/trajectory.json", "results/smoke/null/digits/mlp-8/reinitialized.json"]
    names = [*results.rglob("*.json"), *(results / "figures").iterdir(), results / "claims.csv"]
    before = {name: (name.read_bytes(), name.stat().st_mtime_ns) for name in names}
    result = smoke.snakemake("--forcerun", *again)
    assert result.returncode == 0, result.stdout
    made = set()
    for name, (content, time) in before.items():
        assert name.read_bytes() == content, f"{name.name} differs"
        if name.stat().st_mtime_ns != time:
            made.add(name.relative_to(results).as_posix())
    assert {path.removeprefix("results/smoke/") for path in again} < made
    assert {"claims.json", "figures/fig01_displacement.png", "figures/fig03_localization.pdf"} < made


def test_results_are_read_as_the_page_says(smoke):
    done = subprocess.run(
        [sys.executable, "docs/read_results.py", "results/smoke"],
        cwd=smoke.path,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    runs = list((smoke.path / "results/smoke/runs").glob("*/*/*/*/seed*/metrics.zarr"))
    assert len(lines) == len(runs) > 0
    numbers = (
        r"after \d+ steps loss [\d.e-]+, λ1 [\d.e-]+, moved by [\d.e-]+, inverse participation ratio [\d.e-]+"
    )
    assert all(re.search(numbers, line) for line in lines)


def test_the_live_view_knows_that_all_is_computed(smoke):
    done = subprocess.run(
        [sys.executable, "workflow/watch.py", "workflow/studies/smoke.yaml"],
        cwd=smoke.path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(
        "Study smoke: all trained, solved and drawn; metrics, claims and figures follow\n"
    )
    assert "60 of 60  loss " in done.stdout
    assert re.search(r"eigenpairs +━+ +18 of 18 +18 done", done.stdout)

"""The smoke study from end to end."""

import json

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import xarray as xr

pytestmark = pytest.mark.xdist_group("smoke")

FIGURES = (
    "fig01_displacement",
    "fig02_alignment",
    "fig03_localization",
    "fig04_training_loss",
    "fig05_test_accuracy",
    "fig06_eigenvalues",
    "fig07_convergence",
)
OPTIMIZERS = {"sgd": "batch64-lr0.05", "adam": "batch64-lr0.001"}


@pytest.fixture(scope="module")
def results(smoke):
    return smoke.path / "results/smoke"


@pytest.fixture(scope="module")
def metrics(results):
    return {
        (optimizer, seed): xr.open_zarr(
            results / f"runs/digits/mlp-8/{optimizer}/{settings}/seed{seed}/metrics.zarr"
        ).load()
        for optimizer, settings in OPTIMIZERS.items()
        for seed in (0, 1)
    }


def table(results, name):
    return pd.read_csv(results / f"figures/{name}.csv")


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_pictures_with_numbers(results, name):
    pixels = matplotlib.image.imread(results / f"figures/{name}.png")
    assert min(pixels.shape[:2]) > 300
    assert np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0).shape[0] > 20
    assert (results / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF")
    assert len(table(results, name)) > 3


def test_nothing_is_left_to_do(smoke):
    assert smoke.planned() == {}


def test_no_scratch_is_left(results):
    assert [path for path in results.rglob(".*") if path.name != ".snakemake_timestamp"] == []


def test_stores_open_as_they_are(results):
    for store in results.rglob("*.zarr"):
        assert xr.open_zarr(store).attrs["schema_version"] == 2


def test_fig01_shows_the_displacement_between_stored_eigenvectors(results):
    shown = table(results, "fig01_displacement").query("quantity == 'displacement' and optimizer == 'adam'")
    vectors = {}
    for seed in (0, 1):
        run = results / f"runs/digits/mlp-8/adam/{OPTIMIZERS['adam']}/seed{seed}"
        store = xr.open_zarr(run / "eigenpairs.zarr")
        for step, vector in zip(store["step"].values, store["eigenvector"].values[:, 0], strict=True):
            vectors[seed, step] = vector.astype(float) / np.linalg.norm(vector.astype(float))
    assert len(shown) > 5
    for row in shown.itertuples():
        moved = [
            min(
                np.sum(
                    (vectors[seed, row.waiting_time + row.lag] - sign * vectors[seed, row.waiting_time]) ** 2
                )
                for sign in (1, -1)
            )
            for seed in (0, 1)
        ]
        assert row.mean == pytest.approx(np.mean(moved), abs=1e-9)


def test_fig02_shows_every_checkpoint_rank_and_run(results, metrics):
    shown = table(results, "fig02_alignment")
    assert len(shown) == sum(run["gradient_alignment"].size for run in metrics.values())
    sgd = shown.query("optimizer == 'sgd'")
    # The update of plain SGD is parallel to the gradient, up to the rounding of float32 weights.
    np.testing.assert_allclose(sgd["update_alignment"], sgd["gradient_alignment"], atol=1e-3)
    adam = shown.query("optimizer == 'adam'")
    assert (adam["update_alignment"] - adam["gradient_alignment"]).abs().max() > 0.05


@pytest.mark.parametrize(
    ("figure", "quantity", "rank"),
    [
        ("fig03_localization", "inverse_participation_ratio", 1),
        ("fig04_training_loss", "train_loss", None),
        ("fig06_eigenvalues", "eigenvalue", 2),
        ("fig07_convergence", "final_overlap", 3),
    ],
)
def test_bands_are_mean_and_range_over_seeds(results, metrics, figure, quantity, rank):
    shown = table(results, figure)
    if "rank" in shown:
        shown = shown[shown["rank"] == rank]
    for optimizer in OPTIMIZERS:
        rows = shown[shown["optimizer"] == optimizer].sort_values("step")
        runs = [metrics[optimizer, seed][quantity] for seed in (0, 1)]
        values = np.array([run.values if rank is None else run.sel(rank=rank).values for run in runs])
        np.testing.assert_allclose(rows["mean"], values.mean(0))
        np.testing.assert_allclose(rows["minimum"], values.min(0))
        np.testing.assert_allclose(rows["maximum"], values.max(0))
        assert list(rows["seeds"]) == [2] * values.shape[1]


def test_fig03_baseline_is_the_null_models_median(results):
    baseline = xr.open_zarr(results / "null/digits/mlp-8/reinitialized-baseline.zarr")
    expected = np.median(baseline["inverse_participation_ratio"].sel(rank=1))
    shown = table(results, "fig03_localization").query("quantity == 'baseline'")
    assert shown["median"].item() == pytest.approx(expected)


def test_fig05_is_the_accuracy_at_the_end(results, metrics):
    shown = table(results, "fig05_test_accuracy")
    expected = {key: float(run["test_accuracy"][-1]) for key, run in metrics.items()}
    assert {(row.optimizer, row.seed): row.test_accuracy for row in shown.itertuples()} == pytest.approx(
        expected
    )


def test_claims_are_decided(results):
    claims = json.loads((results / "claims.json").read_text())["claims"]
    assert [claim["claim"] for claim in claims] == ["C1", "C2", "C3", "C4"]
    for claim in claims:
        low, high = claim["interval"]
        assert low <= claim["effect"] <= high
        assert claim["effect"] == pytest.approx(np.mean(list(claim["seeds"].values())))
        expected = (
            "supported"
            if low > claim["smallest_effect"]
            else "contradicted"
            if high < claim["smallest_effect"]
            else "undecided"
        )
        assert claim["verdict"] == expected
    assert list(pd.read_csv(results / "claims.csv")["verdict"]) == [claim["verdict"] for claim in claims]


def test_the_same_study_gives_the_same_bytes(smoke, results):
    run = results / "runs/digits/mlp-8/adam/batch64-lr0.001/seed1"
    names = [run / f"{kind}.json" for kind in ("trajectory", "eigenpairs", "metrics")]
    names += [results / f"figures/{name}.{ending}" for name in FIGURES for ending in ("png", "pdf", "csv")]
    names += [results / "claims.json", results / "null/digits/mlp-8/reinitialized.json"]
    before = {name: name.read_bytes() for name in names}
    rules = ["train", "eigenpairs", "null", "claims", *(name[:5] for name in FIGURES)]
    result = smoke.snakemake("--forcerun", *rules)
    assert result.returncode == 0, result.stdout
    for name, content in before.items():
        assert name.read_bytes() == content, f"{name.name} differs"

"""Figures 10 to 16 of the smoke study, against the stores of the runs with plain numpy."""

from io import StringIO
from math import gamma, pi, sqrt

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import zarr
from figure_checks import check_picture

from eigendrift.figures.declarations import FIGURES as DECLARED

pytestmark = pytest.mark.xdist_group("smoke")

FIGURES = {
    "fig10_weight_displacement": {"dataset": "digits", "waiting_times": 3},
    "fig11_weight_change_alignment": {"dataset": "digits", "waiting_times": 3},
    "fig12_raw_alignment": {"dataset": "digits"},
    "fig13_alignment_means": {"dataset": "digits"},
    "fig14_alignment_means": {"dataset": "mnist5k"},
    "fig15_wide_localization": {"dataset": "digits"},
    "fig16_leading_eigenvector": {"image_shape": [8, 8], "classes": 10},
}
OPTIMIZERS = {"sgd": "batch64-lr0.05", "adam": "batch64-lr0.001"}
STEPS = list(range(0, 61, 10))
WAITING = {0: [10, 20, 30, 40, 50, 60], 20: [10, 20, 30, 40], 50: [10]}


@pytest.fixture(scope="module")
def results(smoke):
    return smoke.path / "results/smoke"


@pytest.fixture(scope="module")
def stored(results):
    """Return an array of a run's store in float64; eigenvectors are of length 1 and those unconverged NaN."""

    def load(name, optimizer, seed=0, dataset="digits", kind="trajectory"):
        run = results / f"runs/{dataset}/mlp-8/{optimizer}/{OPTIMIZERS[optimizer]}/seed{seed}"
        group = zarr.open_group(run / f"{kind}.zarr", mode="r")
        values = np.asarray(group[name]).astype(float)
        if name == "eigenvector":
            values /= np.linalg.norm(values, axis=-1, keepdims=True)
            values[~np.asarray(group["converged"])] = np.nan
        return values

    return load


def table(results, name):
    return pd.read_csv(results / f"figures/{name}.csv")


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def mean_overlap(parameters):
    """Mean |⟨u, w⟩| of isotropic unit vectors, from the ratio of Γ at halves taken down to N of 1 or 2."""
    ratio, n = (gamma(0.5) / gamma(1), 1) if parameters % 2 else (gamma(1) / gamma(1.5), 2)
    for halved in range(n, parameters, 2):
        ratio *= halved / (halved + 1)
    return ratio / sqrt(pi)


@pytest.mark.parametrize("name", FIGURES)
def test_pictures_are_not_blank(results, name):
    check_picture(results / "figures", name)


@pytest.mark.parametrize("name", FIGURES)
def test_axes_are_labelled_and_legends_name_what_is_drawn(results, name):
    dataset = FIGURES[name].get("dataset", "digits")
    kind = {"15": "wide/metrics", "16": "eigenpairs"}.get(name[3:5], "metrics")
    seeds = (0,) if name[3:5] in {"12", "15", "16"} else (0, 1)
    paths = [
        results / f"runs/{dataset}/mlp-8/{optimizer}/{settings}/seed{seed}/{kind}.zarr"
        for optimizer, settings in OPTIMIZERS.items()
        for seed in seeds
    ]
    baseline = results / f"null/{dataset}/mlp-8/reinitialized-baseline.zarr"
    stores = {"eigenpairs": paths} if kind == "eigenpairs" else {"metrics": paths, "baselines": [baseline]}
    plotted = DECLARED[name].draw(DECLARED[name].read(**stores), **FIGURES[name])
    figure = plotted.figure
    # It is the figure that the workflow drew.
    again = pd.read_csv(StringIO(plotted.table.to_csv(index=False)))
    pd.testing.assert_frame_equal(again, table(results, name), check_dtype=False)
    rows = figure.axes[0].get_gridspec().nrows
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert all(panel.get_xlabel() for panel in panels[-2:])
    assert all(panel.get_ylabel() or not panel.get_yticks().size for panel in panels[::2])
    assert len(panels) == 2 * rows
    drawn = {
        artist.get_label()
        for axes in figure.axes
        for artist in (*axes.lines, *axes.patches)
        if artist.get_label() and not artist.get_label().startswith("_")
    }
    named = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert drawn == named
    assert "N = " in figure.get_supxlabel()
    plt.close(figure)


def test_fig10_is_the_mean_square_movement_of_the_weights(results, stored):
    shown = table(results, "fig10_weight_displacement")
    assert len(shown) == 2 * sum(map(len, WAITING.values()))
    for row in shown.itertuples():
        assert row.lag in WAITING[row.waiting_time]
        start, end = row.waiting_time // 10, (row.waiting_time + row.lag) // 10
        weights = [stored("weights", row.optimizer, seed) for seed in (0, 1)]
        moved = [np.mean((path[end] - path[start]) ** 2) for path in weights]
        assert row.mean == pytest.approx(np.mean(moved), rel=1e-12)
        assert row.seeds == 2


def test_fig11_is_the_cosine_of_the_weight_change_and_the_eigenvector_before(results, stored):
    shown = table(results, "fig11_weight_change_alignment")
    isotropic = shown["quantity"] == "isotropic"
    assert shown[isotropic]["mean"].tolist() == pytest.approx(2 * [mean_overlap(610)], rel=1e-9)
    assert len(shown[~isotropic]) == 2 * sum(map(len, WAITING.values()))
    for row in shown[~isotropic].itertuples():
        start, end = int(row.waiting_time) // 10, int(row.waiting_time + row.lag) // 10
        cosines = []
        for seed in (0, 1):
            weights = stored("weights", row.optimizer, seed)
            vectors = stored("eigenvector", row.optimizer, seed, kind="eigenpairs")
            cosines.append(abs(unit(weights[end] - weights[start]) @ vectors[start, 0]))
        assert row.mean == pytest.approx(np.mean(cosines), abs=1e-12)


def test_fig12_is_signed_by_the_gradient(results, stored):
    shown = table(results, "fig12_raw_alignment")
    assert shown.groupby(["optimizer", "rank"])["step"].apply(list).tolist() == 6 * [STEPS]
    for row in shown.itertuples():
        at = row.step // 10
        vector = stored("eigenvector", row.optimizer, kind="eigenpairs")[at, row.rank - 1]
        gradient = unit(stored("gradient", row.optimizer)[at]) @ vector
        update = unit(stored("update", row.optimizer)[at]) @ vector
        assert row.gradient_alignment == pytest.approx(abs(gradient), abs=1e-12)
        assert row.update_alignment == pytest.approx(np.sign(gradient) * update, abs=1e-12)
    sgd = shown[shown["optimizer"] == "sgd"]
    np.testing.assert_allclose(sgd["update_alignment"], -sgd["gradient_alignment"], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "dataset", "parameters"),
    [("fig13_alignment_means", "digits", 610), ("fig14_alignment_means", "mnist5k", 6370)],
)
def test_fig13_and_fig14_are_means_over_checkpoints(results, stored, name, dataset, parameters):
    shown = table(results, name)
    assert set(shown["dataset"]) == {dataset}
    isotropic = shown["quantity"] == "isotropic"
    assert shown[isotropic]["mean"].tolist() == pytest.approx(2 * [mean_overlap(parameters)], rel=1e-9)
    points = shown[~isotropic]
    assert (
        len(points.drop_duplicates(["quantity", "optimizer", "seed", "rank"])) == len(points) == 2 * 2 * 2 * 3
    )
    for row in points.itertuples():
        direction = row.quantity.removesuffix("_alignment")
        seed, rank = int(row.seed), int(row.rank)
        vectors = stored("eigenvector", row.optimizer, seed, dataset, "eigenpairs")[:, rank - 1]
        cosines = np.sum(unit(stored(direction, row.optimizer, seed, dataset)) * vectors, axis=1)
        assert row.mean == pytest.approx(np.nanmean(np.abs(cosines)), abs=1e-12)
        assert row.checkpoints == np.isfinite(cosines).sum()


def test_fig15_is_the_sum_of_fourth_powers_of_every_rank(results, stored):
    shown = table(results, "fig15_wide_localization")
    ratios = shown[shown["quantity"] == "inverse_participation_ratio"]
    expected = {}
    for optimizer in OPTIMIZERS:
        vectors = stored("eigenvector", optimizer, kind="wide/eigenpairs")
        assert vectors.shape[1] == 5
        fourth = np.sum(vectors**4, axis=-1)
        for (checkpoint, index), value in np.ndenumerate(fourth):
            if np.isfinite(value):
                expected[optimizer, index + 1, STEPS[::2][checkpoint]] = value
    found = {(row.optimizer, int(row.rank), int(row.step)): row.value for row in ratios.itertuples()}
    assert found == pytest.approx(expected, rel=1e-12)
    assert shown[shown["quantity"] == "isotropic"]["mean"].tolist() == pytest.approx(2 * [3 / 612])
    null = zarr.open_group(results / "null/digits/mlp-8/reinitialized.zarr", mode="r")
    draws = np.asarray(null["eigenvector"])[:, 0].astype(float)[np.asarray(null["converged"])[:, 0]]
    band = np.quantile(np.sum(unit(draws) ** 4, axis=-1), [0.5, 0.05, 0.95])
    baseline = shown[shown["quantity"] == "baseline"][["median", "low", "high"]].to_numpy()
    np.testing.assert_allclose(baseline, [band, band])


def test_fig16_is_the_last_leading_eigenvector_in_the_networks_shapes(results, stored):
    shown = table(results, "fig16_leading_eigenvector")
    first = None
    for optimizer in OPTIMIZERS:
        run = results / f"runs/digits/mlp-8/{optimizer}/{OPTIMIZERS[optimizer]}/seed0"
        vector = np.asarray(zarr.open_group(run / "eigenpairs.zarr", mode="r")["eigenvector"])[-1, 0]
        vector = vector * np.sign(vector[np.abs(vector).argmax()] if first is None else vector @ first)
        first = vector if first is None else first
        rows = shown[shown["optimizer"] == optimizer]
        assert rows["parameter"].tolist() == list(range(610))
        np.testing.assert_allclose(rows["value"], vector, rtol=1e-6)
        # 8 units of 64 pixels, their biases; 10 classes of 8 units, their biases.
        parts = [(1, 8, 64), (1, 8, None), (2, 10, 8), (2, 10, None)]
        expected = [
            (layer, unit_, column)
            for layer, units, inputs in parts
            for unit_ in range(units)
            for column in (range(inputs) if inputs else [-1])
        ]
        columns = rows["column"].fillna(-1).astype(int)
        assert list(zip(rows["layer"], rows["row"], columns, strict=True)) == expected

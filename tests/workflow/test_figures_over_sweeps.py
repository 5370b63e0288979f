"""Figures 17 to 21 of the smoke study, against their numbers computed anew from the stores."""

import math
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import zarr
from clone import Clone
from figure_checks import check_labels, check_legend, check_picture

from eigendrift.figures.declarations import FIGURES as DECLARED
from eigendrift.figures.parts import Plotted
from eigendrift.figures.style import house_style

pytestmark = pytest.mark.xdist_group("smoke")

BATCH_SIZES = {"sgd": (64, 128, "full"), "adam": (64, 128, "full")}
LEARNING_RATES = {"sgd": (0.05, 0.2), "adam": (0.001, 0.01)}
USUAL = {"sgd": "batch64-lr0.05", "adam": "batch64-lr0.001"}
# Steps that see as many samples, but for the full batch; seven checkpoints each.
STEPS = {64: 60, 128: 30, "full": 12}
SHARES = [index / 6 for index in range(7)]
# Of waiting times 0, 1/3 and 5/6.
WAITING = (0, 2, 5)
PARAMETERS = 64 * 8 + 8 + 8 * 10 + 10
# Name, module that draws it, its settings, what varies, and its values.
SWEEPS: dict[str, tuple[dict[str, Any], str, dict[str, tuple[Any, ...]]]] = {
    "fig17_learning_rate_alignment": ({}, "learning_rate", LEARNING_RATES),
    "fig18_batch_size_localization": ({}, "batch_size", BATCH_SIZES),
    "fig19_learning_rate_localization": ({}, "learning_rate", LEARNING_RATES),
    "fig20_batch_size_displacement": (
        {"waiting_times": 3},
        "batch_size",
        BATCH_SIZES,
    ),
    "fig21_learning_rate_displacement": (
        {"waiting_times": 3},
        "learning_rate",
        LEARNING_RATES,
    ),
}
LOCALIZATION = ("fig18_batch_size_localization", "fig19_learning_rate_localization")
DISPLACEMENT = ("fig20_batch_size_displacement", "fig21_learning_rate_displacement")


@pytest.fixture(scope="module")
def results(smoke: Clone) -> Path:
    return smoke.path / "results/smoke"


def arrays(store: Path) -> dict[str, np.ndarray]:
    return {name: np.asarray(array) for name, array in zarr.open_group(store, mode="r").arrays()}


def directory(results: Path, optimizer: str, varied: str, value: Any) -> Path:
    """Where the run of seed 0 with one value lies; everything else is as usual."""
    batches, _, rate = USUAL[optimizer].partition("-lr")
    spelt = f"batch{value}-lr{rate}" if varied == "batch_size" else f"{batches}-lr{value}"
    return results / f"runs/digits/mlp-8/{optimizer}/{spelt}/seed0"


def eigenvectors(store: Path) -> np.ndarray:
    """Unit eigenvectors in float64, (checkpoint or draw, rank, parameter); NaN where not converged."""
    pairs = arrays(store)
    vectors = np.where(pairs["converged"][..., None], pairs["eigenvector"].astype(float), np.nan)
    return vectors / np.sqrt((vectors**2).sum(-1, keepdims=True))


def moved(one: np.ndarray, other: np.ndarray) -> float:
    return min(float(((other - sign * one) ** 2).sum()) for sign in (1, -1))


def isotropic_overlap() -> float:
    half = PARAMETERS / 2
    return math.exp(math.lgamma(half) - math.lgamma(half + 0.5)) / math.sqrt(math.pi)


def settings_of(values: dict[str, tuple[Any, ...]]) -> list[tuple[str, Any]]:
    """Each optimizer with each of its values."""
    return [(optimizer, value) for optimizer, listed in values.items() for value in listed]


def table(results: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(results / f"figures/{name}.csv")


def rows_of(shown: pd.DataFrame, optimizer: str, varied: str, value: Any) -> pd.DataFrame:
    # Beside "full", batch sizes are read as text.
    return shown[(shown["optimizer"] == optimizer) & (shown[varied].astype(str) == str(value))]


@pytest.mark.parametrize("name", SWEEPS)
def test_pictures_are_not_blank(results: Path, name: str) -> None:
    check_picture(results / "figures", name)


def test_fig17_shows_mean_alignments_with_stored_eigenvectors(results: Path) -> None:
    shown = table(results, "fig17_learning_rate_alignment")
    aligned = shown[shown["quantity"] == "alignment"]
    expected = 0
    for optimizer, rate in settings_of(LEARNING_RATES):
        for direction in ("gradient", "update"):
            run = directory(results, optimizer, "learning_rate", rate)
            vectors = eigenvectors(run / "eigenpairs.zarr")
            motion = arrays(run / "trajectory.zarr")[direction].astype(float)
            cosines = (
                np.abs(np.einsum("crp,cp->cr", vectors, motion)) / np.linalg.norm(motion, axis=1)[:, None]
            )
            rows = rows_of(aligned[aligned["direction"] == direction], optimizer, "learning_rate", rate)
            for name in ("mean", "minimum", "maximum"):
                np.testing.assert_allclose(rows.sort_values("rank")[name], np.nanmean(cosines, 0))
            expected += len(rows)
    assert len(aligned) == expected == 2 * 4 * 3
    isotropic = shown[shown["quantity"] == "isotropic"]["mean"]
    assert isotropic.tolist() == pytest.approx(6 * [isotropic_overlap()])


@pytest.mark.parametrize("name", LOCALIZATION)
def test_fig18_and_fig19_show_the_localization_of_stored_eigenvectors(results: Path, name: str) -> None:
    _, varied, values = SWEEPS[name]
    shown = table(results, name)
    for optimizer, value in settings_of(values):
        run = directory(results, optimizer, varied, value)
        steps = arrays(run / "eigenpairs.zarr")["step"]
        assert steps[-1] == STEPS[value if varied == "batch_size" else 64]
        ratios = (eigenvectors(run / "eigenpairs.zarr")[:, 0] ** 4).sum(-1)
        rows = rows_of(shown, optimizer, varied, value)
        np.testing.assert_allclose(rows["share"], np.array(SHARES)[np.isfinite(ratios)])
        for band in ("mean", "minimum", "maximum"):
            np.testing.assert_allclose(rows[band], ratios[np.isfinite(ratios)])
    draws = (eigenvectors(results / "null/digits/mlp-8/reinitialized.zarr")[:, 0] ** 4).sum(-1)
    baseline = shown[shown["quantity"] == "baseline"]
    for row in baseline.itertuples():
        assert (row.low, row.median, row.high) == pytest.approx(np.nanquantile(draws, [0.05, 0.5, 0.95]))
    isotropic = shown[shown["quantity"] == "isotropic"]
    assert isotropic["mean"].tolist() == pytest.approx(2 * [3 / (PARAMETERS + 2)])
    assert baseline["optimizer"].tolist() == isotropic["optimizer"].tolist() == ["sgd", "adam"]
    assert set(shown[varied].dropna().astype(str)) == {str(value) for _, value in settings_of(values)}


@pytest.mark.parametrize("name", DISPLACEMENT)
def test_fig20_and_fig21_show_the_displacement_of_stored_eigenvectors(results: Path, name: str) -> None:
    _, varied, values = SWEEPS[name]
    shown = table(results, name)
    curves = shown[shown["quantity"] == "displacement"]
    expected = 0
    for optimizer, value in settings_of(values):
        store = directory(results, optimizer, varied, value) / "eigenpairs.zarr"
        vectors = eigenvectors(store)[:, 0]
        times = [
            (SHARES[start], SHARES[end] - SHARES[start], moved(vectors[start], vectors[end]))
            for start in WAITING
            for end in range(start + 1, 7)
            if np.isfinite(vectors[[start, end]]).all()
        ]
        rows = rows_of(curves, optimizer, varied, value)[["waiting_time", "lag", "mean"]]
        np.testing.assert_allclose(rows, times, rtol=1e-9, atol=1e-12)
        expected += len(times)
    assert len(curves) == expected > 20
    draws = eigenvectors(results / "null/digits/mlp-8/reinitialized.zarr")[:, 0]
    null = [moved(one, other) for one, other in combinations(draws[np.isfinite(draws).all(1)], 2)]
    for row in shown[shown["quantity"] == "baseline"].itertuples():
        assert (row.low, row.median, row.high) == pytest.approx(np.quantile(null, [0.05, 0.5, 0.95]))
    isotropic = shown[shown["quantity"] == "isotropic"]["mean"]
    assert isotropic.tolist() == pytest.approx(len(settings_of(values)) * [2 * (1 - isotropic_overlap())])


def drawn(results: Path, name: str) -> Plotted:
    """The figure, drawn again from its stores."""
    settings, varied, values = SWEEPS[name]
    stores = {
        "metrics": [
            directory(results, optimizer, varied, value) / "metrics.zarr"
            for optimizer, value in settings_of(values)
        ],
        "baselines": [results / "null/digits/mlp-8/reinitialized-baseline.zarr"],
    }
    figure = DECLARED[name]
    with house_style({}):
        return figure.draw(figure.read(**stores), **settings)


@pytest.mark.parametrize("name", SWEEPS)
def test_the_file_is_what_the_module_draws_with_all_axes_labelled(results: Path, name: str) -> None:
    plotted = drawn(results, name)
    again = pd.read_csv(StringIO(plotted.table.to_csv(index=False)))
    pd.testing.assert_frame_equal(again, table(results, name), check_dtype=False)
    check_labels(plotted.figure)
    legend = [text.get_text() for text in plotted.figure.legends[0].get_texts()]
    if name == "fig19_learning_rate_localization":
        # Each optimizer's values are named below its panel, what they are compared with once.
        assert [text.partition("\n")[0] for text in legend] == [
            "reinitialized null",
            "isotropic vectors (mean)",
        ]
        for panel, listed in zip(plotted.figure.axes, LEARNING_RATES.values(), strict=True):
            named = [text.get_text() for text in panel.get_legend().get_texts()]
            assert named == [str(value) for value in listed]
            assert {line.get_label() for line in panel.lines} == {*named, *legend}
    else:
        check_legend(plotted.figure)
    plt.close("all")

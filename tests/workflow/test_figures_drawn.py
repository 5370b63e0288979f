"""Figures 1 to 21 of the smoke study, redrawn: they equal their files, and their legends are complete."""

from collections.abc import Iterator
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from figure_checks import check_labels, check_legend
from smoke_stores import DATASETS, OPTIMIZERS, SEEDS, null_of, run_of, table

from eigendrift.figures.declarations import FIGURES as DECLARED
from eigendrift.figures.parts import Plotted
from eigendrift.figures.style import house_style

OVER_TIME = {"waiting_times": 3}
OF_DIGITS = {"dataset": "digits"}
# The settings of each figure.
FIGURES: dict[str, dict[str, Any]] = {
    "fig01_displacement": OF_DIGITS | OVER_TIME,
    "fig02_alignment": {},
    "fig03_localization": {},
    "fig04_training_loss": {},
    "fig05_test_accuracy": {},
    "fig06_eigenvalues": {},
    "fig07_convergence": {},
    "fig08_minima": {},
    "fig09_displacement": {"dataset": "mnist5k"} | OVER_TIME,
    "fig10_weight_displacement": OF_DIGITS | OVER_TIME,
    "fig11_weight_change_alignment": OF_DIGITS | OVER_TIME,
    "fig12_raw_alignment": OF_DIGITS,
    "fig13_alignment_means": OF_DIGITS,
    "fig14_alignment_means": {"dataset": "mnist5k"},
    "fig15_wide_localization": OF_DIGITS,
    "fig16_leading_eigenvector": {"image_shape": [8, 8], "classes": 10},
    "fig17_learning_rate_alignment": {},
    "fig18_batch_size_localization": {},
    "fig19_learning_rate_localization": {},
    "fig20_batch_size_displacement": OVER_TIME,
    "fig21_learning_rate_displacement": OVER_TIME,
}
SWEPT = {
    "batch_size": dict.fromkeys(OPTIMIZERS, (64, 128, "full")),
    "learning_rate": {"sgd": (0.05, 0.2), "adam": (0.001, 0.01)},
}
# In these figures, the panels of a row or column share labels.
SHARED_LABELS = ("fig15_wide_localization", "fig16_leading_eigenvector")
# These figures have named ticks, guide lines or legends in panels, which `check_legend` does not expect.
OWN_LEGENDS = {
    *("fig05_test_accuracy", "fig12_raw_alignment", "fig15_wide_localization", "fig16_leading_eigenvector"),
    "fig19_learning_rate_localization",
}


def stores_of(results: Path, name: str) -> dict[str, list[Path]]:
    """Return the stores that a figure reads, by kind."""
    settings, varied = FIGURES[name], next((key for key in SWEPT if key in name), None)
    if name == "fig08_minima":
        panels = product(DATASETS, OPTIMIZERS)
        return {"minima": [results / f"minima/{dataset}/mlp-8/{name}.zarr" for dataset, name in panels]}
    if name == "fig16_leading_eigenvector":
        return {"eigenpairs": [run_of(results, "digits", name) / "eigenpairs.zarr" for name in OPTIMIZERS]}
    if varied:
        values = [(name, value) for name, listed in SWEPT[varied].items() for value in listed]
        runs = [run_of(results, "digits", name, **{varied: value}) for name, value in values]
    else:
        seeds = (0,) if name[3:5] in ("12", "15") else SEEDS
        datasets = [settings["dataset"]] if "dataset" in settings else DATASETS
        runs = [run_of(results, *key) for key in product(datasets, OPTIMIZERS, seeds)]
    kind = "wide/metrics" if name == "fig15_wide_localization" else "metrics"
    baselines = {null_of(results, run.parts[-5], "reinitialized-baseline"): None for run in runs}
    return {"metrics": [run / f"{kind}.zarr" for run in runs], "baselines": list(baselines)}


@pytest.fixture(
    params=[
        "fig01_displacement",
        *(pytest.param(name, marks=pytest.mark.slow) for name in FIGURES if name[:5] != "fig01"),
    ]
)
def drawn(request: pytest.FixtureRequest, results: Path) -> Iterator[tuple[str, Plotted]]:
    name = request.param
    figure = DECLARED[name]
    with house_style({}):
        yield name, figure.draw(figure.read(**stores_of(results, name)), **FIGURES[name])
    plt.close("all")


def test_figures_equal_their_files_with_complete_labels_and_legends(drawn: tuple[str, Plotted], results: Path) -> None:
    name, plotted = drawn
    again = pd.read_csv(StringIO(plotted.table.to_csv(index=False)))
    pd.testing.assert_frame_equal(again, table(results, name), check_dtype=False)
    if name not in SHARED_LABELS:
        check_labels(plotted.figure)
    figure = plotted.figure
    legends = [*figure.legends, *filter(None, (panel.get_legend() for panel in figure.axes))]
    entries = [text.get_text() for legend in legends for text in legend.get_texts()]
    if name == "fig08_minima":
        assert entries == ["SGD", "Adam", "best run", "other run"]
    elif name in OWN_LEGENDS:
        artists = [artist for panel in figure.axes for artist in (*panel.lines, *panel.collections, *panel.patches)]
        names = {str(artist.get_label()) for artist in artists}
        assert {name for name in names if name and not name.startswith("_")} == set(entries)
    else:
        check_legend(figure)

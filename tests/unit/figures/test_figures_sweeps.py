"""Figures 17 to 21 on made-up sweeps: what is drawn where, for which runs, and compared with what."""

import numpy as np
import pytest
from figures_helpers import labels_of, sweep

from eigendrift.figures.declarations import FIGURES as DECLARED
from eigendrift.figures.style import DOTTED, ISOTROPIC, optimizer_lines
from eigendrift.figures.sweeps import value_lines
from eigendrift.metrics.sweep import Sweep

VALUES = {
    "batch_size": {"sgd": (256, 32, "full"), "adam": (256, 32, "full")},
    # Each optimizer has its own learning rates, and one has only one.
    "learning_rate": {"sgd": (0.2, 0.05), "momentum": (0.005,), "adam": (0.001, 0.0001, 0.01)},
}
# The run of seed 0 at Adam's second value.
DIVERGED = {"batch_size": ("adam 32", 0), "learning_rate": ("adam 0.0001", 0)}
ALIGNMENT = "fig17_learning_rate_alignment"
LOCALIZATION = ["fig18_batch_size_localization", "fig19_learning_rate_localization"]
DISPLACEMENT = ["fig20_batch_size_displacement", "fig21_learning_rate_displacement"]
FIGURES = [ALIGNMENT, *LOCALIZATION, *DISPLACEMENT]
REFERENCES = ["reinitialized null (median, central 90 %)", "isotropic vectors (mean)"]


def source_of(name: str, values: dict | None = None, diverged: bool = False, **sizes) -> Sweep:
    """Return a sweep for a figure; runs with an optimizer's n-th value take n times as many steps."""
    varied = "batch_size" if "batch_size" in name else "learning_rate"
    lost = {"diverged": DIVERGED[varied]} if diverged else {}
    source = sweep(varied, values or VALUES[varied], **lost, **sizes)
    for by_value in source.runs.values():
        for number, (value, runs) in enumerate(by_value.items(), 1):
            by_value[value] = runs.assign_coords(step=number * runs["step"])
    return source


def drawn(name: str, source: Sweep | None = None):
    settings = {"waiting_times": 3} if name in DISPLACEMENT else {}
    return DECLARED[name].draw(source or source_of(name), **settings)


def titles_of(plotted) -> list[str]:
    return [panel.get_title() for panel in plotted.figure.axes if panel.get_visible()]


@pytest.mark.parametrize("diverged", [False, True])
def test_alignment_is_the_mean_over_checkpoints_then_over_seeds(diverged):
    source = source_of(ALIGNMENT, diverged=diverged)
    table = drawn(ALIGNMENT, source).table
    assert len(table) == 2 * 3 * (2 + 1 + 3 + 1)
    for row in table.dropna(subset="optimizer").itertuples():
        runs = source.runs[row.optimizer][row.learning_rate]
        values = np.abs(runs[f"{row.direction}_alignment"].values[..., int(row.rank) - 1])
        lost = diverged and row.learning_rate == 0.0001
        assert np.isnan(values[0]).any() == lost
        means = [np.mean(of_run[np.isfinite(of_run)]) for of_run in values]
        found = (row.mean, row.minimum, row.maximum)
        assert found == pytest.approx((np.mean(means), min(means), max(means)))


def test_alignment_has_a_panel_for_each_direction_and_rank():
    plotted = drawn(ALIGNMENT)
    panels = plotted.figure.axes
    expected = [f"{name}, $i = {rank}$" for name in ("gradient", "update") for rank in (1, 2, 3)]
    assert titles_of(plotted) == expected
    assert {panel.get_xscale() for panel in panels} == {"log"}
    assert {panel.get_xlabel() for panel in panels} == {"learning rate"}
    legend = labels_of(plotted.figure)
    assert legend == ["SGD", "SGD + momentum", "Adam", "isotropic vectors (mean)"]
    lines = {line.get_label(): line.get_xdata() for line in panels[0].lines}
    for name, rates in (("SGD", (0.05, 0.2)), ("SGD + momentum", (0.005,)), ("Adam", (0.0001, 0.001, 0.01))):
        np.testing.assert_array_equal(lines[name], rates)


@pytest.mark.parametrize("name", LOCALIZATION)
@pytest.mark.parametrize("diverged", [False, True])
def test_localization_is_mean_and_range_over_seeds_next_to_null_model_and_isotropic_vectors(name, diverged):
    source = source_of(name, diverged=diverged)
    plotted = drawn(name, source)
    table = plotted.table.query("quantity == 'inverse_participation_ratio'")
    for (optimizer, value), rows in table.groupby(["optimizer", source.varied], sort=False):
        measured = source.runs[optimizer][value]["inverse_participation_ratio"].values[..., 0]
        there = np.isfinite(measured).any(0)
        for column, reduce in (("mean", np.nanmean), ("minimum", np.nanmin), ("maximum", np.nanmax)):
            np.testing.assert_allclose(rows[column], reduce(measured[:, there], 0))
        np.testing.assert_array_equal(rows["share"], np.array([0, 0.25, 0.5, 0.75, 1])[there])
        np.testing.assert_array_equal(rows["seeds"], np.isfinite(measured).sum(0)[there])
    shown = {(optimizer, value) for optimizer, value in table[["optimizer", source.varied]].values}
    assert shown == {(name, value) for name, by_value in source.runs.items() for value in by_value}
    panels = plotted.figure.axes
    assert {panel.get_xlabel() for panel in panels} == {"share of training"}
    assert {panel.get_yscale() for panel in panels} == {"log"}
    median = np.median(source.baseline["inverse_participation_ratio"].values[:, 0])
    references = plotted.table[plotted.table["quantity"].isin(["baseline", "isotropic"])]
    assert references["median"].dropna().tolist() == pytest.approx(len(panels) * [median])
    assert references["mean"].dropna().tolist() == pytest.approx(len(panels) * [3 / 102])


def test_shared_values_are_in_one_legend_and_other_values_below_the_panel_of_their_optimizer():
    plotted = drawn(LOCALIZATION[0])
    assert [panel.get_legend() for panel in plotted.figure.axes] == [None, None]
    assert labels_of(plotted.figure) == ["32", "256", "full", *REFERENCES]
    assert plotted.figure.legends[0].get_title().get_text() == "batch size"
    plotted = drawn(LOCALIZATION[1])
    legends = [panel.get_legend() for panel in plotted.figure.axes]
    found = [labels_of(legend) for legend in legends]
    assert found == [["0.05", "0.2"], ["0.005"], ["0.0001", "0.001", "0.01"]]
    assert {legend.get_title().get_text() for legend in legends} == {"learning rate"}
    assert labels_of(plotted.figure) == REFERENCES


@pytest.mark.parametrize("name", DISPLACEMENT)
@pytest.mark.parametrize("diverged", [False, True])
def test_displacement_is_the_mean_over_seeds_at_shares_of_training(name, diverged):
    source = source_of(name, diverged=diverged)
    table = drawn(name, source).table
    curves = table.query("quantity == 'displacement'")
    for row in curves.to_dict("records"):
        runs = source.runs[row["optimizer"]][row[source.varied]]
        start, end = (round(4 * share) for share in (row["waiting_time"], row["waiting_time"] + row["lag"]))
        cells = runs["displacement"].values[:, start, end, 0]
        assert end > start
        assert row["mean"] == pytest.approx(np.nanmean(cells))
        assert row["seeds"] == np.isfinite(cells).sum()
    assert set(curves["waiting_time"]) == {0, 0.5, 0.75}
    settings = sum(map(len, source.runs.values()))
    assert len(curves) == settings * (4 + 2 + 1)
    median = np.median(source.baseline["displacement"].values[:, 0])
    assert table["median"].dropna().tolist() == pytest.approx(settings * [median])


def test_displacement_has_a_row_for_each_value_and_a_column_for_each_optimizer():
    plotted = drawn(DISPLACEMENT[1])
    assert titles_of(plotted) == [
        "SGD\nlearning rate 0.2",
        "SGD + momentum\nlearning rate 0.005",
        "Adam\nlearning rate 0.001",
        "SGD\nlearning rate 0.05",
        "Adam\nlearning rate 0.0001",
        "Adam\nlearning rate 0.01",
    ]
    # The first panel of each row has the label and the numbers of the axis.
    visible = [panel for panel in plotted.figure.axes if panel.get_visible()]
    labelled = [panel.get_title() for panel in visible if panel.get_ylabel()]
    assert labelled == ["SGD\nlearning rate 0.2", "SGD\nlearning rate 0.05", "Adam\nlearning rate 0.01"]
    assert visible[-1].yaxis.get_tick_params()["labelleft"]
    assert labels_of(plotted.figure) == ["0", "0.5", "0.75", *REFERENCES]
    assert titles_of(drawn(DISPLACEMENT[0]))[-2:] == ["SGD\nfull batch", "Adam\nfull batch"]


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_the_note_has_parameters_seeds_divergences_and_steps(name):
    source = source_of(name, diverged=True)
    below = drawn(name, source).figure.get_supxlabel()
    assert "digits: N = 100 parameters, 2 seeds for each" in below
    assert f"adam, {list(source.runs['adam'])[1]}: seed 0 diverged at step 15" in below
    steps = {
        "batch_size": "40 steps with batch size 256, 80 steps with batch size 32, 120 steps with full batch",
        "learning_rate": "40 steps with learning rate 0.2, 80 steps with learning rate 0.05",
    }
    assert f"training: {steps[source.varied]}" in below
    if name == ALIGNMENT:  # equal lengths are noted once
        below = drawn(name, source_of(name, {"sgd": (0.2,), "adam": (0.01,)})).figure.get_supxlabel()
        assert "\ntraining: 40 steps" in below


@pytest.mark.slow
@pytest.mark.parametrize("name", [ALIGNMENT, LOCALIZATION[1], DISPLACEMENT[0]])
@pytest.mark.parametrize("measured", [True, False])
def test_a_single_value_and_runs_without_measurements_are_drawn(name, measured):
    value = "full" if "batch_size" in name else 0.05
    source = source_of(name, {"sgd": (value,)}, seeds=1)
    if not measured:
        runs = source.runs["sgd"][value]
        nothing = {name: values * np.nan for name, values in runs.items() if values.ndim > 1}
        source.runs["sgd"][value] = runs.assign(nothing)
    drawn(name, source).figure.draw_without_rendering()


def test_values_have_lines_that_no_optimizer_has():
    lines = value_lines(["full", 256, 32, 64])
    assert list(lines) == [32, 64, 256, "full"]
    colours = [line["color"] for value, line in lines.items() if value != "full"]
    lightness = [np.dot(colour[:3], (0.2, 0.7, 0.1)) for colour in colours]
    assert lightness == sorted(lightness)
    assert np.diff(lightness).min() > 0.1
    assert len({(str(line["color"]), str(line["linestyle"])) for line in lines.values()}) == 4
    others = {line["color"] for line in optimizer_lines(["sgd", "momentum", "adam"]).values()}
    assert not others & {line["color"] for line in lines.values() if isinstance(line["color"], str)}
    # Dots are reserved for random directions.
    dashes = [line["linestyle"] for line in value_lines(["full", 8, 16, 32, 64, 128, 256]).values()]
    assert DOTTED not in dashes
    assert ISOTROPIC["linestyle"] not in dashes

"""Figures 17 to 21 on made-up sweeps: what is drawn where, of which runs, against what."""

import numpy as np
import pytest
from figures_helpers import sweep

from eigendrift.figures.declarations import FIGURES as DECLARED
from eigendrift.figures.style import DOTTED, ISOTROPIC, optimizer_lines
from eigendrift.figures.sweeps import value_lines
from eigendrift.metrics.sweep import Sweep

VALUES = {
    "batch_size": {"sgd": (256, 32, "full"), "adam": (256, 32, "full")},
    # Each optimizer has its own; one of them has one alone.
    "learning_rate": {"sgd": (0.2, 0.05), "momentum": (0.005,), "adam": (0.001, 0.0001, 0.01)},
}
# The run of seed 0 at the second value of Adam's.
DIVERGED = {"batch_size": ("adam 32", 0), "learning_rate": ("adam 0.0001", 0)}
FIGURES = {
    "fig17_learning_rate_alignment": {},
    "fig18_batch_size_localization": {},
    "fig19_learning_rate_localization": {},
    "fig20_batch_size_displacement": {"waiting_times": 3},
    "fig21_learning_rate_displacement": {"waiting_times": 3},
}


def varied_in(name: str) -> str:
    return "batch_size" if "batch_size" in name else "learning_rate"


def source_of(name: str, values: dict | None = None, **settings) -> Sweep:
    """A sweep for a figure; the runs with an optimizer's n-th value take n times as many steps."""
    varied = varied_in(name)
    source = sweep(varied, values or VALUES[varied], **settings)
    for by_value in source.runs.values():
        for number, (value, runs) in enumerate(by_value.items(), 1):
            by_value[value] = runs.assign_coords(step=number * runs["step"])
    return source


def drawn(name: str, source: Sweep):
    return DECLARED[name].draw(source, **FIGURES[name])


def labels_of(legend) -> list[str]:
    return [text.get_text().replace("\n", " ") for text in legend.get_texts()]


def visible(plotted):
    return [panel for panel in plotted.figure.axes if panel.get_visible()]


@pytest.mark.parametrize("diverged", [False, True])
def test_fig17_is_the_mean_over_checkpoints_then_over_seeds(diverged):
    source = source_of("fig17_learning_rate_alignment", diverged=DIVERGED["learning_rate"] if diverged else None)
    table = drawn("fig17_learning_rate_alignment", source).table
    assert len(table) == 2 * 3 * (2 + 1 + 3 + 1)
    for row in table.dropna(subset="optimizer").itertuples():
        runs = source.runs[row.optimizer][row.learning_rate]
        values = np.abs(runs[f"{row.direction}_alignment"].values[..., int(row.rank) - 1])
        lost = diverged and row.learning_rate == 0.0001
        assert np.isnan(values[0]).any() == lost
        means = [np.mean(of_run[np.isfinite(of_run)]) for of_run in values]
        found = (row.mean, row.minimum, row.maximum)
        assert found == pytest.approx((np.mean(means), min(means), max(means)))


def test_fig17_has_a_panel_for_each_direction_and_rank():
    plotted = drawn("fig17_learning_rate_alignment", source_of("fig17_learning_rate_alignment"))
    titles = [panel.get_title() for panel in plotted.figure.axes]
    assert titles == [f"{name}, $i = {rank}$" for name in ("gradient", "update") for rank in (1, 2, 3)]
    assert {panel.get_xscale() for panel in plotted.figure.axes} == {"log"}
    assert {panel.get_xlabel() for panel in plotted.figure.axes} == {"learning rate"}
    legend = labels_of(plotted.figure.legends[0])
    assert legend == ["SGD", "SGD + momentum", "Adam", "isotropic vectors (mean)"]
    lines = {line.get_label(): line.get_xdata() for line in plotted.figure.axes[0].lines}
    for name, rates in (("SGD", (0.05, 0.2)), ("SGD + momentum", (0.005,)), ("Adam", (0.0001, 0.001, 0.01))):
        np.testing.assert_array_equal(lines[name], rates)


@pytest.mark.parametrize("name", ["fig18_batch_size_localization", "fig19_learning_rate_localization"])
@pytest.mark.parametrize("diverged", [False, True])
def test_localization_is_mean_and_range_over_seeds_at_shares_of_training(name, diverged):
    source = source_of(name, diverged=DIVERGED[varied_in(name)] if diverged else None)
    table = drawn(name, source).table.query("quantity == 'inverse_participation_ratio'")
    for (optimizer, value), rows in table.groupby(["optimizer", source.varied], sort=False):
        measured = source.runs[optimizer][value]["inverse_participation_ratio"].values[..., 0]
        there = np.isfinite(measured).any(0)
        np.testing.assert_allclose(rows["mean"], np.nanmean(measured[:, there], 0))
        np.testing.assert_allclose(rows["minimum"], np.nanmin(measured[:, there], 0))
        np.testing.assert_allclose(rows["maximum"], np.nanmax(measured[:, there], 0))
        np.testing.assert_array_equal(rows["share"], np.array([0, 0.25, 0.5, 0.75, 1])[there])
        np.testing.assert_array_equal(rows["seeds"], np.isfinite(measured).sum(0)[there])
    shown = {(optimizer, value) for optimizer, value in table[["optimizer", source.varied]].values}
    assert shown == {(name, value) for name, by_value in source.runs.items() for value in by_value}


REFERENCES = ["reinitialized null (median, central 90 %)", "isotropic vectors (mean)"]


def test_values_that_all_optimizers_have_are_named_once_from_small_to_large():
    plotted = drawn("fig18_batch_size_localization", source_of("fig18_batch_size_localization"))
    assert [panel.get_legend() for panel in plotted.figure.axes] == [None, None]
    (legend,) = plotted.figure.legends
    assert labels_of(legend) == ["32", "256", "full", *REFERENCES]
    assert legend.get_title().get_text() == "batch size"


def test_values_of_an_optimizers_own_are_named_below_its_panel():
    plotted = drawn("fig19_learning_rate_localization", source_of("fig19_learning_rate_localization"))
    legends = [panel.get_legend() for panel in plotted.figure.axes]
    assert [labels_of(legend) for legend in legends] == [
        ["0.05", "0.2"],
        ["0.005"],
        ["0.0001", "0.001", "0.01"],
    ]
    assert {legend.get_title().get_text() for legend in legends} == {"learning rate"}
    assert labels_of(plotted.figure.legends[0]) == REFERENCES


@pytest.mark.parametrize("name", ["fig18_batch_size_localization", "fig19_learning_rate_localization"])
def test_localization_is_compared_with_the_null_model_and_isotropic_vectors(name):
    source = source_of(name)
    plotted = drawn(name, source)
    panels = plotted.figure.axes
    assert {panel.get_xlabel() for panel in panels} == {"share of training"}
    assert {panel.get_yscale() for panel in panels} == {"log"}
    median = np.median(source.baseline["inverse_participation_ratio"].values[:, 0])
    references = plotted.table[plotted.table["quantity"].isin(["baseline", "isotropic"])]
    assert references["median"].dropna().tolist() == pytest.approx(len(panels) * [median])
    assert references["mean"].dropna().tolist() == pytest.approx(len(panels) * [3 / 102])


@pytest.mark.parametrize("name", ["fig20_batch_size_displacement", "fig21_learning_rate_displacement"])
@pytest.mark.parametrize("diverged", [False, True])
def test_displacement_is_the_mean_over_seeds_at_shares_of_training(name, diverged):
    source = source_of(name, diverged=DIVERGED[varied_in(name)] if diverged else None)
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
    plotted = drawn("fig21_learning_rate_displacement", source_of("fig21_learning_rate_displacement"))
    assert [panel.get_title() for panel in visible(plotted)] == [
        "SGD\nlearning rate 0.2",
        "SGD + momentum\nlearning rate 0.005",
        "Adam\nlearning rate 0.001",
        "SGD\nlearning rate 0.05",
        "Adam\nlearning rate 0.0001",
        "Adam\nlearning rate 0.01",
    ]
    # The first panel of each row carries the label and the numbers of the axis.
    labelled = [panel.get_title() for panel in visible(plotted) if panel.get_ylabel()]
    assert labelled == ["SGD\nlearning rate 0.2", "SGD\nlearning rate 0.05", "Adam\nlearning rate 0.01"]
    assert visible(plotted)[-1].yaxis.get_tick_params()["labelleft"]
    titles = [
        panel.get_title()
        for panel in visible(drawn("fig20_batch_size_displacement", source_of("fig20_batch_size_displacement")))
    ]
    assert titles[-2:] == ["SGD\nfull batch", "Adam\nfull batch"]
    assert labels_of(plotted.figure.legends[0]) == [
        "0",
        "0.5",
        "0.75",
        *REFERENCES,
    ]


@pytest.mark.parametrize("name", FIGURES)
def test_what_a_reader_must_know_stands_below(name):
    source = source_of(name, diverged=DIVERGED[varied_in(name)])
    below = drawn(name, source).figure.get_supxlabel()
    assert "digits: N = 100 parameters, 2 seeds for each" in below
    assert f"adam, {list(source.runs['adam'])[1]}: seed 0 diverged at step 15" in below
    steps = (
        "training: 40 steps with batch size 256, 80 steps with batch size 32, 120 steps with full batch"
        if source.varied == "batch_size"
        else "training: 40 steps with learning rate 0.2, 80 steps with learning rate 0.05"
    )
    assert steps in below


def test_equal_lengths_are_said_once():
    source = source_of("fig17_learning_rate_alignment", {"sgd": (0.2,), "adam": (0.01,)})
    assert "\ntraining: 40 steps" in drawn("fig17_learning_rate_alignment", source).figure.get_supxlabel()


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("kept", ["one seed", "one value", "nothing"])
def test_little_to_show_is_a_picture(name, kept):
    if kept == "one value":
        source = source_of(name, {"sgd": ("full",) if "batch" in name else (0.05,)})
    else:
        source = source_of(name, seeds=1)
    if kept == "nothing":
        for by_value in source.runs.values():
            for value, runs in by_value.items():
                measured = {name: values * np.nan for name, values in runs.items() if values.ndim > 1}
                by_value[value] = runs.assign(measured)
    plotted = drawn(name, source)
    plotted.figure.draw_without_rendering()


def test_values_have_lines_that_no_optimizer_has():
    lines = value_lines(["full", 256, 32, 64])
    assert list(lines) == [32, 64, 256, "full"]
    lightness = [np.dot(line["color"][:3], (0.2, 0.7, 0.1)) for value, line in lines.items() if value != "full"]
    assert lightness == sorted(lightness)
    assert np.diff(lightness).min() > 0.1
    drawn_as = {(str(line["color"]), str(line["linestyle"])) for line in lines.values()}
    assert len(drawn_as) == 4
    others = {line["color"] for line in optimizer_lines(["sgd", "momentum", "adam"]).values()}
    assert not others & {line["color"] for line in lines.values() if isinstance(line["color"], str)}


def test_dots_are_left_to_random_directions():
    lines = value_lines(["full", 8, 16, 32, 64, 128, 256]).values()
    dashes = [line["linestyle"] for line in lines]
    assert DOTTED not in dashes
    assert ISOTROPIC["linestyle"] not in dashes

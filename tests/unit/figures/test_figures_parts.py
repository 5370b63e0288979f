"""Parts that figures share (lines, notes, files), and figures of runs in which nothing is measured."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from figures_helpers import collection, sweep
from matplotlib.colors import to_hex

from eigendrift.errors import UserError
from eigendrift.figures.declarations import FIGURES as DECLARED
from eigendrift.figures.displacement import Collections
from eigendrift.figures.parts import describe, panels, produce, seed_count, write_below
from eigendrift.figures.style import LINES, NULL_LINES, check_style, house_style, null_line, optimizer_lines
from eigendrift.figures.sweeps import describe_sweep
from eigendrift.figures.training import draw_eigenvalues
from eigendrift.metrics.collection import Collection
from eigendrift.metrics.copies import masked
from eigendrift.study.captions import settings_of

SHIPPED = ["sgd", "adam", "sam"]
CONFIG = yaml.safe_load((Path(__file__).resolve().parents[3] / "config.yaml").read_text())
# A figure for each function that draws the measurements of runs.
FIGURES = {
    figure.draw.function: figure
    for figure in DECLARED.values()
    if figure.read.function in ("collect", "read_collections")
}


def look(line):
    return line["color"], line["linestyle"], line.get("marker")


def constant(value: float, checkpoints: int = 3) -> Collection:
    """Return one run and a baseline in which every measurement is ``value``."""
    source = collection(("sgd",), seeds=1, checkpoints=checkpoints, ranks=2)
    runs, baseline = source.runs["digits"], source.baselines["digits"]
    filled = runs.map(lambda values: values * 0 + value).assign(
        diverged_at=runs["diverged_at"], unconverged=runs["unconverged"] + 6
    )
    null = baseline.map(lambda values: values * 0 + value).assign(optimizer=baseline["optimizer"])
    return Collection({"digits": filled}, {"digits": null}, "reinitialized")


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("value", [np.nan, pytest.param(0.0, marks=pytest.mark.slow)])
def test_figures_of_nothing_and_of_zeros_are_drawn(name, value):
    figure, source = FIGURES[name], constant(value)
    if figure.read.function == "read_collections":
        source = Collections(constant(value, 9), source)
    settings = settings_of(figure, CONFIG)
    plotted = figure.draw(source, **settings | ({"dataset": "digits"} if "dataset" in settings else {}))
    plotted.figure.draw_without_rendering()
    assert plotted.figure.get_supxlabel()


def test_unconverged_pairs_of_runs_and_null_models_are_counted():
    notes = constant(np.nan).notes("digits")
    assert "digits, sgd: without 6 unconverged eigenpairs" in notes
    assert "digits: without 8 unconverged eigenpairs of the null model reinitialized" in notes


def test_the_band_of_a_rank_has_edges_like_its_line():
    source = collection(optimizers=("sgd",))
    (panel,) = draw_eigenvalues(source).figure.axes
    assert len(panel.lines) == 3 * 3
    for rank in (1, 2, 3):
        line, low, high = panel.lines[3 * rank - 3 : 3 * rank]
        values = source.runs["digits"]["eigenvalue"].sel(optimizer="sgd", rank=rank)
        np.testing.assert_array_equal(low.get_ydata(), values.min("seed"))
        np.testing.assert_array_equal(high.get_ydata(), values.max("seed"))
        for edge in (low, high):
            assert to_hex(edge.get_color()) == to_hex(line.get_color())
            assert edge.get_linewidth() < line.get_linewidth() / 2


def test_long_notes_are_broken_into_lines_that_fit():
    figure, _ = panels(1, 1, legend=False)
    write_below(figure, ["short", "a note of many words " * 20])
    figure.draw_without_rendering()
    (note,) = [text for text in figure.texts if text.get_text() == figure.get_supxlabel()]
    extent = note.get_window_extent()
    assert 0 <= extent.x0 < extent.x1 <= figure.bbox.width
    assert extent.y0 >= 0
    assert extent.y1 < min(panel.get_tightbbox().y0 for panel in figure.axes)


def test_numbers_of_seeds_in_words():
    words = [seed_count(numbers) for numbers in ([1], [3, 3], [2, 1], [0, 0])]
    assert words == ["1 seed", "3 seeds", "1 to 2 seeds", "0 seeds"]


def test_copies_are_not_counted_as_seeds():
    source = collection(seeds=3)
    runs = source.runs["digits"].assign(copy_of=(("optimizer", "seed"), np.full((2, 3), np.nan)))
    runs["copy_of"].loc[{"optimizer": "adam", "seed": 2}] = 0
    source.runs["digits"] = runs
    figure, _ = panels(1, 1, legend=False)
    describe(figure, source, ["digits"], "lines")
    assert "digits: N = 100 parameters, 2 to 3 seeds; lines" in figure.get_supxlabel()
    swept = sweep("batch_size", {"sgd": (32, 64)}, seeds=3)
    for size, of_size in swept.runs["sgd"].items():
        swept.runs["sgd"][size] = masked(of_size, {1: 0})
    describe_sweep(figure, swept, "lines")
    assert "parameters, 2 seeds for each batch size; lines" in figure.get_supxlabel()


def test_plugins_have_their_own_lines_in_every_figure_of_a_study():
    others = [f"mine{number}" for number in range(2 * len(LINES))]
    nulls = ["reinitialized", *(f"null{number}" for number in range(2 * len(NULL_LINES)))]
    with house_style({}, {"optimizers": [*SHIPPED, *others], "null_models": nulls}):
        lines = optimizer_lines([*SHIPPED, *others])
        for shown in ([others[3]], [others[1], "adam", others[0]]):
            assert optimizer_lines(shown) == {name: lines[name] for name in shown}
        looks = [look(null_line(name)) for name in nulls]
    assert len(set(map(look, lines.values()))) == len(lines)
    assert len(set(looks)) == len(looks)
    assert {name: lines[name] for name in SHIPPED} == optimizer_lines(SHIPPED)
    # Colors that the study does not use otherwise come first.
    assert len({line["color"] for line in list(lines.values())[: len(LINES)]}) == len(LINES)


def test_lines_of_plugins_outside_a_study_are_the_first_free_ones():
    assert look(optimizer_lines(["mine"])["mine"]) == look(LINES[0])
    assert look(null_line("mine")) == look(NULL_LINES[0])


@pytest.mark.parametrize(("key", "value"), [("font.szie", 8), ("font.size", "wide")])
def test_a_wrong_style_is_refused_by_name(key, value):
    check_style({"font.size": 9})
    with pytest.raises(UserError, match=f"'figures.style' sets '{key}' to"):
        check_style({key: value})


def test_a_plugin_that_returns_no_figure_is_refused(tmp_path):
    with pytest.raises(UserError, match="The figure 'mine' is drawn as NoneType, expected "):
        produce(lambda source: None, None, {}, {}, {"png": tmp_path / "mine.png"})

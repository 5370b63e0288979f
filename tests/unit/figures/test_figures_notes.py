"""What stands under a figure."""

import numpy as np
import pytest
from figures_helpers import collection, sweep

from eigendrift.figures.parts import describe, panels, seed_count, write_below
from eigendrift.figures.sweeps import describe_sweep
from eigendrift.metrics.copies import masked


def test_long_notes_are_broken_into_lines_that_fit() -> None:
    figure, _ = panels(1, 1, legend=False)
    write_below(figure, ["short", "a note of many words " * 20])
    figure.draw_without_rendering()
    (note,) = [text for text in figure.texts if text.get_text() == figure.get_supxlabel()]
    extent = note.get_window_extent()
    assert 0 <= extent.x0 < extent.x1 <= figure.bbox.width
    assert extent.y0 >= 0
    assert extent.y1 < min(panel.get_tightbbox().y0 for panel in figure.axes)


@pytest.mark.parametrize(
    ("numbers", "said"), [([1], "1 seed"), ([3, 3], "3 seeds"), ([2, 1], "1 to 2 seeds"), ([0, 0], "0 seeds")]
)
def test_numbers_of_seeds_are_said_in_words(numbers: list[int], said: str) -> None:
    assert seed_count(numbers) == said


def test_copies_are_not_counted_as_seeds() -> None:
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

"""What stands under a figure."""

from eigendrift.figures.parts import panels, write_below


def test_long_notes_are_broken_into_lines_that_fit() -> None:
    figure, _ = panels(1, 1, legend=False)
    write_below(figure, ["short", "a note of many words " * 20])
    figure.draw_without_rendering()
    (note,) = [text for text in figure.texts if text.get_text() == figure.get_supxlabel()]
    extent = note.get_window_extent()
    assert 0 <= extent.x0 < extent.x1 <= figure.bbox.width
    assert extent.y0 >= 0
    assert extent.y1 < min(panel.get_tightbbox().y0 for panel in figure.axes)

"""What every figure must have: panels with labels, and a legend that names all that is drawn."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib.image
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import AxLine, Line2D

Look = tuple[str, ...]


def check_labels(figure: Figure) -> None:
    """Check that both axes of every panel that shows something are labelled, and the figure has notes.

    The x axes of a column and the y axes of a row may be labelled once; ticks with names are labels too.
    """
    panels = [panel for panel in figure.axes if panel.has_data()]
    assert panels
    for panel in panels:
        for which in ("x", "y"):
            assert _labelled(panel, which), f"the {which} axis of {panel.get_title()!r} lacks a label"
        for second in panel.child_axes:
            assert second.get_xlabel() or second.get_ylabel(), f"{panel.get_title()!r} has a bare second axis"
    assert figure.get_supxlabel(), "nothing is said under the figure"


def check_legend(figure: Figure) -> None:
    """Check that the legend names everything that is drawn, once, and that no two names look alike."""
    legends = [*figure.legends, *(panel.get_legend() for panel in figure.axes)]
    entries = [text.get_text() for legend in legends if legend for text in legend.get_texts()]
    drawn = [artist for panel in figure.axes for artist in (*panel.lines, *panel.collections)]
    named: dict[str, set[Look]] = {}
    for artist in drawn:
        if _is_named(artist):
            named.setdefault(str(artist.get_label()), set()).add(_look(artist))
    assert sorted(entries) == sorted(named), "the legend and what is drawn differ"
    assert all(len(looks) == 1 for looks in named.values()), "a name looks different in different panels"
    looks = [look for (look,) in named.values()]
    assert len(looks) == len(set(looks)), "two names look alike"

    colours = {colour for colour, *_ in looks}
    for artist in drawn:
        # A straight line without a name is a guide to the eye.
        if not _is_named(artist) and not isinstance(artist, AxLine):
            assert _look(artist)[0] in colours, f"{artist} is of a colour that the legend lacks"


def check_picture(figures: Path, name: str) -> None:
    """Check that a figure's files are whole pictures with something drawn on them, whose text stays text."""
    pixels = matplotlib.image.imread(figures / f"{name}.png")[..., :3]
    assert min(pixels.shape[:2]) > 300
    assert (pixels.max(-1) < 0.3).mean() > 0.002
    assert len(np.unique(pixels @ (1, 10, 100))) > 20, f"{name} has too few colors"
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 1).all(), f"{name} is cut off at an edge"
    content = (figures / f"{name}.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/FontFile2" in content, f"{name} has no TrueType font"
    assert b"/Type3" not in content, name


def _labelled(panel: Axes, which: str) -> bool:
    axis = getattr(panel, f"{which}axis")
    named_ticks = any(_is_a_name(text.get_text()) for text in axis.get_ticklabels())
    return named_ticks or any(getattr(other, f"get_{which}label")() for other in _in_line(panel, which))


def _in_line(panel: Axes, which: str) -> Iterator[Axes]:
    """The panels of the same column, for x, or row, for y."""
    yield panel
    if place := panel.get_subplotspec():
        span = "colspan" if which == "x" else "rowspan"
        for other in panel.figure.axes:
            other_place = other.get_subplotspec()
            if other_place and getattr(place, span) == getattr(other_place, span):
                yield other


def _is_a_name(text: str) -> bool:
    return "$" not in text and any(letter.isalpha() for letter in text)


def _is_named(artist: Artist) -> bool:
    return not str(artist.get_label()).startswith("_")


def _look(artist: Line2D | Collection) -> Look:
    if isinstance(artist, Line2D):
        # The dashes of a line are not public; its line style is the same for all that are given by lengths.
        dashes = str(artist._dash_pattern)  # type: ignore[attr-defined]
        return to_hex(artist.get_color()), str(artist.get_linestyle()), dashes, str(artist.get_marker())
    colours = artist.get_facecolor() if len(artist.get_facecolor()) else artist.get_edgecolor()
    return (to_hex(colours[0]), *(str(path.vertices.shape) for path in artist.get_paths()[:1]))

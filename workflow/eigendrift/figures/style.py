"""The style of all figures: readable in print, in grayscale and without color vision."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import ListedColormap

from eigendrift.errors import UserError
from eigendrift.study.names import OPTIMIZERS
from eigendrift.study.names import title_of as title_of  # figures use it next to colors and dashes

mpl.use("Agg")

HOUSE_STYLE: dict[str, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "figure.constrained_layout.use": True,
    "figure.dpi": 200,
    "font.size": 8,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "pdf.fonttype": 42,  # text in PDF files stays text
    "savefig.dpi": 200,
}
PANEL_WIDTH = 2.6
PANEL_HEIGHT = 2.3
LEGEND_WIDTH = 1.7

DOTTED = (0, (1, 1))
# Colors of Okabe and Ito, chosen and ordered so that they also differ in lightness, and three colors of Tol for studies
# with more optimizers. Each color has its own dashes.
LINES: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    {"color": "#009E73", "linestyle": (0, (5, 1.5)), "marker": "s"},
    {"color": "#E69F00", "linestyle": (0, (3, 1, 1, 1)), "marker": "^"},
    {"color": "#56B4E9", "linestyle": DOTTED, "marker": "D"},
    {"color": "#CC79A7", "linestyle": (0, (7, 2, 2, 2)), "marker": "v"},
    {"color": "#332288", "linestyle": (0, (3, 1.5)), "marker": "P"},
    {"color": "#999933", "linestyle": (0, (8, 1.5, 1, 1.5)), "marker": "X"},
    {"color": "#44AA99", "linestyle": (0, (2, 1, 5, 1)), "marker": "p"},
)
BASELINE: dict[str, Any] = {"color": "#D00000", "linestyle": (0, (4, 2)), "linewidth": 1.2}
KNOWN_NULLS = ("reinitialized", "permuted", "shuffled_labels", "isotropic")
# The median and band of each shipped null model, and more lines for null models of plug-ins.
NULL_LINES: tuple[dict[str, Any], ...] = (
    BASELINE,
    {"color": "#8C510A", "linestyle": (0, (8, 2, 1, 2)), "linewidth": 1.2},
    {"color": "#6A3D9A", "linestyle": (0, (2, 1.2)), "linewidth": 1.2},
    {"color": "#777777", "linestyle": (0, (6, 4)), "linewidth": 1.2},
    {"color": "#01665E", "linestyle": (0, (5, 1, 2, 1)), "linewidth": 1.2},
    {"color": "#C51B7D", "linestyle": (0, (10, 2)), "linewidth": 1.2},
)
ISOTROPIC: dict[str, Any] = {"color": "#777777", "linestyle": (0, (1, 2)), "linewidth": 1.0}

# From dark (first) to light (last), without the lightest yellow, which is invisible on paper.
SEQUENTIAL = ListedColormap(mpl.colormaps["viridis"](np.linspace(0, 0.9, 256)))
# Values of a setting, from dark (small) to light (large), in colors that differ from optimizers and times.
VALUES = ListedColormap(mpl.colormaps["Purples_r"](np.linspace(0, 0.5, 256)))
FULL_BATCH: dict[str, Any] = {"color": "black", "linestyle": (0, (5, 1, 1, 1, 1, 1)), "linewidth": 1.8}
# Red above 0, blue below, white at 0, and gray where a value is missing.
DIVERGING = mpl.colormaps["RdBu_r"].with_extremes(bad="#BBBBBB")


# ``optimizers`` and ``null_models`` of the study whose figures are being drawn.
_STUDY: ContextVar[Mapping[str, Sequence[str]]] = ContextVar("study")


def optimizer_lines(optimizers: list[str]) -> dict[str, dict[str, Any]]:
    """Return the line of each optimizer, which is unique and the same in every figure of a study."""
    places = _places(optimizers, "optimizers", tuple(OPTIMIZERS))
    return {name: _line_at(places[name], LINES) for name in optimizers}


def null_line(null_model: str) -> dict[str, Any]:
    """Return the line of a null model, which is unique and the same in every figure of a study."""
    return _line_at(_places([null_model], "null_models", KNOWN_NULLS)[null_model], NULL_LINES)


def _places(names: Sequence[str], kind: str, shipped: Sequence[str]) -> dict[str, int]:
    """Return the place of each name: shipped names have fixed places, others take the free ones."""
    known = dict.fromkeys((*_STUDY.get({}).get(kind, ()), *names))
    places = {name: shipped.index(name) for name in known if name in shipped}
    left = (place for place in count() if place not in places.values())
    return places | dict(zip((name for name in known if name not in places), left, strict=False))


def _line_at(place: int, lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the line at a place; places beyond the last line combine a color with other dashes."""
    turn, own = divmod(place, len(lines))
    return {**lines[(own + turn) % len(lines)], "color": lines[own]["color"]}


def check_style(changes: Mapping[str, Any]) -> None:
    """Check the changes that a configuration makes to the style.

    Raises:
        UserError: If a change is not an rcParam of matplotlib, or has a value that matplotlib refuses.
    """
    settings: Any = mpl.rcParams
    with mpl.rc_context():
        for key, value in changes.items():
            try:
                settings[key] = value
            except (KeyError, ValueError) as error:
                raise UserError(
                    f"Config key 'figures.style' sets '{key}' to {value!r}, which matplotlib refuses as an "
                    f"rcParam: {str(error).splitlines()[0]}; see matplotlib's list of rcParams."
                ) from None


@contextmanager
def house_style(changes: Mapping[str, Any], study: Mapping[str, Sequence[str]] | None = None) -> Iterator[None]:
    """Draw in the house style with the changes of a configuration (see `check_style`).

    Args:
        changes: matplotlib rcParams.
        study: ``optimizers`` and ``null_models`` of the whole study, which determine the lines of optimizers and null
            models of plug-ins.
    """
    before = _STUDY.set(study or {})
    try:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update({**HOUSE_STYLE, **changes})  # type: ignore[dict-item]
            yield
    finally:
        _STUDY.reset(before)

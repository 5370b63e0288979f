"""Extension 3: where the claims hold, over training-set size, learning rate and length of training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, ListedColormap, Normalize, TwoSlopeNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from eigendrift.figures.parts import Plotted, Table, write_below
from eigendrift.figures.style import title_of
from eigendrift.stores.tables import read_table

OPTIMIZERS = ("sgd", "adam")
RATES = [f"{name}_learning_rate" for name in OPTIMIZERS]
CELL = ["training_samples", *RATES, "steps"]
FIT = [*(f"{name}_train_accuracy" for name in OPTIMIZERS), "interpolating"]
Record = dict[str, Any]
INK, PAPER, MISSING = "#222222", "white", "#DDDDDD"
# Purple where the claim holds, orange where it does not, white at the smallest effect that counts.
# The map's own ends are so dark that they look alike in print.
HOLDS = ListedColormap(mpl.colormaps["PuOr"](np.linspace(0.1, 0.9, 256))).with_extremes(bad=MISSING)
# Of the optimizers that a training of both has, how many interpolate.
GREYS = ("white", "#D0D0D0", "#A0A0A0")
# One of the greys is the paper's white.
EDGE = "#888888"
INTERPOLATING = ("neither interpolates", "one does", "both do")
CELL_WIDTH, CELL_HEIGHT, GAP = 0.62, 0.3, 0.2
LABEL_WIDTH, BAR_WIDTH, REST = 2.15, 0.8, 1.5
CHARACTERS = 30
# Colours up to here are so light that dark ink is read on them.
LIGHT = 0.62
# A triangle beside the number says on which side of the smallest effect that counts seeds or interval lie.
SHAPES = {"holds": "^", "does not": "v"}
MARK = 0.36
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Grid:
    """The cells of every panel: sizes of the training set upwards, pairs of learning rates to the right."""

    sizes: Sequence[int]
    pairs: Sequence[tuple[float, float]]
    lengths: Sequence[int]


def read(regimes: str) -> pd.DataFrame:
    """Read regimes.csv."""
    return read_table(Path(regimes))


def draw(regimes: pd.DataFrame, dataset: str) -> Plotted:
    """Draw a map: a row of panels for each claim, a column for each length.

    Args:
        regimes: The table of all regimes.
        dataset: The whole data set to show.
    """
    shown = regimes[regimes["dataset"] == dataset]
    grid = _grid_of(shown)
    claims = list(dict.fromkeys(shown["claim"]))
    rows, columns = 1 + len(claims), len(grid.lengths)
    size = (
        LABEL_WIDTH + columns * (len(grid.pairs) * CELL_WIDTH + GAP) + BAR_WIDTH,
        REST + rows * (len(grid.sizes) * CELL_HEIGHT + GAP),
    )
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, sharex=True, sharey=True)
    table: Table = []
    of_pairs = shown.dropna(subset=RATES).drop_duplicates(CELL)
    for panel, steps in zip(axes[0], grid.lengths, strict=True):
        panel.set_title(f"{steps:,} steps", fontweight="bold")
        table += _draw_fit(panel, grid, of_pairs[of_pairs["steps"] == steps])
    axes[0, 0].set_ylabel("Training accuracy at the end", **_beside())
    for row, claim in zip(axes[1:], claims, strict=True):
        table += _draw_claim(figure, row, grid, shown[shown["claim"] == claim])
    _finish(figure, axes, grid)
    _describe(figure, shown, dataset)
    return Plotted(figure, pd.DataFrame(table))


def _grid_of(shown: pd.DataFrame) -> Grid:
    pairs = shown[RATES].dropna().drop_duplicates()
    return Grid(
        sorted(shown["training_samples"].unique()),
        [(sgd, adam) for sgd, adam in pairs.itertuples(index=False)],
        sorted(shown["steps"].unique()),
    )


def _beside() -> dict[str, Any]:
    """Where the name of a row stands."""
    return {
        "rotation": 0,
        "ha": "left",
        "va": "center",
        "fontsize": 6.5,
        "labelpad": (LABEL_WIDTH - 0.6) * 72,
    }


def _draw_fit(panel: Axes, grid: Grid, cells: pd.DataFrame) -> Table:
    """Write the training accuracies, on grey where optimizers interpolate; return the numbers."""
    counts = np.full((len(grid.sizes), len(grid.pairs)), np.nan)
    for cell in cells.pipe(_records):
        x, y = _place(grid, cell)
        counts[y, int(x)] = sum(name in cell["interpolating"].split(" and ") for name in OPTIMIZERS)
        text = "\n".join(
            f"{title_of(name)} {_percent(cell[f'{name}_train_accuracy'])}" for name in OPTIMIZERS
        )
        panel.text(x, y, text, ha="center", va="center", fontsize=5, color=INK)
    colours = ListedColormap(GREYS).with_extremes(bad=MISSING)
    _mesh(panel, counts, colours, Normalize(-0.5, len(GREYS) - 0.5), len(grid.pairs), EDGE)
    return [{"quantity": "fit", **row} for row in cells[[*CELL, *FIT]].pipe(_records)]


def _records(table: pd.DataFrame) -> list[Record]:
    return [{str(key): value for key, value in record.items()} for record in table.to_dict("records")]


def _percent(share: float) -> str:
    """Return a share of samples such that only all of them are 100 %."""
    return f"{np.floor(share * 1000) / 10:g} %" if np.isfinite(share) else "–"


def _draw_claim(figure: Figure, row: Sequence[Axes], grid: Grid, cells: pd.DataFrame) -> Table:
    """Draw the effects of one claim at every length, in one scale of colours; return the numbers."""
    first = cells.iloc[0]
    threshold = float(first["smallest_effect"])
    farthest = float((cells["effect"] - threshold).abs().max())
    span = farthest if farthest > 0 else 1.0
    norm = TwoSlopeNorm(threshold, threshold - span, threshold + span)
    colours = HOLDS.reversed() if first["equivalence"] else HOLDS
    row[0].set_ylabel(fill(f"{first['claim']}  {first['statement']}", CHARACTERS), **_beside())
    table: Table = []
    for panel, steps in zip(row, grid.lengths, strict=True):
        here = cells[cells["steps"] == steps].pipe(_records)
        mesh = _mesh(panel, _effects(grid, here), colours, norm, len(grid.pairs))
        for cell in here:
            mark = _mark(cell)
            _write(panel, _place(grid, cell), cell, mark, dark=_is_dark(mesh, cell["effect"]))
            values = {key: cell[key] for key in ("claim", *CELL, "effect", "smallest_effect", "n")}
            table.append({"quantity": "effect", **values, **mark})
    bar = figure.colorbar(mesh, ax=row, aspect=8, pad=0.02, format="{x:.2g}")
    bar.set_ticks([threshold - span, threshold, threshold + span])
    bar.ax.tick_params(labelsize=5.5)
    bar.set_label(fill(first["unit"], 18), fontsize=5.5)
    return table


def _effects(grid: Grid, cells: Sequence[Record]) -> np.ndarray:
    """Return the effects by size and pair of learning rates; with one column where they are of all pairs."""
    columns = len(grid.pairs) if any(map(_of_a_pair, cells)) else 1
    effects = np.full((len(grid.sizes), columns), np.nan)
    for cell in cells:
        x, y = _place(grid, cell)
        effects[y, int(x) if columns > 1 else 0] = cell["effect"]
    return effects


def _of_a_pair(cell: Record) -> bool:
    """Say whether a cell belongs to a pair of learning rates, or to all of them."""
    return bool(np.isfinite([cell[name] for name in RATES]).all())


def _place(grid: Grid, cell: Record) -> tuple[float, int]:
    """Return the centre of a cell; one for all learning rates lies in the middle of its row."""
    y = list(grid.sizes).index(cell["training_samples"])
    if not _of_a_pair(cell):
        return (len(grid.pairs) - 1) / 2, y
    return list(grid.pairs).index((cell[RATES[0]], cell[RATES[1]])), y


def _mesh(
    panel: Axes, values: np.ndarray, colours: Colormap, norm: Normalize, width: int, edges: str = PAPER
) -> QuadMesh:
    """Colour the cells; fewer columns than ``width`` are as wide together."""
    x = np.linspace(-0.5, width - 0.5, values.shape[1] + 1)
    y = np.arange(values.shape[0] + 1) - 0.5
    masked = np.ma.masked_invalid(values)
    mesh: QuadMesh = panel.pcolormesh(x, y, masked, cmap=colours, norm=norm, edgecolors=edges, linewidth=0.8)
    return mesh


def _is_dark(mesh: QuadMesh, effect: float) -> bool:
    red, green, blue = mesh.to_rgba(np.array([effect]))[0, :3] if np.isfinite(effect) else to_rgb(MISSING)
    return bool(0.299 * red + 0.587 * green + 0.114 * blue < LIGHT)


def _mark(cell: Record) -> dict[str, str | None]:
    """Say on which side of the smallest effect that counts the interval lies, or else all seeds."""
    threshold = cell["smallest_effect"]
    for by, low, high in (("interval", "low", "high"), ("seeds", "lowest_seed", "highest_seed")):
        if by == "seeds" and cell["n"] < len(OPTIMIZERS):
            break
        above, below = cell[low] > threshold, cell[high] < threshold
        if above or below:
            return {"side": "holds" if above != cell["equivalence"] else "does not", "agreement": by}
    return {"side": None, "agreement": None}


def _write(
    panel: Axes,
    place: tuple[float, int],
    cell: Record,
    mark: Mapping[str, str | None],
    *,
    dark: bool,
) -> None:
    """Write the effect into its cell, with a triangle where seeds or interval agree."""
    x, y = place
    colour = PAPER if dark else INK
    if not np.isfinite(cell["effect"]):
        panel.text(x, y, "–", ha="center", va="center", fontsize=6.5, color=colour)
        return
    panel.text(
        x - 0.08,
        y,
        f"{cell['effect']:.2f}".replace("-", MINUS),
        ha="center",
        va="center",
        fontsize=6.5,
        color=colour,
    )
    if mark["side"]:
        filled = colour if mark["agreement"] == "interval" else "none"
        panel.plot(
            x + MARK,
            y,
            marker=SHAPES[mark["side"]],
            markersize=3.5,
            markeredgewidth=0.7,
            markeredgecolor=colour,
            markerfacecolor=filled,
            linestyle="none",
        )


def _finish(figure: Figure, axes: np.ndarray, grid: Grid) -> None:
    for panel in axes.flat:
        panel.grid(visible=False)
        panel.tick_params(length=0, labelsize=5.5)
        for spine in panel.spines.values():
            spine.set_visible(False)
    axes[0, 0].set_yticks(range(len(grid.sizes)), [f"{size:,} samples" for size in grid.sizes])
    labels = [
        "\n".join(f"{title_of(n)} {r:g}" for n, r in zip(OPTIMIZERS, pair, strict=True))
        for pair in grid.pairs
    ]
    for panel in axes[-1]:
        panel.set_xticks(range(len(grid.pairs)), labels)
        panel.set_xlabel("learning rates", fontsize=6.5)
    _legend(figure)


def _legend(figure: Figure) -> None:
    fits = [
        Patch(facecolor=grey, edgecolor=EDGE, label=label)
        for grey, label in zip(GREYS, INTERPOLATING, strict=True)
    ]
    sides = [
        Patch(facecolor=HOLDS(0.95), label="the claim holds"),
        Patch(facecolor=HOLDS(0.05), label="it does not"),
    ]
    marks = [
        mpl.lines.Line2D(
            [], [], linestyle="none", marker=shape, markersize=4, color=INK, markerfacecolor=face, label=label
        )
        for face, by in (("none", "all seeds"), (INK, "interval"))
        for shape, label in (("^", f"{by} on its side"), ("v", f"{by} on the other"))
    ]
    figure.legend(handles=[*fits, *sides, *marks], loc="outside upper center", ncols=4, fontsize=6)


def _describe(figure: Figure, shown: pd.DataFrame, dataset: str) -> None:
    fewest, most = shown["n"].min(), shown["n"].max()
    seeds = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    write_below(
        figure,
        [
            f"{dataset}; number: effect, mean over {seeds} seed{'s' * int(most > 1)}; colour: how far it is "
            "from the smallest effect that counts",
            "C7 is over all learning rates, and holds where the effect is small",
        ],
    )

"""Verdicts on the claims: extension 7, and extension 3 over sizes, learning rates and lengths of training."""

import json
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

from eigendrift.figures.parts import Plotted, Table, add_legend, seed_count, write_below
from eigendrift.figures.style import title_of
from eigendrift.stores.checksums import read_checksummed
from eigendrift.stores.tables import read_table

Entry = Mapping[str, Any]

INK, PALE = "#222222", "#999999"
LABEL_WIDTH, BAR_WIDTH, REST = 2.15, 0.8, 1.5
# The name of a row of panels, on their left.
ROW_NAME: dict[str, Any] = {
    "rotation": 0,
    "ha": "left",
    "va": "center",
    "fontsize": 6.5,
    "labelpad": (LABEL_WIDTH - 0.6) * 72,
}
# Verdicts differ in shape and filling, and are written next to them.
MARKERS: dict[str, dict[str, Any]] = {
    "supported": {"marker": "o", "markerfacecolor": INK},
    "contradicted": {"marker": "X", "markerfacecolor": INK},
    "undecided": {"marker": "D", "markerfacecolor": "white"},
}
FOREST_WIDTH, ROW_HEIGHT, FOREST_LABEL_WIDTH, LEGEND_WIDTH = 2.5, 0.92, 2.3, 1.4
FOREST_CHARACTERS = 36
# Heights in a panel: the effect and its interval, below them the seeds, and then other numbers of ranks.
EFFECT, SEEDS, RANKS, STEP = 0.8, 0.58, 0.42, 0.14


def read_claims(verdicts: str) -> dict[str, Any]:
    """Read claims.json."""
    content: dict[str, Any] = json.loads(read_checksummed(Path(verdicts)))
    return content


def draw_claims(content: Mapping[str, Any]) -> Plotted:
    """Draw a forest plot: a row for each claim, a column for each data set; each row has its own unit."""
    entries: Sequence[Entry] = content["claims"]
    claims, datasets = ([*dict.fromkeys(entry[key] for entry in entries)] for key in ("claim", "dataset"))
    width = FOREST_LABEL_WIDTH + FOREST_WIDTH * len(datasets) + LEGEND_WIDTH
    figure, axes = plt.subplots(
        len(claims), len(datasets), figsize=(width, ROW_HEIGHT * len(claims) + 0.9), squeeze=False, sharex="row"
    )
    table: Table = []
    for entry in entries:
        panel = axes[claims.index(entry["claim"]), datasets.index(entry["dataset"])]
        table += _draw_entry(panel, entry) + _draw_ranks(panel, entry, content["settings"]["lag"])
    for row, claim in zip(axes, claims, strict=True):
        _finish_row(row, [entry for entry in entries if entry["claim"] == claim])
    for panel, dataset in zip(axes[0], datasets, strict=True):
        panel.set_title(dataset, loc="left", fontweight="bold")
    add_legend(figure, axes, fontsize=6.5)
    settings = content["settings"]
    lines = [
        f"interval: {settings['confidence']:.0%} studentized bootstrap of the mean over seeds",
        "n: seeds; p: of the paired sign-flip test, Holm-corrected over the claims of a data set",
        f"lag: {settings['lag']:g} of the training; null model: {content['null_model']}",
        "k: leading eigenvectors that statistics are means over, in C1 to C5 where checkpoints have most",
    ]
    write_below(figure, [*lines, *content["notes"]])
    return Plotted(figure, pd.DataFrame(table))


def _draw_entry(panel: Axes, entry: Entry) -> Table:
    """Draw the verdict on one claim on one data set; return the numbers."""
    threshold = entry["smallest_effect"]
    count = f", n = {entry['n']}" if entry["n"] else ""
    p = "" if entry["corrected_p"] is None else f", p = {entry['corrected_p']:.2g}"
    panel.set_title(f"{entry['verdict']}{count}{p}", loc="right", fontsize=6.5)
    panel.axvline(0, color=PALE, linewidth=0.8, label="no effect")
    panel.axvline(threshold, color=INK, linewidth=0.8, linestyle=(0, (4, 2)), label="smallest effect\nthat counts")
    labels = {"claim": entry["claim"], "dataset": entry["dataset"]}
    shown = {key: entry[key] for key in ("verdict", "effect", "smallest_effect", "unit", "n", "corrected_p")}
    if entry["effect"] is None:
        return [{**labels, **shown}]
    low, high = entry["interval"] or (None, None)
    if low is not None and high is not None:
        panel.plot([low, high], [EFFECT] * 2, color=INK, linewidth=1.6, label="interval")
    points: dict[str, Any] = {"linestyle": "none", "markersize": 6}
    style = points | MARKERS[entry["verdict"]]
    panel.plot(entry["effect"], EFFECT, color=INK, label=f"mean: {entry['verdict']}", **style)
    seeds = [*entry["seeds"].values()]
    stroke = points | {"marker": "|", "color": PALE}
    panel.plot(seeds, np.full(len(seeds), SEEDS), label="a seed", **stroke)
    each = [{**labels, "seed": int(seed), "seed_effect": effect} for seed, effect in entry["seeds"].items()]
    return [{**labels, **shown, "low": low, "high": high}, *each]


def _draw_ranks(panel: Axes, entry: Entry, lag: float) -> Table:
    """Draw the effect of other numbers of leading eigenvectors, at the claims' lag; return the numbers.

    If some are measured at fewer checkpoints than the claim itself, only those are drawn, for comparison.
    """
    variants = entry["sensitivity"]
    shown = [variant for variant in variants if variant["lag"] in (None, lag) and variant["effect"] is not None]
    fewest = min((variant["checkpoints"] for variant in shown), default=0)
    shown = [variant for variant in shown if variant["checkpoints"] == fewest]
    names = ("ranks", "checkpoints", "verdict", "effect", "n")
    table: Table = []
    for place, variant in enumerate(shown):
        style: dict[str, Any] = {"linestyle": "none", "marker": f"${variant['ranks']}$", "color": INK}
        height, label = RANKS - STEP * place, f"mean over k = {variant['ranks']}"
        panel.plot(variant["effect"], height, markersize=5, markeredgewidth=0.3, label=label, **style)
        low, high = variant["interval"] or (None, None)
        labels = {"claim": entry["claim"], "dataset": entry["dataset"], "low": low, "high": high}
        table.append(labels | {name: variant[name] for name in names})
    return table


def _finish_row(row: Sequence[Axes], entries: Sequence[Entry]) -> None:
    first = entries[0]
    name = fill(f"{first['claim']}  {first['statement']}", FOREST_CHARACTERS)
    row[0].set_ylabel(name, **ROW_NAME | {"labelpad": FOREST_LABEL_WIDTH * 66})
    row[0].margins(x=0.08)
    low, high = row[0].get_xlim()
    for panel in row:
        # Effects on this side of the dashed line count as the claim.
        counts = (low, first["smallest_effect"]) if first["equivalence"] else (first["smallest_effect"], high)
        panel.fill_between(counts, 0, 1, color=PALE, alpha=0.18, linewidth=0, label="counts as the claim")
        panel.set(xlim=(low, high), ylim=(0, 1), yticks=[])
        panel.set_xlabel(first["unit"], fontsize=6, labelpad=1)
        panel.tick_params(labelsize=6)
        panel.spines["left"].set_visible(False)
        panel.grid(visible=False, axis="y")


OPTIMIZERS = ("sgd", "adam")
RATES = [f"{name}_learning_rate" for name in OPTIMIZERS]
CELL = ["training_samples", *RATES, "steps"]
FIT = [*(f"{name}_train_accuracy" for name in OPTIMIZERS), "interpolating"]
Record = dict[str, Any]
PAPER, MISSING = "white", "#DDDDDD"
# Purple where the claim holds, orange where it does not, white at the smallest effect that counts.
# The ends of the original map are so dark that they look alike in print.
HOLDS = ListedColormap(mpl.colormaps["PuOr"](np.linspace(0.1, 0.9, 256))).with_extremes(bad=MISSING)
# Neither, one or both optimizers interpolate.
GREYS = ("white", "#D0D0D0", "#A0A0A0")
# Cells of the first grey, which is white, need an edge.
EDGE = "#888888"
INTERPOLATING = ("neither interpolates", "one does", "both do")
CELL_WIDTH, CELL_HEIGHT, GAP = 0.62, 0.3, 0.2
CHARACTERS = 30
# Colours up to here are so light that dark ink is readable on them.
LIGHT = 0.62
# A triangle next to the number shows on which side of the smallest effect that counts seeds or interval are.
SHAPES = {"holds": "^", "does not": "v"}
MARK = 0.36
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Grid:
    """The cells of every panel: sizes of the training set upwards, pairs of learning rates to the right."""

    sizes: Sequence[int]
    pairs: Sequence[tuple[float, float]]
    lengths: Sequence[int]


def read_regimes(regimes: str) -> pd.DataFrame:
    """Read regimes.csv."""
    return read_table(Path(regimes))


def draw_regimes(regimes: pd.DataFrame, dataset: str) -> Plotted:
    """Draw a map: a row of panels for each claim, a column for each length.

    Args:
        regimes: The table of all regimes.
        dataset: The whole data set to show.
    """
    shown = regimes[regimes["dataset"] == dataset]
    pairs = list(shown[RATES].dropna().drop_duplicates().itertuples(index=False, name=None))
    grid = Grid(sorted(shown["training_samples"].unique()), pairs, sorted(shown["steps"].unique()))
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
    axes[0, 0].set_ylabel("Training accuracy at the end", **ROW_NAME)
    for row, claim in zip(axes[1:], claims, strict=True):
        table += _draw_claim(figure, row, grid, shown[shown["claim"] == claim])
    _finish_regimes(figure, axes, grid)
    colours = f"{seed_count(shown['n'])}; colour: how far it is from the smallest effect that counts"
    claim_7 = "C7 is over all learning rates, and holds where the effect is small"
    write_below(figure, [f"{dataset}; number: effect, mean over {colours}", claim_7])
    return Plotted(figure, pd.DataFrame(table))


def _draw_fit(panel: Axes, grid: Grid, cells: pd.DataFrame) -> Table:
    """Write the training accuracies, on grey where optimizers interpolate; return the numbers."""
    counts = np.full((len(grid.sizes), len(grid.pairs)), np.nan)
    for cell in cells.pipe(_records):
        x, y = _place(grid, cell)
        counts[y, int(x)] = sum(name in cell["interpolating"].split(" and ") for name in OPTIMIZERS)
        text = "\n".join(f"{title_of(name)} {_percent(cell[f'{name}_train_accuracy'])}" for name in OPTIMIZERS)
        panel.text(x, y, text, ha="center", va="center", fontsize=5, color=INK)
    colours = ListedColormap(GREYS).with_extremes(bad=MISSING)
    _mesh(panel, counts, colours, Normalize(-0.5, len(GREYS) - 0.5), len(grid.pairs), EDGE)
    return [{"quantity": "fit", **row} for row in cells[[*CELL, *FIT]].pipe(_records)]


def _records(table: pd.DataFrame) -> list[Record]:
    return [{str(key): value for key, value in record.items()} for record in table.to_dict("records")]


def _percent(share: float) -> str:
    """Return a share of samples, rounded down so that only all of them are 100 %."""
    return f"{np.floor(share * 1000) / 10:g} %" if np.isfinite(share) else "–"


def _draw_claim(figure: Figure, row: Sequence[Axes], grid: Grid, cells: pd.DataFrame) -> Table:
    """Draw the effects of one claim at every length, with one colour scale; return the numbers."""
    first = cells.iloc[0]
    threshold = float(first["smallest_effect"])
    farthest = float((cells["effect"] - threshold).abs().max())
    span = farthest if farthest > 0 else 1.0
    norm = TwoSlopeNorm(threshold, threshold - span, threshold + span)
    colours = HOLDS.reversed() if first["equivalence"] else HOLDS
    row[0].set_ylabel(fill(f"{first['claim']}  {first['statement']}", CHARACTERS), **ROW_NAME)
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
    """Return the effects by size and pair of learning rates; in one column if each belongs to all pairs."""
    columns = len(grid.pairs) if any(map(_of_a_pair, cells)) else 1
    effects = np.full((len(grid.sizes), columns), np.nan)
    for cell in cells:
        x, y = _place(grid, cell)
        effects[y, int(x) if columns > 1 else 0] = cell["effect"]
    return effects


def _of_a_pair(cell: Record) -> bool:
    """Return whether a cell belongs to one pair of learning rates; if not, it belongs to all of them."""
    return bool(np.isfinite([cell[name] for name in RATES]).all())


def _place(grid: Grid, cell: Record) -> tuple[float, int]:
    """Return the centre of a cell; a cell for all learning rates is in the middle of its row."""
    y = grid.sizes.index(cell["training_samples"])
    if not _of_a_pair(cell):
        return (len(grid.pairs) - 1) / 2, y
    return grid.pairs.index((cell[RATES[0]], cell[RATES[1]])), y


def _mesh(
    panel: Axes, values: np.ndarray, colours: Colormap, norm: Normalize, width: int, edges: str = PAPER
) -> QuadMesh:
    """Colour the cells; all columns together are ``width`` wide."""
    x = np.linspace(-0.5, width - 0.5, values.shape[1] + 1)
    y = np.arange(values.shape[0] + 1) - 0.5
    masked = np.ma.masked_invalid(values)
    mesh: QuadMesh = panel.pcolormesh(x, y, masked, cmap=colours, norm=norm, edgecolors=edges, linewidth=0.8)
    return mesh


def _is_dark(mesh: QuadMesh, effect: float) -> bool:
    red, green, blue = mesh.to_rgba(np.array([effect]))[0, :3] if np.isfinite(effect) else to_rgb(MISSING)
    return bool(0.299 * red + 0.587 * green + 0.114 * blue < LIGHT)


def _mark(cell: Record) -> dict[str, str | None]:
    """Return on which side of the smallest effect that counts the interval is, or else all seeds."""
    threshold = cell["smallest_effect"]
    for by, low, high in (("interval", "low", "high"), ("seeds", "lowest_seed", "highest_seed")):
        if by == "seeds" and cell["n"] < len(OPTIMIZERS):
            break
        above, below = cell[low] > threshold, cell[high] < threshold
        if above or below:
            return {"side": "holds" if above != cell["equivalence"] else "does not", "agreement": by}
    return {"side": None, "agreement": None}


def _write(panel: Axes, place: tuple[float, int], cell: Record, mark: Mapping[str, str | None], *, dark: bool) -> None:
    """Write the effect into its cell, with a triangle where seeds or interval agree."""
    x, y = place
    colour = PAPER if dark else INK
    if not np.isfinite(cell["effect"]):
        panel.text(x, y, "–", ha="center", va="center", fontsize=6.5, color=colour)
        return
    text = f"{cell['effect']:.2f}".replace("-", MINUS)
    panel.text(x - 0.08, y, text, ha="center", va="center", fontsize=6.5, color=colour)
    if mark["side"]:
        filled = colour if mark["agreement"] == "interval" else "none"
        edge: dict[str, Any] = {"markeredgewidth": 0.7, "markeredgecolor": colour, "linestyle": "none"}
        panel.plot(x + MARK, y, marker=SHAPES[mark["side"]], markersize=3.5, markerfacecolor=filled, **edge)


def _finish_regimes(figure: Figure, axes: np.ndarray, grid: Grid) -> None:
    for panel in axes.flat:
        panel.grid(visible=False)
        panel.tick_params(length=0, labelsize=5.5)
        for spine in panel.spines.values():
            spine.set_visible(False)
    axes[0, 0].set_yticks(range(len(grid.sizes)), [f"{size:,} samples" for size in grid.sizes])
    labels = ["\n".join(f"{title_of(n)} {r:g}" for n, r in zip(OPTIMIZERS, pair, strict=True)) for pair in grid.pairs]
    for panel in axes[-1]:
        panel.set_xticks(range(len(grid.pairs)), labels)
        panel.set_xlabel("learning rates", fontsize=6.5)
    fits = [
        Patch(facecolor=grey, edgecolor=EDGE, label=label) for grey, label in zip(GREYS, INTERPOLATING, strict=True)
    ]
    sides = [Patch(facecolor=HOLDS(0.95), label="the claim holds"), Patch(facecolor=HOLDS(0.05), label="it does not")]
    ink: dict[str, Any] = {"linestyle": "none", "markersize": 4, "color": INK}
    marks = [
        mpl.lines.Line2D([], [], marker=shape, markerfacecolor=face, label=label, **ink)
        for face, by in (("none", "all seeds"), (INK, "interval"))
        for shape, label in (("^", f"{by} on its side"), ("v", f"{by} on the other"))
    ]
    figure.legend(handles=[*fits, *sides, *marks], loc="outside upper center", ncols=4, fontsize=6)

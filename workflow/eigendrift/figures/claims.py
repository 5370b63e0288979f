"""Extension 7: effect, interval and verdict of every claim on every data set."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eigendrift.figures.parts import Plotted, Table, write_below
from eigendrift.figures.sweeps import legend_of
from eigendrift.stores.checksums import read_checksummed

Entry = Mapping[str, Any]

INK, PALE = "#222222", "#999999"
# Verdicts differ in shape and filling; their names stand beside them as well.
MARKERS: dict[str, dict[str, Any]] = {
    "supported": {"marker": "o", "markerfacecolor": INK},
    "contradicted": {"marker": "X", "markerfacecolor": INK},
    "undecided": {"marker": "D", "markerfacecolor": "white"},
}
PANEL_WIDTH, ROW_HEIGHT, LABEL_WIDTH, LEGEND_WIDTH = 2.5, 0.92, 2.3, 1.4
CHARACTERS = 36
# Heights in a panel: the effect and its interval, below them the seeds, and then other numbers of ranks.
EFFECT, SEEDS, RANKS, STEP = 0.8, 0.58, 0.42, 0.14


def read(verdicts: str) -> dict[str, Any]:
    """Read claims.json."""
    content: dict[str, Any] = json.loads(read_checksummed(Path(verdicts)))
    return content


def draw(content: Mapping[str, Any]) -> Plotted:
    """Draw a forest plot: a row for each claim, a column for each data set; each row has its own unit."""
    entries: Sequence[Entry] = content["claims"]
    claims, datasets = ([*dict.fromkeys(entry[key] for entry in entries)] for key in ("claim", "dataset"))
    width = LABEL_WIDTH + PANEL_WIDTH * len(datasets) + LEGEND_WIDTH
    figure, axes = plt.subplots(
        len(claims),
        len(datasets),
        figsize=(width, ROW_HEIGHT * len(claims) + 0.9),
        squeeze=False,
        sharex="row",
    )
    table: Table = []
    for entry in entries:
        panel = axes[claims.index(entry["claim"]), datasets.index(entry["dataset"])]
        table += _draw_entry(panel, entry) + _draw_ranks(panel, entry, content["settings"]["lag"])
    for row, claim in zip(axes, claims, strict=True):
        _finish_row(row, [entry for entry in entries if entry["claim"] == claim])
    for panel, dataset in zip(axes[0], datasets, strict=True):
        panel.set_title(dataset, loc="left", fontweight="bold")
    figure.legend(*legend_of(axes), loc="outside right upper", fontsize=6.5)
    _describe(figure, content)
    return Plotted(figure, pd.DataFrame(table))


def _draw_entry(panel: Axes, entry: Entry) -> Table:
    """Draw what one data set says of one claim; return the numbers."""
    threshold = entry["smallest_effect"]
    panel.set_title(_heading(entry), loc="right", fontsize=6.5)
    panel.axvline(0, color=PALE, linewidth=0.8, label="no effect")
    panel.axvline(
        threshold, color=INK, linewidth=0.8, linestyle=(0, (4, 2)), label="smallest effect\nthat counts"
    )
    labels = {"claim": entry["claim"], "dataset": entry["dataset"]}
    shown = {key: entry[key] for key in ("verdict", "effect", "smallest_effect", "unit", "n", "corrected_p")}
    if entry["effect"] is None:
        return [{**labels, **shown}]
    low, high = entry["interval"] or (None, None)
    if entry["interval"]:
        panel.plot([*entry["interval"]], [EFFECT] * 2, color=INK, linewidth=1.6, label="interval")
    panel.plot(
        entry["effect"],
        EFFECT,
        linestyle="none",
        markersize=6,
        color=INK,
        label=f"mean: {entry['verdict']}",
        **MARKERS[entry["verdict"]],
    )
    seeds = [*entry["seeds"].values()]
    stroke: dict[str, Any] = {"linestyle": "none", "marker": "|", "markersize": 6, "color": PALE}
    panel.plot(seeds, np.full(len(seeds), SEEDS), label="a seed", **stroke)
    each = [{**labels, "seed": int(seed), "seed_effect": effect} for seed, effect in entry["seeds"].items()]
    return [{**labels, **shown, "low": low, "high": high}, *each]


def _draw_ranks(panel: Axes, entry: Entry, lag: float) -> Table:
    """Draw the effect of other numbers of leading eigenvectors, at the claims' lag; return the numbers.

    Where some are measured at fewer checkpoints than the claim itself, those alone, so that they compare.
    """
    at_lag = [variant for variant in entry["sensitivity"] if variant["lag"] in (None, lag)]
    shown = [variant for variant in at_lag if variant["effect"] is not None]
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


def _heading(entry: Entry) -> str:
    parts = [entry["verdict"]]
    if entry["n"]:
        parts.append(f"n = {entry['n']}")
    if entry["corrected_p"] is not None:
        parts.append(f"p = {entry['corrected_p']:.2g}")
    return ", ".join(parts)


def _finish_row(row: Sequence[Axes], entries: Sequence[Entry]) -> None:
    first = entries[0]
    row[0].set_ylabel(
        fill(f"{first['claim']}  {first['statement']}", CHARACTERS),
        rotation=0,
        ha="left",
        va="center",
        fontsize=6.5,
        labelpad=LABEL_WIDTH * 66,
    )
    row[0].margins(x=0.08)
    low, high = row[0].get_xlim()
    for panel in row:
        # What counts as the claim lies on one side of the dashed line.
        counts = (low, first["smallest_effect"]) if first["equivalence"] else (first["smallest_effect"], high)
        panel.fill_between(counts, 0, 1, color=PALE, alpha=0.18, linewidth=0, label="counts as the claim")
        panel.set(xlim=(low, high), ylim=(0, 1), yticks=[])
        panel.set_xlabel(first["unit"], fontsize=6, labelpad=1)
        panel.tick_params(labelsize=6)
        panel.spines["left"].set_visible(False)
        panel.grid(visible=False, axis="y")


def _describe(figure: Figure, content: Mapping[str, Any]) -> None:
    settings = content["settings"]
    write_below(
        figure,
        [
            f"interval: {settings['confidence']:.0%} studentized bootstrap of the mean over seeds",
            "n: seeds; p: of the paired sign-flip test, Holm-corrected over the claims of a data set",
            f"lag: {settings['lag']:g} of the training; null model: {content['null_model']}",
            "k: leading eigenvectors that statistics are means over, in C1 to C5 where checkpoints have most",
            *content["notes"],
        ],
    )

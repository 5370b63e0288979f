"""Extension 8: null models against untrained networks, and runs against null models."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from eigendrift.figures.parts import BASELINE_ALPHA, Plotted, Table, logarithmic, write_below
from eigendrift.figures.style import PANEL_WIDTH, null_line, optimizer_lines, title_of
from eigendrift.stores.tables import read_table

ROW_HEIGHT = 0.155
REST_HEIGHT = 0.7
CENTRAL = (0.025, 0.975)
OBSERVED_COLOUR = "black"
# Points of a row are spread vertically over this share of it; the golden ratio spreads any number evenly.
SPREAD = 0.55
GOLDEN = (5**0.5 - 1) / 2
# For each statistic its rank, whether it is a logarithm, and the label of its axis.
SHOWN = {
    "log10 eigenvalue": (1, True, r"$\lambda_1$ (nat)"),
    "log10 IPR": (1, True, r"IPR of $v_1$"),
    "displacement": (1, False, r"$\Delta^{(1)}$ between networks"),
    "subspace displacement": (0, False, "subspace displacement"),
}
SIGNS = {"alike": "=", "different": "≠", "cannot tell": "?"}
REFERENCE = "reinitialized"


@dataclass(frozen=True)
class Validation:
    """The tables of the validation.

    Attributes:
        values: The values compared, null_values.csv.
        verdicts: The verdict on each null model, null_validation.csv.
    """

    values: pd.DataFrame
    verdicts: pd.DataFrame


@dataclass(frozen=True)
class _Row:
    """Networks that a panel shows side by side."""

    label: str
    networks: str  # their name in the table
    optimizer: str  # empty if they have none
    style: dict[str, Any]  # of their points
    null_model: str = ""  # the one with a verdict in this row


def read_null_models(values: str, verdicts: str) -> Validation:
    """Read the tables of the validation."""
    table = read_table(Path(values))
    return Validation(table.assign(optimizer=table["optimizer"].fillna("")), read_table(Path(verdicts)))


def draw_null_models(source: Validation) -> Plotted:
    """Draw each network as a point: a row of panels for each data set, a panel for each statistic."""
    datasets = list(dict.fromkeys(source.values["dataset"]))
    lines = list(_lines(source))
    size = (PANEL_WIDTH * 0.85 * len(SHOWN) + 1, len(datasets) * (ROW_HEIGHT * (lines[-1][0] + 1) + REST_HEIGHT) + 0.4)
    figure, axes = plt.subplots(len(datasets), len(SHOWN), figsize=size, squeeze=False, sharey=True)
    table: Table = []
    for row, dataset in zip(axes, datasets, strict=True):
        for panel, statistic in zip(row, SHOWN, strict=True):
            drawn = _draw_panel(panel, source, dataset, statistic, lines)
            table += [{"dataset": dataset, "statistic": statistic, **entry} for entry in drawn]
        labels = {place: line.label for place, line in lines}  # start and end of a run have the same place
        row[0].set_yticks(list(labels), list(labels.values()), fontsize=6)
        row[0].set_ylabel(dataset)
    axes[0, 0].invert_yaxis()
    write_below(
        figure,
        [
            "each point: one network or one pair of networks; red band: central 95 % of the null model "
            f"{REFERENCE}; runs: hollow at step 0, filled at the end",
            "right: on untrained networks the null model is = like the observed Hessian, ≠ different, "
            "? cannot be determined with so few draws; numbers in null_validation.csv and null_departure.csv",
        ],
    )
    return Plotted(figure, pd.DataFrame(table))


def _lines(source: Validation) -> Iterator[tuple[float, _Row]]:
    """Yield place and content of each row: untrained networks, then each optimizer and its null models."""
    nulls = list(dict.fromkeys(source.verdicts["null_model"]))
    known = set(source.values["networks"])
    yield 0.0, _Row("untrained networks", "observed", "", {"color": OBSERVED_COLOUR, "marker": "o"})
    for place, null in enumerate(nulls, 1):
        networks = f"untrained {null}" if f"untrained {null}" in known else null
        yield place, _Row(f"{null} null", networks, "", _null_style(null), null)
    height = len(nulls) + 0.5
    optimizers = dict.fromkeys(source.values.loc[source.values["networks"] == "end", "optimizer"])
    for optimizer, line in optimizer_lines(list(optimizers)).items():
        style = {"color": line["color"], "marker": line["marker"]}
        height += 1
        for moment, fill in (("start", "none"), ("end", line["color"])):
            yield height, _Row(title_of(optimizer), moment, optimizer, style | {"markerfacecolor": fill})
        for null in (null for null in nulls if f"untrained {null}" in known):
            height += 1
            yield height, _Row(f"{null}, {title_of(optimizer)}", null, optimizer, _null_style(null))
        height += 0.5


def _null_style(null: str) -> dict[str, Any]:
    return {"color": null_line(null)["color"], "marker": "|"}


def _draw_panel(
    panel: Axes, source: Validation, dataset: str, statistic: str, lines: list[tuple[float, _Row]]
) -> Table:
    rank, is_logarithm, label = SHOWN[statistic]
    chosen, about = (
        frame[(frame["dataset"] == dataset) & (frame["statistic"] == statistic) & (frame["rank"] == rank)]
        for frame in (source.values, source.verdicts)
    )
    verdicts = about.set_index("null_model")["verdict"]
    table: Table = []
    for place, line in lines:
        own = chosen[(chosen["networks"] == line.networks) & (chosen["optimizer"] == line.optimizer)]
        values = own["value"].to_numpy(float)
        values = 10**values if is_logarithm else values
        heights = place + SPREAD * ((np.arange(len(values)) * GOLDEN) % 1 - 0.5)
        panel.plot(values, heights, linestyle="none", markersize=2.6, markeredgewidth=0.6, **line.style)
        rows: Table = [{"number": number, "value": value} for number, value in zip(own["number"], values, strict=True)]
        if line.networks == REFERENCE and len(values):
            low, high = np.quantile(values, CENTRAL)
            panel.axvspan(low, high, color=line.style["color"], alpha=BASELINE_ALPHA, linewidth=0)
            rows.append({"low": low, "high": high})
        if line.null_model in verdicts:
            verdict = str(verdicts[line.null_model])
            panel.text(1.02, place, SIGNS[verdict], transform=panel.get_yaxis_transform(), va="center", fontsize=7)
            rows.append({"verdict": verdict})
        table += [{"networks": line.networks, "optimizer": line.optimizer, **row} for row in rows]
    if not (is_logarithm and logarithmic(panel, "x", (1, 3))):
        panel.locator_params(axis="x", nbins=4)
    panel.tick_params(axis="x", labelsize=6)
    panel.set_xlabel(label)
    panel.grid(visible=False, axis="y")
    return table

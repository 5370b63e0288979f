"""Extension 4: where in the network the leading eigenvector lives, and so why it localizes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eigendrift.figures.parts import (
    Plotted,
    Table,
    band_rows,
    dataset_title,
    describe,
    draw_band,
    draw_baseline,
    over_seeds,
    plain_log_ticks,
    steps_axis,
)
from eigendrift.figures.style import PANEL_WIDTH, optimizer_lines, title_of
from eigendrift.metrics.anatomy import GRAINS, contributions, layers_in
from eigendrift.metrics.collection import Collection, collect
from eigendrift.metrics.draws import draws_for

LEADING = 1
ROW_HEIGHT = 0.19
REST_HEIGHT = 1.1
BAR = 0.72
# From what is common to many parameters to what is of a single one.
GRAIN_COLOURS = dict(zip(GRAINS, ("#332288", "#88CCEE", "#DDDDDD"), strict=True))
GRAIN_LABELS = {
    "layers": "which layers",
    "neurons": "which neurons in them",
    "weights": "which of their weights",
}
LAYER_COLOURS = ("#44AA99", "#DDCC77", "#AA4499", "#117733", "#999933", "#882255")
LAYER_MARKERS = "osD^vP"
PARAMETERS = "parameters"

read = collect


@dataclass(frozen=True)
class _Row:
    """Networks whose leading eigenvectors are one bar.

    Attributes:
        label: Their name.
        networks: The same in the table: late, or the name of a null model.
        optimizer: Theirs; empty if they have none.
        measured: With the dimension sample, and what is measured of it.
        parameters: N.
        colour: Of the name.
    """

    label: str
    networks: str
    optimizer: str
    measured: xr.Dataset
    parameters: int
    colour: str = "black"


def draw(collection: Collection) -> Plotted:
    """Draw what makes N × IPR, the layers' shares, and what is in the top 1 %, a row for each data set."""
    rows = {dataset: list(_rows(collection, dataset)) for dataset in collection.runs}
    heights = [ROW_HEIGHT * (len(lines) + 1) + REST_HEIGHT for lines in rows.values()]
    figure, axes = plt.subplots(
        len(rows),
        4,
        figsize=(4 * PANEL_WIDTH + 0.6, sum(heights) + 0.9),
        squeeze=False,
        height_ratios=heights,
        width_ratios=[1.15, 1, 1, 1.15],
    )
    table: Table = []
    for panels, (dataset, lines) in zip(axes, rows.items(), strict=True):
        runs = collection.runs[dataset]
        drawn = [
            *_draw_contributions(panels[0], lines),
            *_draw_shares(panels[1], lines, runs.attrs["shapes"]),
            *_draw_neurons(panels[2], lines, runs.attrs["shapes"]),
            *_draw_top(panels[3], collection, dataset),
        ]
        table += [{"dataset": dataset, **row} for row in drawn]
        panels[0].set_title(dataset_title(dataset, runs), loc="left")
        _name_rows(panels, lines)
    for panel in axes[0]:
        handles, labels = panel.get_legend_handles_labels()
        panel.legend(handles, labels, loc="lower left", bbox_to_anchor=(0, 1.12), fontsize=6, ncols=1)
    describe(
        figure,
        collection,
        list(collection.runs),
        "leading eigenvector; bars and points of runs: mean over the second half of the training and over "
        "seeds (black: minimum to maximum), of null models: mean over draws",
    )
    return Plotted(figure, pd.DataFrame(table))


def _rows(collection: Collection, dataset: str) -> Iterator[_Row]:
    """Yield the bars of a data set: null models without training, then each optimizer with its own."""
    runs = collection.runs[dataset].sel(rank=LEADING)
    shapes, size = runs.attrs["shapes"], runs.attrs["parameters"]
    nulls = {name: baseline.sel(rank=LEADING) for name, baseline in collection.nulls(dataset).items()}
    trained = {name for name, baseline in nulls.items() if (baseline["optimizer"] >= 0).any()}
    for name in (name for name in nulls if name not in trained):
        yield _Row(f"{name} null", name, "", _measured(nulls[name].rename(draw="sample"), shapes), size)
    late = runs.where(runs["step"] >= runs["step"].max() / 2)
    for optimizer, line in optimizer_lines([str(name) for name in runs["optimizer"].values]).items():
        own = _measured(late.sel(optimizer=optimizer).rename(seed="sample"), shapes).mean("checkpoint")
        yield _Row(title_of(optimizer), "late", optimizer, own, size, line["color"])
        for name in (name for name in nulls if name in trained):
            draws = draws_for(nulls[name], optimizer).rename(draw="sample")
            yield _Row(f"{name}, {title_of(optimizer)}", name, optimizer, _measured(draws, shapes), size)


def _measured(source: xr.Dataset, shapes: list[list[int]]) -> xr.Dataset:
    return xr.Dataset(
        {
            "contribution": contributions(source, shapes),
            "layer_share": source["layer_share"],
            "bias_share": source["bias_share"],
            # The effective number of neurons over the number there is.
            "neurons": 1
            / source["neuron_inverse_participation_ratio"]
            / xr.DataArray([layer.neurons for layer in layers_in(shapes)], dims="layer"),
        }
    )


def _draw_contributions(panel: Axes, lines: list[_Row]) -> Table:
    """Draw bars whose parts multiply, on a logarithmic axis, to N × IPR."""
    table: Table = []
    for place, line in enumerate(lines, 1):
        parts = line.measured["contribution"]
        means, start = parts.mean("sample"), 0.0
        for grain, colour in GRAIN_COLOURS.items():
            logarithm = float(means.sel(grain=grain))
            label = GRAIN_LABELS[grain] if place == 1 else None
            panel.barh(
                place, 10 ** (start + logarithm) - 10**start, BAR, 10**start, color=colour, label=label
            )
            start += logarithm
            table.append(_entry(line, f"log10 part of {grain}", value=logarithm))
        total = parts.sum("grain", skipna=False)
        ends = {"low": float(total.min()), "high": float(total.max())}
        if line.networks == "late":
            panel.plot([10 ** ends["low"], 10 ** ends["high"]], [place] * 2, color="black", linewidth=0.8)
        table.append(_entry(line, "log10 of N × IPR", value=start, **ends))
        _write_effective(panel, place, line, start, ends["high"])
    panel.set(xscale="log", xlabel="N × IPR; number: effective parameters", xlim=(1, None))
    plain_log_ticks(panel.xaxis, (1, 3))
    return table


def _write_effective(panel: Axes, place: int, line: _Row, total: float, high: float) -> None:
    """Write N over N × IPR behind a bar, the effective number of parameters."""
    if np.isfinite(total):
        end = max(total, high) if line.networks == "late" else total
        effective = f" {line.parameters / 10**total:,.0f}"
        panel.text(10**end, place, effective, va="center", fontsize=5.5, color="#555555", clip_on=False)


def _draw_shares(panel: Axes, lines: list[_Row], shapes: list[list[int]]) -> Table:
    """Draw how the eigenvector is shared among layers, under how the parameters are."""
    sizes = np.array([layer.size for layer in layers_in(shapes)])
    of_parameters = sizes / sizes.sum()
    start = 0.0
    for share, colour in zip(of_parameters, _layer_colours(sizes), strict=True):
        panel.barh(0, share, BAR, start, color=colour)
        start += share
    table: Table = [
        {"networks": PARAMETERS, "quantity": "share", "layer": number, "value": float(share)}
        for number, share in enumerate(of_parameters, 1)
    ]
    for place, line in enumerate(lines, 1):
        means = line.measured.mean("sample")
        start = 0.0
        for index, colour in enumerate(_layer_colours(sizes)):
            share = float(means["layer_share"][index])
            label = f"layer {index + 1}" if place == 1 else None
            panel.barh(place, share, BAR, start, color=colour, label=label)
            start += share
            table.append(_entry(line, "share", layer=index + 1, value=share))
            table.append(_entry(line, "bias share", layer=index + 1, value=float(means["bias_share"][index])))
    panel.set(xlim=(0, 1), xlabel="share of the eigenvector")
    return table


def _draw_neurons(panel: Axes, lines: list[_Row], shapes: list[list[int]]) -> Table:
    """Draw the effective number of neurons of each layer over the number that it has."""
    layers = layers_in(shapes)
    table: Table = []
    means = np.array([line.measured["neurons"].mean("sample").values for line in lines])
    places = np.arange(1, len(lines) + 1)
    colours = _layer_colours(np.array([layer.size for layer in layers]))
    for index, (layer, colour) in enumerate(zip(layers, colours, strict=True)):
        panel.plot(
            means[:, index],
            places,
            color=colour,
            linestyle="none",
            marker=LAYER_MARKERS[index % len(LAYER_MARKERS)],
            markersize=3.5,
            label=f"layer {index + 1} ({layer.neurons} neurons)",
        )
        table += [
            _entry(line, "effective neurons over neurons", layer=index + 1, value=float(value))
            for line, value in zip(lines, means[:, index], strict=True)
        ]
    panel.set(xlim=(0, 1), xlabel="effective neurons / neurons")
    return table


def _draw_top(panel: Axes, collection: Collection, dataset: str) -> Table:
    """Draw the share of the top 1 % of parameters against the step."""
    runs = collection.runs[dataset]
    shares = runs["top_share"].sel(rank=LEADING)
    table: Table = []
    for optimizer, line in optimizer_lines([str(name) for name in runs["optimizer"].values]).items():
        band = over_seeds(shares.sel(optimizer=optimizer))
        draw_band(panel, runs["step"].values, band, line, title_of(optimizer))
        table += band_rows(
            "step", runs["step"].values, band, networks="runs", optimizer=optimizer, quantity="top share"
        )
    draws = collection.baselines[dataset]["top_share"].sel(rank=LEADING).values
    for row in draw_baseline(panel, draws, collection.null_model):
        table.append({"networks": collection.null_model, **row, "quantity": "top share"})
    panel.set(ylabel="share in the top 1 % of parameters", ylim=(0, 1))
    steps_axis(panel)
    return table


def _name_rows(panels: np.ndarray, lines: list[_Row]) -> None:
    """Name the bars once, the runs in their optimizer's colour, and put the first one on top."""
    for panel in panels[:3]:
        panel.set_ylim(len(lines) + 0.6, -0.6)
        panel.grid(visible=False, axis="y")
        panel.set_yticks(range(len(lines) + 1), [])
    names = [PARAMETERS, *(line.label for line in lines)]
    panels[0].set_yticks(range(len(names)), names, fontsize=6)
    for text, line in zip(panels[0].get_yticklabels()[1:], lines, strict=True):
        if line.networks == "late":
            text.set(color=line.colour, fontweight="bold")


def _layer_colours(layers: np.ndarray) -> list[str]:
    return [LAYER_COLOURS[index % len(LAYER_COLOURS)] for index in range(len(layers))]


def _entry(line: _Row, quantity: str, **values: Any) -> dict[str, Any]:
    return {"networks": line.networks, "optimizer": line.optimizer, "quantity": quantity, **values}

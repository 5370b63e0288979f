"""Localization of eigenvectors: figures 3 and 15, extension 4."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm

from eigendrift.figures.parts import (
    LEADING,
    MEAN_AND_RANGE,
    Plotted,
    Table,
    add_legend,
    dataset_title,
    describe,
    draw_baseline,
    draw_isotropic,
    draw_optimizers,
    finite_rows,
    lines_of,
    logarithmic,
    panels,
    plain_log_ticks,
    steps_axis,
)
from eigendrift.figures.style import PANEL_WIDTH, SEQUENTIAL, title_of
from eigendrift.metrics.anatomy import GRAINS, contributions, layers_in
from eigendrift.metrics.collection import Collection
from eigendrift.metrics.draws import draws_for
from eigendrift.metrics.localization import isotropic_inverse_participation_ratio

POOLED = "; null models of trained networks: draws of all optimizers together"
# Inches.
SCALE_HEIGHT = 0.5
ROW_HEIGHT = 0.19
REST_HEIGHT = 1.1
BAR = 0.72
# From layers, which have many parameters, to single weights.
GRAIN_COLOURS = dict(zip(GRAINS, ("#332288", "#88CCEE", "#DDDDDD"), strict=True))
GRAIN_LABELS = {"layers": "which layers", "neurons": "which neurons in them", "weights": "which of their weights"}
LAYER_COLOURS = ("#44AA99", "#DDCC77", "#AA4499", "#117733", "#999933", "#882255")
LAYER_MARKERS = "osD^vP"
PARAMETERS = "parameters"


def draw_localization(collection: Collection) -> Plotted:
    """Draw the IPR against the step, a panel for each data set; the right axis is N × IPR."""
    figure, axes = panels(1, len(collection.runs), share_y=False)
    table: Table = []
    for panel, (dataset, runs) in zip(axes[0], collection.runs.items(), strict=True):
        ratios = runs["inverse_participation_ratio"].sel(rank=LEADING)
        rows = draw_optimizers(panel, ratios, runs["step"].values, "step", quantity=ratios.name)
        rows += draw_references(panel, collection.nulls(dataset), runs.attrs["parameters"])
        table += [{"dataset": dataset, **row} for row in rows]
        multiple_axis(panel, runs.attrs["parameters"])
        panel.set(title=dataset_title(dataset, runs))
        steps_axis(panel)
    axes[0, 0].set_ylabel(r"IPR of $v_1$, $\sum_j v_{1j}^4$")
    add_legend(figure, axes[:1, :1])
    nulls = (null for dataset in collection.runs for null in collection.nulls(dataset).values())
    pooled = any((null["optimizer"] >= 0).any() for null in nulls)
    describe(figure, collection, collection.runs, f"{MEAN_AND_RANGE}{POOLED if pooled else ''}")
    return Plotted(figure, pd.DataFrame(table))


def draw_references(panel: Axes, nulls: Mapping[str, xr.Dataset], parameters: int) -> Table:
    """Draw what inverse participation ratios are compared with; their axis becomes logarithmic.

    Args:
        panel: Where the ratios are drawn already.
        nulls: Baselines of null models, by name; all of their draws are shown together.
        parameters: N.

    Returns:
        The numbers drawn.
    """
    table: Table = []
    for name, baseline in nulls.items():
        draws = baseline["inverse_participation_ratio"].sel(rank=LEADING).values
        table += draw_baseline(panel, draws, name, further=bool(table))
    table += draw_isotropic(panel, isotropic_inverse_participation_ratio(parameters))
    logarithmic(panel, "y")
    return table


def multiple_axis(panel: Axes, parameters: int) -> None:
    """Add a right axis to a panel of inverse participation ratios: N × IPR, 1 for an evenly spread vector."""
    right = panel.secondary_yaxis(
        "right", functions=(lambda y: np.multiply(y, parameters), lambda y: np.divide(y, parameters))
    )
    right.set_ylabel("N × IPR")
    plain_log_ticks(right.yaxis)


def draw_wide_localization(collection: Collection, dataset: str) -> Plotted:
    """Draw the IPR against the step, a line for each rank, a panel for each optimizer, one run in each.

    Args:
        collection: Measured runs with many eigenpairs; the first seed is shown.
        dataset: Data set to show.
    """
    runs = collection.runs[dataset].isel(seed=0)
    steps, ranks = runs["step"].values, runs["rank"].values
    optimizers = [str(name) for name in runs["optimizer"].values]
    figure, axes = panels(1, len(optimizers))
    colours = SEQUENTIAL.resampled(len(ranks))
    table: Table = []
    for panel, optimizer in zip(axes[0], optimizers, strict=True):
        ratios = runs["inverse_participation_ratio"].sel(optimizer=optimizer)
        # The leading one is drawn last, on top of the others.
        for index in reversed(range(len(ranks))):
            values = ratios.isel(rank=index).values
            panel.plot(steps, values, color=colours(index), linewidth=0.9, marker=".", markersize=2.5)
        rows: Table = []
        for rank in ranks:
            values = ratios.sel(rank=rank).values
            rows += finite_rows("step", steps, "value", values, quantity=ratios.name, rank=rank)
        nulls = {collection.null_model: draws_for(collection.baselines[dataset], optimizer)}
        rows += draw_references(panel, nulls, runs.attrs["parameters"])
        table += [{"dataset": dataset, "optimizer": optimizer, **row} for row in rows]
        panel.set_title(f"{title_of(optimizer)}, {dataset}")
        steps_axis(panel)
    axes[0, 0].set_ylabel(r"IPR of $v_i$, $\sum_j v_{ij}^4$")
    multiple_axis(axes[0, -1], runs.attrs["parameters"])
    add_legend(figure, axes[:1, :1])
    figure.set_figheight(figure.get_figheight() + SCALE_HEIGHT)
    mapped = ScalarMappable(BoundaryNorm(np.arange(len(ranks) + 1) + 0.5, len(ranks)), colours)
    look: dict[str, Any] = {"location": "bottom", "label": "rank $i$", "aspect": 40, "shrink": 0.6}
    figure.colorbar(mapped, ax=axes, ticks=ranks, **look).minorticks_off()
    shown = f"one run of each optimizer, seed {runs['seed'].item()}"
    describe(figure, collection, [dataset], f"{shown}; the null model's band is that of its leading eigenvector")
    return Plotted(figure, pd.DataFrame(table))


@dataclass(frozen=True)
class _Row:
    """Networks whose leading eigenvectors are one bar of the anatomy."""

    label: str
    networks: str  # their name in the table: late, or a null model
    optimizer: str  # empty for null models that belong to none
    measured: xr.Dataset  # with the dimension sample
    parameters: int
    colour: str = "black"  # of the label

    def entry(self, quantity: str, **values: Any) -> dict[str, Any]:
        """Return a row of the table."""
        return {"networks": self.networks, "optimizer": self.optimizer, "quantity": quantity, **values}


def draw_anatomy(collection: Collection) -> Plotted:
    """Draw what makes N × IPR, the layers' shares, and what is in the top 1 %, a row for each data set."""
    bars = {dataset: list(_bars(collection, dataset)) for dataset in collection.runs}
    heights = [ROW_HEIGHT * (len(lines) + 1) + REST_HEIGHT for lines in bars.values()]
    figure, axes = plt.subplots(
        len(bars),
        4,
        figsize=(4 * PANEL_WIDTH + 0.6, sum(heights) + 0.9),
        squeeze=False,
        height_ratios=heights,
        width_ratios=[1.15, 1, 1, 1.15],
    )
    table: Table = []
    for row, (dataset, lines) in zip(axes, bars.items(), strict=True):
        runs = collection.runs[dataset]
        drawn = _draw_contributions(row[0], lines)
        drawn += _draw_layer_shares(row[1], lines, runs.attrs["shapes"])
        drawn += _draw_neurons(row[2], lines, runs.attrs["shapes"])
        drawn += _draw_top_share(row[3], collection, dataset)
        table += [{"dataset": dataset, **entry} for entry in drawn]
        row[0].set_title(dataset_title(dataset, runs), loc="left")
        # The first bar is on top.
        for panel in row[:3]:
            panel.set_ylim(len(lines) + 0.6, -0.6)
            panel.grid(visible=False, axis="y")
            panel.set_yticks(range(len(lines) + 1), [])
        names = [PARAMETERS, *(line.label for line in lines)]
        row[0].set_yticks(range(len(names)), names, fontsize=6)
        for text, line in zip(row[0].get_yticklabels()[1:], lines, strict=True):
            if line.networks == "late":
                text.set(color=line.colour, fontweight="bold")
    for panel in axes[0]:
        handles, labels = panel.get_legend_handles_labels()
        panel.legend(handles, labels, loc="lower left", bbox_to_anchor=(0, 1.12), fontsize=6, ncols=1)
    describe(
        figure,
        collection,
        collection.runs,
        "leading eigenvector; bars and points of runs: mean over the second half of the training and over "
        "seeds (black: minimum to maximum), of null models: mean over draws",
    )
    return Plotted(figure, pd.DataFrame(table))


def _bars(collection: Collection, dataset: str) -> Iterator[_Row]:
    """Yield the bars of a data set: null models without training, then each optimizer with its own."""
    runs = collection.runs[dataset].sel(rank=LEADING)
    shapes, size = runs.attrs["shapes"], runs.attrs["parameters"]
    nulls = {name: baseline.sel(rank=LEADING) for name, baseline in collection.nulls(dataset).items()}
    trained = {name for name, baseline in nulls.items() if (baseline["optimizer"] >= 0).any()}
    for name in (name for name in nulls if name not in trained):
        yield _Row(f"{name} null", name, "", _measured(nulls[name].rename(draw="sample"), shapes), size)
    late = runs.where(runs["step"] >= runs["step"].max() / 2)
    for optimizer, line in lines_of(runs).items():
        own = _measured(late.sel(optimizer=optimizer).rename(seed="sample"), shapes).mean("checkpoint")
        yield _Row(title_of(optimizer), "late", optimizer, own, size, line["color"])
        for name in (name for name in nulls if name in trained):
            draws = draws_for(nulls[name], optimizer).rename(draw="sample")
            yield _Row(f"{name}, {title_of(optimizer)}", name, optimizer, _measured(draws, shapes), size)


def _measured(source: xr.Dataset, shapes: list[list[int]]) -> xr.Dataset:
    neurons = xr.DataArray([layer.neurons for layer in layers_in(shapes)], dims="layer")
    # The effective number of neurons divided by the number of neurons.
    effective = 1 / source["neuron_inverse_participation_ratio"] / neurons
    return source[["layer_share", "bias_share"]].assign(contribution=contributions(source, shapes), neurons=effective)


def _draw_contributions(panel: Axes, lines: list[_Row]) -> Table:
    """Draw bars whose parts multiply to N × IPR, with the effective number of parameters behind them."""
    table: Table = []
    for place, line in enumerate(lines, 1):
        parts = line.measured["contribution"]
        means, start = parts.mean("sample"), 0.0
        for grain, colour in GRAIN_COLOURS.items():
            logarithm = float(means.sel(grain=grain))
            label = GRAIN_LABELS[grain] if place == 1 else None
            panel.barh(place, 10 ** (start + logarithm) - 10**start, BAR, 10**start, color=colour, label=label)
            start += logarithm
            table.append(line.entry(f"log10 part of {grain}", value=logarithm))
        total = parts.sum("grain", skipna=False)
        ends = {"low": float(total.min()), "high": float(total.max())}
        if line.networks == "late":
            panel.plot([10 ** ends["low"], 10 ** ends["high"]], [place] * 2, color="black", linewidth=0.8)
        table.append(line.entry("log10 of N × IPR", value=start, **ends))
        if np.isfinite(start):
            end = max(start, ends["high"]) if line.networks == "late" else start
            effective = f" {line.parameters / 10**start:,.0f}"
            panel.text(10**end, place, effective, va="center", fontsize=5.5, color="#555555", clip_on=False)
    panel.set(xscale="log", xlabel="N × IPR; number: effective parameters", xlim=(1, None))
    plain_log_ticks(panel.xaxis, (1, 3))
    return table


def _draw_layer_shares(panel: Axes, lines: list[_Row], shapes: list[list[int]]) -> Table:
    """Draw each layer's share of the eigenvector, under its share of the parameters."""
    sizes = np.array([layer.size for layer in layers_in(shapes)])
    of_parameters = sizes / sizes.sum()
    start = 0.0
    for share, colour in zip(of_parameters, cycle(LAYER_COLOURS), strict=False):
        panel.barh(0, share, BAR, start, color=colour)
        start += share
    table: Table = [
        {"networks": PARAMETERS, "quantity": "share", "layer": number, "value": float(share)}
        for number, share in enumerate(of_parameters, 1)
    ]
    for place, line in enumerate(lines, 1):
        means = line.measured.mean("sample")
        start = 0.0
        for number, colour in zip(range(1, len(sizes) + 1), cycle(LAYER_COLOURS), strict=False):
            share = float(means["layer_share"][number - 1])
            panel.barh(place, share, BAR, start, color=colour, label=f"layer {number}" if place == 1 else None)
            start += share
            biases = float(means["bias_share"][number - 1])
            table.append(line.entry("share", layer=number, value=share))
            table.append(line.entry("bias share", layer=number, value=biases))
    panel.set(xlim=(0, 1), xlabel="share of the eigenvector")
    return table


def _draw_neurons(panel: Axes, lines: list[_Row], shapes: list[list[int]]) -> Table:
    """Draw each layer's effective number of neurons divided by its number of neurons."""
    table: Table = []
    means = np.array([line.measured["neurons"].mean("sample").values for line in lines])
    places = np.arange(1, len(lines) + 1)
    looks = zip(cycle(LAYER_COLOURS), cycle(LAYER_MARKERS), strict=True)
    for number, (layer, (colour, marker)) in enumerate(zip(layers_in(shapes), looks, strict=False), 1):
        style: dict[str, Any] = {"color": colour, "linestyle": "none", "marker": marker, "markersize": 3.5}
        panel.plot(means[:, number - 1], places, label=f"layer {number} ({layer.neurons} neurons)", **style)
        table += [
            line.entry("effective neurons over neurons", layer=number, value=float(value))
            for line, value in zip(lines, means[:, number - 1], strict=True)
        ]
    panel.set(xlim=(0, 1), xlabel="effective neurons / neurons")
    return table


def _draw_top_share(panel: Axes, collection: Collection, dataset: str) -> Table:
    """Draw the share of the top 1 % of parameters against the step."""
    runs = collection.runs[dataset]
    shares = runs["top_share"].sel(rank=LEADING)
    rows = draw_optimizers(panel, shares, runs["step"].values, "step", quantity="top share")
    table: Table = [{"networks": "runs", **row} for row in rows]
    draws = collection.baselines[dataset]["top_share"].sel(rank=LEADING).values
    for row in draw_baseline(panel, draws, collection.null_model):
        table.append({"networks": collection.null_model, **row, "quantity": "top share"})
    panel.set(ylabel="share in the top 1 % of parameters", ylim=(0, 1))
    steps_axis(panel)
    return table

"""Curvature: figure 8 (best minima), extension 5 (preconditioned Hessian) and extension 6 (flatness)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import pi, sqrt
from pathlib import Path
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from scipy.stats import spearmanr

from eigendrift.figures.localization import draw_references
from eigendrift.figures.parts import (
    LEADING,
    MEAN_AND_RANGE,
    Plotted,
    Table,
    add_legend,
    band_rows,
    dataset_title,
    describe,
    draw_band,
    finite_rows,
    lines_of,
    logarithmic,
    over_seeds,
    panels,
    plain_log_ticks,
    positions,
    seed_count,
    steps_axis,
    write_below,
)
from eigendrift.figures.style import LEGEND_WIDTH, PANEL_HEIGHT, PANEL_WIDTH, optimizer_lines, title_of
from eigendrift.metrics.association import FEWEST_UNITS, Association, association_within
from eigendrift.metrics.collection import Collection, collect, read_run
from eigendrift.metrics.copies import copies, distinct, masked, repeated, replicates
from eigendrift.metrics.lagged import displacement_over_lag
from eigendrift.stores.reading import open_store
from eigendrift.training.optimizers import is_adaptive, stability_threshold

# The lowest density shown is this share of the height that one eigenvalue alone has.
SHARE_OF_ONE = 1 / 30
HEADROOM = 3
# Ranks between the last eigenvalue and the traces; optimizers are side by side there.
PLACE_OF_TRACE = 2
BETWEEN_TRACES = 0.4
WIDTHS = (1.8, 1, 1.4)
# Named here, so that the table has a header even if every run diverged.
COLUMNS = (
    *("dataset", "optimizer", "quantity", "curvature", "value", "seed", "loss", "error_rate", "best"),
    *("rank", "standard_error"),
)
SHOWN: dict[str, dict[str, Any]] = {
    "best run": {"marker": "o", "markersize": 7, "markeredgecolor": "black"},
    "other run": {"marker": "o", "markersize": 4, "markerfacecolor": "none"},
}


def read_minima(minima: Iterable[str | Path]) -> dict[str, dict[str, xr.Dataset]]:
    """Return the best minimum of each data set and optimizer, read from minimum stores."""
    grouped: dict[str, dict[str, xr.Dataset]] = {}
    for path in minima:
        minimum = open_store(Path(path), "minimum").load()
        training = minimum.attrs["settings"]["training"]
        grouped.setdefault(training["dataset"], {})[training["optimizer"]["name"]] = minimum
    return grouped


def draw_minima(minima: dict[str, dict[str, xr.Dataset]]) -> Plotted:
    """Draw spectral density, loss and error rate, eigenvalues and trace; a row for each data set."""
    figure, axes = plt.subplots(
        len(minima),
        len(WIDTHS),
        figsize=(PANEL_WIDTH * sum(WIDTHS) + LEGEND_WIDTH, PANEL_HEIGHT * len(minima) + 0.5),
        squeeze=False,
        width_ratios=WIDTHS,
    )
    table: Table = []
    notes = []
    for (density, runs, spectrum), (dataset, by_optimizer) in zip(axes, minima.items(), strict=True):
        lines = optimizer_lines(list(by_optimizer))
        for shift, (optimizer, line) in zip(positions(len(lines), BETWEEN_TRACES), lines.items(), strict=True):
            minimum = by_optimizer[optimizer]
            rows = _draw_density(density, minimum, line)
            rows += _draw_losses(runs, minimum, line)
            rows += _draw_spectrum(spectrum, minimum, line, shift)
            table += [{"dataset": dataset, "optimizer": optimizer, **row} for row in rows]
        _finish_density(density, list(by_optimizer.values()))
        _finish_spectrum(spectrum, minimum["rank"].values)
        density.set(title=f"{dataset}: all eigenvalues", xlabel="curvature (nat)")
        runs.set(title="all runs", xlabel="loss (nat)", ylabel="error rate")
        runs.locator_params(axis="x", nbins=4)
        spectrum.set(title="leading eigenvalues, and trace")
        notes += _notes_on_minima(dataset, by_optimizer)
    lines = optimizer_lines(list(dict.fromkeys(name for by_optimizer in minima.values() for name in by_optimizer)))
    handles = [Line2D([], [], **line, markersize=4, label=title_of(name)) for name, line in lines.items()]
    handles += [
        Line2D([], [], **{"color": "#888888", **marker}, linestyle="none", label=name) for name, marker in SHOWN.items()
    ]
    figure.legend(handles=handles, loc="outside right upper")
    write_below(figure, notes)
    return Plotted(figure, pd.DataFrame(table, columns=COLUMNS))


def _draw_density(axes: Axes, minimum: xr.Dataset, line: dict[str, Any]) -> Table:
    curvature, density = minimum["curvature"].values, minimum["density"].values
    axes.plot(curvature, density, color=line["color"], linestyle=line["linestyle"], linewidth=1.1)
    return finite_rows("curvature", curvature, "value", density, quantity="spectral density")


def _draw_losses(axes: Axes, minimum: xr.Dataset, line: dict[str, Any]) -> Table:
    table: Table = []
    copied = _copied_minima(minimum)
    for seed, loss, accuracy, best in zip(
        *(minimum[name].values for name in ("seed", "loss", "accuracy", "best")), strict=True
    ):
        if seed in copied or not np.isfinite(loss):
            continue
        marker = SHOWN["best run" if best else "other run"]
        axes.plot(loss, 1 - accuracy, **{"color": line["color"], **marker, "marker": line["marker"]})
        table.append({"quantity": "run", "seed": seed, "loss": loss, "error_rate": 1 - accuracy, "best": best})
    return table


def _copied_minima(minimum: xr.Dataset) -> dict[int, int]:
    """Return the seeds whose loss and accuracy equal an earlier seed's to the bit, and that seed.

    The best run is never a copy, because it is the first run that has the lowest loss.
    """
    return repeated(minimum["seed"].values.tolist(), (minimum[name].values for name in ("loss", "accuracy")))


def _draw_spectrum(axes: Axes, minimum: xr.Dataset, line: dict[str, Any], shift: float) -> Table:
    """Draw the leading eigenvalues by rank, and the trace, shifted, to the right of them."""
    ranks = minimum["rank"].values
    eigenvalues = minimum["eigenvalue"].where(minimum["converged"]).values
    axes.plot(ranks, eigenvalues, **line, markersize=3, linewidth=0.8)
    table = finite_rows("rank", ranks, "value", eigenvalues, quantity="eigenvalue")
    summary = minimum.attrs["summary"]
    if summary["trace"] is not None:
        trace, error = summary["trace"], summary["trace_standard_error"]
        place = len(ranks) + PLACE_OF_TRACE + shift
        axes.errorbar(place, trace, error, **{**line, "linestyle": "none"}, markersize=4)
        table.append({"quantity": "trace", "value": trace, "standard_error": error})
    return table


def _finish_density(axes: Axes, minima: list[xr.Dataset]) -> None:
    """Make the axis of densities logarithmic, down to the least density worth showing."""
    axes.set_ylabel("spectral density (1/nat)")
    if found := [minimum for minimum in minima if minimum.attrs["summary"]["smoothing"]]:
        summaries = [minimum.attrs["summary"] for minimum in found]
        weights = [summary["parameters"] * sqrt(2 * pi) * summary["smoothing"] for summary in summaries]
        highest = max(float(minimum["density"].max()) for minimum in found)
        axes.set(yscale="log", ylim=(SHARE_OF_ONE / max(weights), HEADROOM * highest))


def _finish_spectrum(axes: Axes, ranks: np.ndarray) -> None:
    """Label the ranks and, to the right of a line, the trace."""
    labelled = [rank for rank in ranks if rank == 1 or rank % 5 == 0]
    place = len(ranks) + PLACE_OF_TRACE
    axes.set_xticks([*labelled, place], [*map(str, labelled), "trace"])
    axes.axvline(place - 1, color="#888888", linewidth=0.5)
    axes.set(xlabel="rank $i$", ylabel=r"eigenvalue $\lambda_i$, trace (nat)", xlim=(0, place + 1))
    logarithmic(axes, "y", (1, 2, 5))


def _notes_on_minima(dataset: str, minima: dict[str, xr.Dataset]) -> list[str]:
    """Return what a reader must know about one data set's panels."""
    summaries = [minimum.attrs["summary"] for minimum in minima.values()]
    copied = {optimizer: _copied_minima(minimum) for optimizer, minimum in minima.items()}
    seeds = seed_count(minimum.sizes["seed"] - len(copied[name]) for name, minimum in minima.items())
    notes = [
        f"{dataset}: N = {summaries[0]['parameters']:,} parameters; all over {summaries[0]['samples']:,} "
        f"training and test samples together; best run: lowest loss of {seeds}"
    ]
    if widths := [summary["smoothing"] for summary in summaries if summary["smoothing"]]:
        spread = f"{min(widths):.2g} to {max(widths):.2g}"
        notes[0] += f"; density smoothed by Gaussians of standard deviation {spread} nat"
    for optimizer, minimum in minima.items():
        diverged = minimum["seed"].values[~np.isfinite(minimum["loss"].values)]
        notes += [f"{dataset}, {optimizer}: seed {seed} diverged" for seed in diverged]
        notes += [
            f"{dataset}, {optimizer}: seed {seed} ends as seed {original} does, to the bit, and is left out"
            for seed, original in copied[optimizer].items()
        ]
        missing = int((~minimum["converged"]).sum())
        if missing and len(diverged) < minimum.sizes["seed"]:
            notes.append(f"{dataset}, {optimizer}: without {missing} unconverged eigenvalue{'s' * (missing > 1)}")
    return notes


DARKER = 0.6
STABLE: dict[str, Any] = {"color": "black", "linestyle": (0, (6, 2)), "linewidth": 1.0}
PRECONDITIONED = "preconditioned"
PLAIN = "plain"


@dataclass(frozen=True)
class PreconditionedRuns:
    """The main experiment's runs, with the preconditioned Hessian of adaptive optimizers.

    Attributes:
        collection: The main experiment's runs, and null models.
        preconditioned: By data set and adaptive optimizer, metrics of the preconditioned Hessian with the dimension
            seed in front. Copies are NaN, see `eigendrift.metrics.copies.masked`.
        thresholds: By data set and optimizer, the largest stable λ1, see `stability_threshold`; None if it is not
            known.
        unconverged: Masked pairs of the preconditioned Hessian, by data set; copies do not count.
    """

    collection: Collection
    preconditioned: Mapping[str, Mapping[str, xr.Dataset]]
    thresholds: Mapping[str, Mapping[str, float | None]]
    unconverged: Mapping[str, int]


def read_preconditioned(
    metrics: Iterable[str], baselines: Iterable[str], preconditioned: Iterable[str]
) -> PreconditionedRuns:
    """Read the stores of the main experiment, and those of the preconditioned Hessian."""
    metrics = list(metrics)
    collection = collect(metrics, baselines)
    thresholds: dict[str, dict[str, float | None]] = defaultdict(dict)
    for path in metrics:
        training = open_store(Path(path), "metrics").attrs["settings"]["training"]
        optimizer = training["optimizer"]
        thresholds[training["dataset"]][optimizer["name"]] = stability_threshold(optimizer)
    # Nothing in these stores depends on the training alone, so copies are found in the plain runs.
    copied = {
        (dataset, optimizer): copies(runs.sel(optimizer=optimizer))
        for dataset, runs in collection.runs.items()
        for optimizer in runs["optimizer"].values
    }
    grouped: dict[tuple[str, str], list[xr.Dataset]] = defaultdict(list)
    unconverged: dict[str, int] = defaultdict(int)
    for path in preconditioned:
        run = open_store(Path(path), "preconditioned_metrics").load()
        training = run.attrs["settings"]["training"]
        dataset, optimizer, seed = training["dataset"], training["optimizer"]["name"], training["seed"]
        grouped[dataset, optimizer].append(run.assign_coords(seed=seed))
        if seed not in copied[dataset, optimizer]:
            unconverged[dataset] += run.attrs["summary"]["unconverged"]
    stacked: dict[str, dict[str, xr.Dataset]] = defaultdict(dict)
    for (dataset, optimizer), runs in grouped.items():
        joined = xr.concat(runs, "seed", join="exact", coords="minimal", compat="equals", combine_attrs="drop")
        stacked[dataset][optimizer] = masked(joined, copied[dataset, optimizer])
    return PreconditionedRuns(collection, stacked, thresholds, unconverged)


def draw_preconditioned(source: PreconditionedRuns, lag: float) -> Plotted:
    """Draw displacement over a lag, localization, and λ1 over its threshold; a row for each data set.

    Args:
        source: The measured runs.
        lag: Lag of displacements, as a share of the training.
    """
    datasets = source.collection.runs
    figure, axes = panels(len(datasets), 3, share_y=False)
    table: Table = []
    for row, (dataset, runs) in zip(axes, datasets.items(), strict=True):
        thresholds = source.thresholds[dataset]
        for optimizer, line in lines_of(runs).items():
            plain = runs.sel(optimizer=optimizer)
            # The plain Hessian has a threshold only if the optimizer is not adaptive.
            threshold = None if is_adaptive(optimizer) else thresholds[optimizer]
            labels = {"dataset": dataset, "optimizer": optimizer}
            drawn = _draw_line(row, plain, lag, threshold, line, title_of(optimizer))
            table += [{**labels, "hessian": PLAIN, **entry} for entry in drawn]
            own = source.preconditioned.get(dataset, {}).get(optimizer)
            if own is not None:
                name = f"{title_of(optimizer)}, {PRECONDITIONED}"
                darker = tuple(DARKER * part for part in to_rgb(line["color"]))
                style = line | {"color": darker, "linestyle": "-"}
                drawn = _draw_line(row, own, lag, thresholds[optimizer], style, name)
                table += [{**labels, "hessian": PRECONDITIONED, **entry} for entry in drawn]
        null = draw_references(row[1], source.collection.nulls(dataset), runs.attrs["parameters"])
        table += [{"dataset": dataset, **entry} for entry in null]
        row[2].axhline(1, label="stability threshold\n(full batch, quadratic loss)", **STABLE)
        row[2].set_yscale("log")
        logarithmic(row[0], "y")
        for panel in row:
            panel.set_title(dataset_title(dataset, runs))
            steps_axis(panel)
        row[0].set(xlabel="waiting time $t_w$ (step)", ylabel=rf"$\Delta(t_w, t_w + {lag:g}\,T)$ of $v_1$")
        row[1].set_ylabel("IPR of $v_1$")
        row[2].set_ylabel(r"$\lambda_1$ / stability threshold")
    add_legend(figure, axes)
    seeds: dict[str, list[int]] = defaultdict(list)
    for by_optimizer in source.preconditioned.values():
        for name, runs in by_optimizer.items():
            seeds[title_of(name)].append(replicates(runs))
    counted = ", ".join(f"{name}: {seed_count(numbers)}" for name, numbers in seeds.items())
    left = sum(source.unconverged.values())
    left_out = f"; without {left} unconverged eigenpair{'s' * (left > 1)} of it" if left else ""
    shown = f"{MEAN_AND_RANGE}; preconditioned Hessian of {counted}{left_out}"
    describe(figure, source.collection, datasets, shown)
    return Plotted(figure, pd.DataFrame(table))


def _draw_line(
    row: np.ndarray, runs: xr.Dataset, lag: float, threshold: float | None, line: dict[str, Any], label: str
) -> Table:
    """Draw one Hessian of one optimizer in all panels."""
    moved = displacement_over_lag(runs, lag, "displacement").sel(rank=LEADING)
    leading = runs.sel(rank=LEADING)
    drawn: list[tuple[xr.DataArray, dict[str, Any]]] = [
        (moved, {"quantity": "displacement"}),
        (leading["inverse_participation_ratio"], {"quantity": "inverse_participation_ratio"}),
    ]
    if threshold is not None:
        labels = {"quantity": "eigenvalue over threshold", "threshold": threshold}
        drawn.append((leading["eigenvalue"] / threshold, labels))
    table: Table = []
    for panel, (values, labels) in zip(row, drawn, strict=False):
        band, steps = over_seeds(values), values["step"].values
        draw_band(panel, steps, band, line, label)
        table += band_rows("step", steps, band, **labels)
    return table


# Pairs of quantities, on the x axis and the y axis.
COMPARED = (("displacement", "eigenvalue"), ("displacement", "accuracy"), ("eigenvalue", "accuracy"))
LABELS = {
    "displacement": r"late displacement of $v_1$",
    "eigenvalue": r"$\lambda_1$ at the end",
    "accuracy": "test accuracy at the end",
}
LOGARITHMIC = ("displacement", "eigenvalue")
SETTING = ["dataset", "optimizer", "batch_size", "learning_rate"]
# What varies within a block, and the columns that are equal there.
WITHIN = {"settings vary": ["dataset", "optimizer"], "seeds vary": SETTING}
POOLED = "all runs, pooled"
POOLED_STYLE: dict[str, Any] = {"color": "black", "marker": "D", "linestyle": "none", "markersize": 4}
WITHIN_STYLE: dict[str, Any] = {"color": "black", "marker": "o", "linestyle": "none", "markersize": 4}
FOREST_HEIGHT = 1.1
# A logarithmic axis that spans a larger factor has labels at powers of ten only.
MANY = 50


@dataclass(frozen=True)
class DistinctRuns:
    """The runs of a study, without copies.

    Attributes:
        runs: Metrics of each run, with its settings as attributes and its seed as a coordinate.
        copies: How many runs are left out because they are copies.
    """

    runs: list[xr.Dataset]
    copies: int = 0


def read_flatness(metrics: Iterable[str]) -> DistinctRuns:
    """Read the metrics of every run of a study, without copies."""
    runs = [read_run(Path(path)) for path in metrics]
    different = distinct(runs)
    return DistinctRuns(different, len(runs) - len(different))


def draw_flatness(source: DistinctRuns, lag: float, confidence: float, resamples: int) -> Plotted:
    """Draw each run as a point, a row of panels for each data set; below, rank correlations over all.

    Args:
        source: The measured runs.
        lag: Lag of displacements, as a share of the training.
        confidence: Level of the intervals.
        resamples: Number of permutations, and of bootstrap resamples.
    """
    runs, diverged, unmeasured = tabulate(source.runs, lag)
    datasets = list(dict.fromkeys(run.attrs["dataset"] for run in source.runs))
    figure, axes = plt.subplots(
        len(datasets) + 1,
        len(COMPARED),
        figsize=(PANEL_WIDTH * len(COMPARED) + LEGEND_WIDTH, PANEL_HEIGHT * len(datasets) + FOREST_HEIGHT + 0.7),
        squeeze=False,
        height_ratios=[PANEL_HEIGHT] * len(datasets) + [FOREST_HEIGHT],
    )
    for row, dataset in zip(axes, datasets, strict=False):
        for panel, (x, y) in zip(row, COMPARED, strict=True):
            _draw_runs(panel, runs[runs["dataset"] == dataset], x, y)
            panel.set_title(dataset)
    table: Table = [{"quantity": "run", **dict(row)} for _, row in runs.iterrows()]
    for panel, (x, y) in zip(axes[-1], COMPARED, strict=True):
        table += _draw_correlations(panel, runs, x, y, confidence, resamples)
        panel.set_title("all data sets" if len(datasets) > 1 else datasets[0])
    axes[-1, 0].set_yticklabels([POOLED, *WITHIN])
    axes[-1, 0].set_ylabel("runs compared")
    add_legend(figure, axes)
    left_out = (
        f"without {diverged} that diverged, {source.copies} that repeat the training of another seed and "
        f"{unmeasured} with an eigenpair that did not converge"
    )
    lines = [
        f"point: a run, {len(runs)} in all; {left_out}",
        f"below, over all data sets: bar: {confidence:.0%} interval; p: permutations within blocks, times "
        f"{len(COMPARED) * len(WITHIN)} tests; n units in so many blocks of at least {FEWEST_UNITS}",
        "settings vary: blocks of one data set and optimizer, units are settings (means over seeds); "
        "seeds vary: blocks of one setting, units are runs",
    ]
    write_below(figure, lines)
    return Plotted(figure, pd.DataFrame(table))


def tabulate(runs: Iterable[xr.Dataset], lag: float) -> tuple[pd.DataFrame, int, int]:
    """Return a row for each run: its settings, and the quantities compared.

    ``displacement``: mean of the leading eigenvector's Δ(tw, tw + lag) over the second half of waiting times;
    ``eigenvalue``: λ1 at the last checkpoint; ``accuracy``: test accuracy there.

    Args:
        runs: Metrics of runs, see `read_run`.
        lag: Lag of displacements, as a share of the training.

    Returns:
        The table, the number of runs left out because they diverged, and the number of others left out because an
        eigenpair that is needed did not converge.
    """
    rows, diverged, unmeasured = [], 0, 0
    for run in runs:
        moved = displacement_over_lag(run, lag, "displacement").sel(rank=LEADING)
        is_late = moved["step"] >= (moved["step"].max() + moved["step"].min()) / 2
        row = {
            **{name: run.attrs[name] for name in SETTING},
            "seed": int(run["seed"]),
            "displacement": float(moved.where(is_late).mean()),
            "eigenvalue": float(run["eigenvalue"].sel(rank=LEADING)[-1]),
            "accuracy": float(run["test_accuracy"][-1]),
        }
        if np.isfinite(float(run["diverged_at"])):
            diverged += 1
        elif not np.isfinite([row[name] for name in LABELS]).all():
            unmeasured += 1
        else:
            rows.append(row)
    return pd.DataFrame(rows, columns=[*SETTING, "seed", *LABELS]), diverged, unmeasured


def correlate(runs: pd.DataFrame, x: str, y: str, varies: str, confidence: float, resamples: int) -> Association:
    """Return the rank correlation within blocks of `WITHIN`.

    Where settings vary, the units are settings, each the mean over its seeds: runs that differ only in their seed are
    no independent evidence of the effect of a setting. Where seeds vary, the units are runs.
    """
    units = runs.groupby(SETTING, sort=False)[list(LABELS)].mean().reset_index()
    units = units if varies == "settings vary" else runs
    blocks = list(units[WITHIN[varies]].itertuples(index=False, name=None))
    one, other = (units[name].to_numpy(float) for name in (x, y))
    return association_within(one, other, blocks, confidence, resamples)


def _draw_runs(panel: Axes, runs: pd.DataFrame, x: str, y: str) -> None:
    for optimizer, line in optimizer_lines(list(dict.fromkeys(runs["optimizer"]))).items():
        own = runs[runs["optimizer"] == optimizer]
        style = line | {"linestyle": "none", "markersize": 3.2}
        panel.plot(own[x], own[y], alpha=0.75, label=title_of(optimizer), **style)
    panel.set(xlabel=LABELS[x], ylabel=LABELS[y])
    directions: tuple[tuple[Literal["x", "y"], str], ...] = (("x", x), ("y", y))
    for direction, name in directions:
        if name in LOGARITHMIC:
            logarithmic(panel, direction)
            low, high = runs[name].min(), runs[name].max()
            if low > 0:
                axis = panel.xaxis if direction == "x" else panel.yaxis
                plain_log_ticks(axis, (1,) if high > MANY * low else (1, 2, 5))
                axis.set_tick_params(labelsize=6)


def _draw_correlations(panel: Axes, runs: pd.DataFrame, x: str, y: str, confidence: float, resamples: int) -> Table:
    """Draw the coefficients of two quantities, pooled and within blocks, with intervals and p."""
    varied = min(runs[x].nunique(), runs[y].nunique()) > 1
    pooled = float(spearmanr(runs[x], runs[y]).statistic) if varied else np.nan
    panel.plot(pooled, 0, label="runs pooled", markerfacecolor="none", **POOLED_STYLE)
    labels = {"quantity": "correlation", "x": x, "y": y}
    table: Table = [{**labels, "runs_compared": POOLED, "coefficient": pooled, "units": len(runs)}]
    for place, varies in enumerate(WITHIN, 1):
        found = correlate(runs, x, y, varies, confidence, resamples)
        # Python's min would drop a NaN.
        corrected = float(np.minimum(1, found.p * len(COMPARED) * len(WITHIN)))
        panel.plot([found.low, found.high], [place] * 2, color="black", linewidth=1)
        panel.plot(found.coefficient, place, label="within blocks" if place == 1 else None, **WITHIN_STYLE)
        said = f"p = {corrected:.2g}" if np.isfinite(found.p) else "too few"
        said += f"\nn = {found.units} in {found.blocks}"
        panel.text(1.02, place, said, transform=panel.get_yaxis_transform(), va="center", fontsize=5)
        table.append({**labels, "runs_compared": varies, **vars(found), "corrected_p": corrected})
    panel.axline((0, 0), (0, 1), color="#777777", linewidth=0.8)
    panel.set(xlim=(-1, 1), ylim=(len(WITHIN) + 0.6, -0.6), xlabel="rank correlation")
    panel.set_yticks(range(len(WITHIN) + 1), [""] * (len(WITHIN) + 1), fontsize=6)
    panel.grid(visible=False, axis="y")
    return table

"""Extension 5: the preconditioned Hessian's leading eigenvectors beside the plain ones."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from eigendrift.figures.localization import draw_references
from eigendrift.figures.parts import (
    MEAN_AND_RANGE,
    Plotted,
    Table,
    band_rows,
    dataset_title,
    describe,
    draw_band,
    logarithmic,
    over_seeds,
    panels,
    seed_count,
    steps_axis,
)
from eigendrift.figures.style import optimizer_lines, title_of
from eigendrift.figures.sweeps import legend_of
from eigendrift.metrics.collection import Collection, collect
from eigendrift.metrics.copies import copies, masked, replicates
from eigendrift.metrics.lagged import displacement_over_lag
from eigendrift.stores.reading import open_store
from eigendrift.training.optimizers import is_adaptive, stability_threshold

LEADING = 1
DARKER = 0.6
STABLE: dict[str, Any] = {"color": "black", "linestyle": (0, (6, 2)), "linewidth": 1.0}
PRECONDITIONED = "preconditioned"
PLAIN = "plain"


@dataclass(frozen=True)
class Source:
    """What is drawn.

    Attributes:
        collection: The main experiment's runs, and null models.
        preconditioned: By data set and adaptive optimizer, metrics of the preconditioned Hessian with the
            dimension seed in front. Copies are NaN, see `eigendrift.metrics.copies.masked`.
        thresholds: By data set and optimizer, the largest stable λ1, see `stability_threshold`; None if
            there is none to tell.
        unconverged: Masked pairs of the preconditioned Hessian, by data set; copies do not count.
    """

    collection: Collection
    preconditioned: Mapping[str, Mapping[str, xr.Dataset]]
    thresholds: Mapping[str, Mapping[str, float | None]]
    unconverged: Mapping[str, int]


def read(metrics: Iterable[str], baselines: Iterable[str], preconditioned: Iterable[str]) -> Source:
    """Read the stores of the main experiment, and those of the preconditioned Hessian."""
    metrics = list(metrics)
    collection = collect(metrics, baselines)
    thresholds: dict[str, dict[str, float | None]] = defaultdict(dict)
    for path in metrics:
        training = open_store(Path(path), "metrics").attrs["settings"]["training"]
        optimizer = training["optimizer"]
        thresholds[training["dataset"]][optimizer["name"]] = stability_threshold(optimizer)
    grouped: dict[str, dict[str, list[xr.Dataset]]] = defaultdict(lambda: defaultdict(list))
    unconverged: dict[str, int] = defaultdict(int)
    for path in preconditioned:
        run = open_store(Path(path), "preconditioned_metrics").load()
        training = run.attrs["settings"]["training"]
        dataset, optimizer, seed = training["dataset"], training["optimizer"]["name"], training["seed"]
        grouped[dataset][optimizer].append(run.assign_coords(seed=seed))
        if seed not in _copies(collection, dataset, optimizer):
            unconverged[dataset] += run.attrs["summary"]["unconverged"]
    stacked = {
        dataset: {
            name: _stacked(runs, _copies(collection, dataset, name)) for name, runs in by_optimizer.items()
        }
        for dataset, by_optimizer in grouped.items()
    }
    return Source(collection, stacked, dict(thresholds), dict(unconverged))


def _copies(collection: Collection, dataset: str, optimizer: str) -> dict[int, int]:
    """Return the seeds of an optimizer that are copies, and the seed that each of them equals."""
    return copies(collection.runs[dataset].sel(optimizer=optimizer))


def _stacked(runs: list[xr.Dataset], copied: Mapping[int, int]) -> xr.Dataset:
    """Put the seeds of one optimizer together, without the results of copies.

    These stores hold nothing that the training alone decides, so the plain runs say which seeds are copies.
    """
    stacked: xr.Dataset = xr.concat(
        runs, "seed", join="exact", coords="minimal", compat="equals", combine_attrs="drop"
    )
    return masked(stacked, copied)


def draw(source: Source, lag: float) -> Plotted:
    """Draw displacement over a lag, localization, and λ1 over its threshold; a row for each data set.

    Args:
        source: The measured runs.
        lag: Of displacements, as a share of the training.
    """
    datasets = source.collection.runs
    figure, axes = panels(len(datasets), 3, share_y=False)
    table: Table = []
    for row, (dataset, runs) in zip(axes, datasets.items(), strict=True):
        thresholds = source.thresholds[dataset]
        for optimizer, line in optimizer_lines([str(name) for name in runs["optimizer"].values]).items():
            plain = runs.sel(optimizer=optimizer)
            # Only of an optimizer that divides by nothing is it the plain Hessian that must stay stable.
            threshold = None if is_adaptive(optimizer) else thresholds[optimizer]
            labels = {"dataset": dataset, "optimizer": optimizer}
            drawn = _draw_line(row, plain, lag, threshold, line, title_of(optimizer))
            table += [{**labels, "hessian": PLAIN, **entry} for entry in drawn]
            own = source.preconditioned.get(dataset, {}).get(optimizer)
            if own is not None:
                name = f"{title_of(optimizer)}, {PRECONDITIONED}"
                drawn = _draw_line(row, own, lag, thresholds[optimizer], _darker(line), name)
                table += [{**labels, "hessian": PRECONDITIONED, **entry} for entry in drawn]
        null = draw_references(
            row[1],
            {source.collection.null_model: source.collection.baselines[dataset]},
            runs.attrs["parameters"],
        )
        table += [{"dataset": dataset, **entry} for entry in null]
        row[2].axhline(1, label="stability threshold\n(full batch, quadratic loss)", **STABLE)
        row[2].set_yscale("log")
        _label(row, dataset_title(dataset, runs), lag)
    handles, names = legend_of(axes)
    figure.legend(handles, names, loc="outside right upper")
    _describe(figure, source)
    return Plotted(figure, pd.DataFrame(table))


def _draw_line(
    row: np.ndarray,
    runs: xr.Dataset,
    lag: float,
    threshold: float | None,
    line: dict[str, Any],
    label: str,
) -> Table:
    """Draw one Hessian of one optimizer in all panels."""
    moved = displacement_over_lag(runs, lag, "displacement").sel(rank=LEADING)
    leading = runs.sel(rank=LEADING)
    drawn = [
        (row[0], "displacement", moved["step"].values, moved),
        (row[1], "inverse_participation_ratio", runs["step"].values, leading["inverse_participation_ratio"]),
    ]
    if threshold is not None:
        drawn.append(
            (row[2], "eigenvalue over threshold", runs["step"].values, leading["eigenvalue"] / threshold)
        )
    table: Table = []
    for panel, quantity, steps, values in drawn:
        band = over_seeds(values)
        draw_band(panel, steps, band, line, label)
        more = {} if quantity != "eigenvalue over threshold" else {"threshold": threshold}
        table += band_rows("step", steps, band, quantity=quantity, **more)
    return table


def _darker(line: dict[str, Any]) -> dict[str, Any]:
    colour = tuple(DARKER * part for part in to_rgb(line["color"]))
    return line | {"color": colour, "linestyle": "-"}


def _label(row: np.ndarray, title: str, lag: float) -> None:
    displaced: Axes = row[0]
    logarithmic(displaced, "y")
    for panel in row:
        panel.set_title(title)
        steps_axis(panel)
    displaced.set_xlabel("waiting time $t_w$ (step)")
    displaced.set_ylabel(rf"$\Delta(t_w, t_w + {lag:g}\,T)$ of $v_1$")
    row[1].set_ylabel("IPR of $v_1$")
    row[2].set_ylabel(r"$\lambda_1$ / stability threshold")


def _describe(figure: Any, source: Source) -> None:
    seeds: dict[str, list[int]] = defaultdict(list)
    for by_optimizer in source.preconditioned.values():
        for name, runs in by_optimizer.items():
            seeds[title_of(name)].append(replicates(runs))
    counted = ", ".join(f"{name}: {seed_count(numbers)}" for name, numbers in seeds.items())
    masked = sum(source.unconverged.values())
    left_out = f"; without {masked} unconverged eigenpair{'s' * (masked > 1)} of it" if masked else ""
    shown = f"{MEAN_AND_RANGE}; preconditioned Hessian of {counted}{left_out}"
    describe(figure, source.collection, list(source.collection.runs), shown)

"""What the figures of sweeps share: names and lines of values, times, and what stands below."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from eigendrift.figures.parts import seed_count, write_below
from eigendrift.figures.style import DOTTED, FULL_BATCH, LINES, VALUES
from eigendrift.metrics.copies import replicates
from eigendrift.metrics.sweep import Sweep

Value = int | float | str

# Batch sizes differ in steps, and the full batch in samples seen, too; a share of training is what all have.
SHARE = "share of training"
# Dots belong to random directions.
DASHES = tuple(line["linestyle"] for line in LINES if line["linestyle"] != DOTTED)


def shares_of(runs: xr.Dataset) -> np.ndarray:
    """Return when each checkpoint is, as a share of the training, float64 (checkpoint,) from 0 to 1."""
    steps = runs["step"].values
    return np.asarray(steps / steps[-1])


def text_of(value: Value) -> str:
    """Return a value as readers write it."""
    return value if isinstance(value, str) else f"{value:,}"


def setting_of(sweep: Sweep, value: Value) -> str:
    """Return a value with what it is a value of, as readers write it."""
    return f"{value} batch" if isinstance(value, str) else f"{name_of(sweep)} {text_of(value)}"


def name_of(sweep: Sweep) -> str:
    """Return the name of what varies, as readers write it."""
    return sweep.varied.replace("_", " ")


def value_lines(values: Sequence[Value]) -> dict[Value, dict[str, Any]]:
    """Return the line of each value, from the smallest to the largest; the full batch stands out."""
    numbers = sorted(value for value in values if not isinstance(value, str))
    colours = VALUES(np.linspace(0, 1, len(numbers)))
    lines: dict[Value, dict[str, Any]] = {
        value: {"color": colour, "linestyle": dashes}
        for value, colour, dashes in zip(numbers, colours, cycle(DASHES), strict=False)
    }
    return lines | {value: FULL_BATCH for value in values if isinstance(value, str)}


def legend_of(axes: np.ndarray) -> tuple[list[Artist], list[str]]:
    """Return the handles and labels of all panels, each label once."""
    named = {
        label: handle
        for panel in axes.flat
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    return list(named.values()), list(named)


def describe_sweep(figure: Figure, sweep: Sweep, shown: str) -> None:
    """Write under a figure what its reader must know: N, seeds, steps, divergences and masked pairs.

    Args:
        figure: The figure.
        sweep: The measured runs.
        shown: What its lines, bands or points are.
    """
    every = [(value, runs) for by_value in sweep.runs.values() for value, runs in by_value.items()]
    seeds = seed_count(replicates(runs) for _, runs in every)
    steps = {setting_of(sweep, value): int(runs["step"].values[-1]) for value, runs in every}
    lengths = (
        f"{next(iter(steps.values())):,} steps"
        if len(set(steps.values())) == 1
        else ", ".join(f"{number:,} steps with {name}" for name, number in steps.items())
    )
    write_below(
        figure,
        [
            f"{sweep.dataset}: N = {sweep.parameters:,} parameters, {seeds} for each "
            f"{name_of(sweep)}; {shown}",
            f"training: {lengths}",
            *sweep.notes(),
        ],
    )

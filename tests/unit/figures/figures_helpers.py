"""Made-up runs whose measurements all differ."""

from collections.abc import Mapping, Sequence
from zlib import crc32

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from eigendrift.metrics.collection import Collection
from eigendrift.metrics.sweep import Sweep, Varied
from eigendrift.stores.arrays import BASELINE, METRICS

PARAMETERS = 100
SHAPES = [[9, 8], [9], [1, 18], [1]]


def collection(
    optimizers: tuple[str, ...] = ("sgd", "adam"),
    seeds: int = 2,
    checkpoints: int = 5,
    ranks: int = 3,
    diverged: tuple[str, int] | None = None,
) -> Collection:
    """Return runs on digits, and a baseline, whose measurements are random numbers from 0 to 1.

    Args:
        optimizers: Names of the optimizers.
        seeds: Number of runs of each optimizer.
        checkpoints: Number of checkpoints, which are 10 steps apart.
        ranks: Number of eigenpairs.
        diverged: Optimizer and seed of the run that diverges after its second checkpoint.
    """
    sizes = {
        "checkpoint": checkpoints,
        "waiting": checkpoints,
        "rank": ranks,
        "layer": 2,
        "draw": 4,
        "pair": 6,
    }

    def drawn(spec, *more):
        # Seeded by name, so that a new array in the stores changes neither the others nor their pictures.
        generator = np.random.default_rng(crc32(f"{spec.name} {spec.dims[0]}".encode()))
        return xr.DataArray(
            generator.random([*map(len, more), *(sizes[dim] for dim in spec.dims)]),
            dims=[*("optimizer", "seed")[: len(more)], *spec.dims],
        )

    each = (optimizers, range(seeds))
    coordinates = {
        "optimizer": list(optimizers),
        "seed": range(seeds),
        "rank": np.arange(ranks) + 1,
        "layer": [1, 2],
        "step": ("checkpoint", 10 * np.arange(checkpoints)),
    }
    measured = {
        spec.name: drawn(spec, *each) for spec in METRICS.arrays if spec.dims != (spec.name,) and spec.name != "step"
    }
    runs = xr.Dataset(measured, coordinates, {"parameters": PARAMETERS, "shapes": SHAPES})
    shape = (len(optimizers), seeds)
    runs["diverged_at"] = ("optimizer", "seed"), np.full(shape, np.nan)
    runs["unconverged"] = ("optimizer", "seed"), np.zeros(shape)
    if diverged:
        runs = end_after_second(runs, *diverged)
    known = {"draw", "rank", "optimizer", "layer"}
    null = {spec.name: drawn(spec) for spec in BASELINE.arrays if spec.name not in known}
    null["optimizer"] = xr.DataArray(np.full(sizes["draw"], -1), dims="draw")
    baseline = xr.Dataset(null, {"rank": np.arange(ranks) + 1, "layer": [1, 2]})
    return Collection({"digits": runs}, {"digits": baseline}, "reinitialized")


def sweep(varied: Varied, values: Mapping[str, Sequence[int | float | str]], **sizes: int) -> Sweep:
    """Return runs as in `collection`, to which ``sizes`` go, of each optimizer at its values of a setting."""
    names = {(optimizer, value): f"{optimizer} {value}" for optimizer in values for value in values[optimizer]}
    source = collection(tuple(names.values()), **sizes)
    runs = {
        optimizer: {value: source.runs["digits"].sel(optimizer=names[optimizer, value], drop=True) for value in listed}
        for optimizer, listed in values.items()
    }
    return Sweep(runs, "digits", source.baselines["digits"], source.null_model, varied)


def end_after_second(runs: xr.Dataset, optimizer: str, seed: int) -> xr.Dataset:
    """Let one run diverge at step 15: every measurement that needs a later checkpoint is NaN."""
    other = (runs["optimizer"] != optimizer) | (runs["seed"] != seed)
    early = xr.DataArray(np.arange(runs.sizes["checkpoint"]) < 2, dims="checkpoint")
    for name, values in runs.data_vars.items():
        if "checkpoint" in values.dims:
            there = early & early.rename(checkpoint="waiting") if "waiting" in values.dims else early
            runs[name] = values.where(other | there).transpose(*values.dims)
    return runs.assign(diverged_at=runs["diverged_at"].where(other, 15.0))


def labels_of(legend: Figure | Legend) -> list[str]:
    """Return the labels of a legend, or of the legend of a figure, without line breaks."""
    found = legend.legends[0] if isinstance(legend, Figure) else legend
    return [text.get_text().replace("\n", " ") for text in found.get_texts()]

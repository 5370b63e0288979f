"""Synthetic runs with known answers."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from eigendrift.claims.evidence import Evidence, Variant
from eigendrift.metrics.sweep import SweptRuns

STEPS = np.arange(0, 1010, 10)
SEEDS = 8
# Noise that changes no result but keeps runs from being equal to the bit.
JITTER = 1e-11
NAMES = ("C1", "C2", "C3", "C4", "C5", "C5b", "C6", "C7")
SETTINGS = {
    "lag": 0.125,
    "confidence": 0.95,
    "resamples": 500,
    "smallest_effect": dict.fromkeys(NAMES, 0.1) | {"C4": 1.0, "C5": 0.05, "C5b": 0.05, "C7": 0.3},
    "sensitivity": {"ranks": [1], "lags": [0.125]},
}
USUAL = Variant(ranks=1, lag=0.125)
Level = np.ndarray | float


def runs_of(
    moved: Mapping[str, Level],
    ratio: Mapping[str, Level],
    aligned: Mapping[str, tuple[float, float]] | None = None,
    seeds: int = SEEDS,
    noise: float = 0.02,
    steps: np.ndarray = STEPS,
) -> xr.Dataset:
    """Runs of known displacement, localization and alignment, but for noise.

    Each run has a factor of its own, and much less noise from time to time and from quantity to quantity.

    Args:
        moved: Δ from tw to any later time, at tw, by optimizer.
        ratio: IPR, by optimizer.
        aligned: Alignment of gradient and of update, by optimizer; 0.3 and 0.3 without.
        seeds: Number of seeds.
        noise: Standard deviation of the logarithm of each run's own factor.
        steps: Steps of the checkpoints.
    """
    random = np.random.default_rng(0)
    count = len(steps)
    shape = (len(moved), seeds, count)
    factors = np.exp(noise * random.normal(size=shape[:2]))

    def jitter() -> np.ndarray:
        return np.exp(JITTER * noise * random.normal(size=shape))

    def stacked(levels: Mapping[str, Level]) -> np.ndarray:
        each = np.stack([np.broadcast_to(levels[name], count) for name in moved])
        return each[:, None] * factors[..., None]

    pairs = {name: (aligned or {}).get(name, (0.3, 0.3)) for name in moved}
    displacement = np.repeat((stacked(moved) * jitter())[..., None], count, axis=-1)[..., None]
    of_times = ("optimizer", "seed", "waiting", "checkpoint", "rank")
    of_pairs = ("optimizer", "seed", "checkpoint", "rank")
    return xr.Dataset(
        {
            "displacement": (of_times, displacement),
            "tracked_displacement": (of_times, displacement.copy()),
            "inverse_participation_ratio": (of_pairs, stacked(ratio)[..., None]),
            "gradient_alignment": (of_pairs, stacked({n: pair[0] for n, pair in pairs.items()})[..., None]),
            "update_alignment": (of_pairs, (-stacked({n: pair[1] for n, pair in pairs.items()}) * jitter())[..., None]),
            # Runs are compared by what their training alone decides.
            "weight_displacement": (
                ("optimizer", "seed", "waiting", "checkpoint"),
                np.random.default_rng(3).random((*shape, count)),
            ),
            "diverged_at": (("optimizer", "seed"), np.full(shape[:2], np.nan)),
            "unconverged": (("optimizer", "seed"), np.zeros(shape[:2])),
        },
        {"optimizer": list(moved), "seed": np.arange(seeds), "rank": [1], "step": ("checkpoint", steps)},
        {"parameters": 100, "batch_size": 64},
    )


def baseline_of(ratio: float = 0.03) -> xr.Dataset:
    """A null model with a Δ of about 1.8 ± 0.1, and an IPR around ``ratio``, ± 0.1 in log10."""
    random = np.random.default_rng(1)
    return xr.Dataset(
        {
            "displacement": (("pair", "rank"), 1.8 + 0.1 * random.normal(size=(190, 1))),
            "inverse_participation_ratio": (("draw", "rank"), ratio * 10 ** (0.1 * random.normal(size=(20, 1)))),
        },
        {"rank": [1], "draw": np.arange(20)},
    )


def swept(by_value: Mapping[int | float | str, xr.Dataset]) -> SweptRuns:
    """A sweep in which all optimizers have the same values, out of runs of all of them for each value."""
    optimizers = [str(name) for name in next(iter(by_value.values()))["optimizer"].values]
    return {
        name: {value: runs.sel(optimizer=name, drop=True) for value, runs in by_value.items()} for name in optimizers
    }


def as_the_paper_says(seeds: int = SEEDS) -> xr.Dataset:
    """SGD slows down and does not localize; Adam goes on moving, localizes, and turns its updates."""
    slowing = 10 ** np.linspace(0, -2, len(STEPS))
    return runs_of({"sgd": slowing, "adam": 1.0}, {"sgd": 0.03, "adam": 0.3}, {"adam": (0.3, 0.1)}, seeds)


def without_difference(noise: float = 0.02) -> xr.Dataset:
    """Two optimizers that do the same, but for noise."""
    return runs_of({"sgd": 0.3, "adam": 0.3}, {"sgd": 0.03, "adam": 0.03}, noise=noise)


def full_batch() -> xr.Dataset:
    """Gradients that hardly lie along the leading eigenvectors."""
    return runs_of({"sgd": 0.3, "adam": 0.3}, {"sgd": 0.03, "adam": 0.03}, dict.fromkeys(("sgd", "adam"), (0.05, 0.05)))


def evidence_of(runs: xr.Dataset, baseline: xr.Dataset | None = None, *, sweeps: bool = False) -> dict[str, Evidence]:
    """The evidence on digits; its sweeps repeat the runs at every value, but for noise and the full batch."""
    null = baseline_of() if baseline is None else baseline
    if not sweeps:
        return {"digits": Evidence(runs, null)}
    full = full_batch().sel(optimizer=runs["optimizer"].values)
    sizes = swept({32: runs, 64: jittered(runs), "full": full})
    return {"digits": Evidence(runs, null, sizes, swept({0.1: runs, 0.2: jittered(runs)}))}


def jittered(runs: xr.Dataset) -> xr.Dataset:
    """The same runs with a little noise of their own in how far directions move."""
    random = np.random.default_rng(2)
    factors = np.exp(1e-9 * random.normal(size=runs["displacement"].shape[:2]))
    moved = runs["displacement"] * xr.DataArray(factors, dims=("optimizer", "seed"))
    return runs.assign(displacement=moved)

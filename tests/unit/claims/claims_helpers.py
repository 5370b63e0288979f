"""Synthetic runs with known answers."""

import numpy as np
import xarray as xr

from eigendrift.metrics.collection import Collection

STEPS = np.arange(0, 1010, 10)
SETTINGS = {
    "lag": 0.125,
    "confidence": 0.95,
    "resamples": 500,
    "smallest_effect": {"C1": 0.1, "C2": 0.1, "C3": 0.1, "C4": 1.0},
}


def runs_of(
    moved: dict[str, np.ndarray | float],
    ratio: dict[str, np.ndarray | float],
    seeds: int = 5,
    noise: float = 0.02,
    steps: np.ndarray = STEPS,
) -> xr.Dataset:
    """Runs whose Δ from tw to any later time is ``moved`` at tw and whose IPR is ``ratio``, but for noise."""
    random = np.random.default_rng(0)
    count = len(steps)
    shape = (len(moved), seeds, count)
    factors = np.exp(noise * random.normal(size=shape[:2]))
    at_waiting = (
        np.stack([np.broadcast_to(moved[name], count) for name in moved])[:, None] * factors[..., None]
    )
    displacement = np.repeat(at_waiting[..., None], count, axis=-1)[..., None]
    ratios = np.stack([np.broadcast_to(ratio[name], count) for name in moved])[:, None] * factors[..., None]
    return xr.Dataset(
        {
            "displacement": (("optimizer", "seed", "waiting", "checkpoint", "rank"), displacement),
            "inverse_participation_ratio": (("optimizer", "seed", "checkpoint", "rank"), ratios[..., None]),
            "diverged_at": (("optimizer", "seed"), np.full(shape[:2], np.nan)),
            "unconverged": (("optimizer", "seed"), np.zeros(shape[:2])),
        },
        {
            "optimizer": list(moved),
            "seed": np.arange(seeds),
            "rank": [1],
            "step": ("checkpoint", steps),
        },
        {"parameters": 100},
    )


def baseline_of(ratio: float = 0.03) -> xr.Dataset:
    """A null model with a Δ of about 1.8 ± 0.1, and an IPR around ``ratio``, ± 0.1 in log10."""
    random = np.random.default_rng(1)
    return xr.Dataset(
        {
            "displacement": (("pair", "rank"), 1.8 + 0.1 * random.normal(size=(190, 1))),
            "inverse_participation_ratio": (
                ("draw", "rank"),
                ratio * 10 ** (0.1 * random.normal(size=(20, 1))),
            ),
        },
        {"rank": [1], "draw": np.arange(20)},
    )


def collection_of(runs: xr.Dataset, baseline: xr.Dataset | None = None) -> Collection:
    return Collection(
        {"digits": runs}, {"digits": baseline_of() if baseline is None else baseline}, "isotropic"
    )


def as_the_paper_says() -> xr.Dataset:
    """SGD moves less and less and does not localize; Adam goes on moving and localizes."""
    slowing = 10 ** np.linspace(0, -2, len(STEPS))
    return runs_of({"sgd": slowing, "adam": 1.0}, {"sgd": 0.03, "adam": 0.3})

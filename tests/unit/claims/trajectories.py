"""Trajectories of eigenvectors whose truth is known, through the real metrics."""

from collections.abc import Callable

import numpy as np
import xarray as xr

from eigendrift.metrics.measure import COPIED, measure_baseline, measure_run
from eigendrift.stores.arrays import BASELINE, METRICS

CHECKPOINTS = 41
PARAMETERS = 60
Vectors = np.ndarray  # (checkpoint, rank, parameter), unit vectors
DIMENSIONS = {spec.name: spec.dims for spec in METRICS.arrays}


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def walk(random: np.random.Generator, steps: np.ndarray, parameters: int = PARAMETERS) -> Vectors:
    """A random walk on the sphere, isotropic at every time; ``steps`` are the lengths of its steps."""
    vectors = [unit(random.normal(size=parameters))]
    for length in steps:
        vectors.append(unit(vectors[-1] + length * random.normal(size=parameters) / np.sqrt(parameters)))
    return np.array(vectors)[:, None]


def frozen(random: np.random.Generator) -> Vectors:
    return np.repeat(unit(random.normal(size=PARAMETERS))[None, None], CHECKPOINTS, axis=0)


def swapping(random: np.random.Generator) -> Vectors:
    """Two directions that stand still and change ranks between any two checkpoints."""
    pair = np.linalg.qr(random.normal(size=(PARAMETERS, 2)))[0].T
    return np.array([pair[:: 1 - 2 * (checkpoint % 2)] for checkpoint in range(CHECKPOINTS)])


def localizing(random: np.random.Generator) -> Vectors:
    """A direction that turns towards a single parameter."""
    start, parameter = random.normal(size=PARAMETERS) / np.sqrt(PARAMETERS), np.eye(PARAMETERS)[3]
    share = np.linspace(0, 1, CHECKPOINTS)[:, None]
    return unit((1 - share) * start + share * parameter)[:, None]


def measured(random: np.random.Generator, vectors: Vectors, *, parallel: bool = True) -> dict[str, np.ndarray]:
    """Metrics of a run with these eigenvectors, any gradients, and updates parallel to them or any others."""
    checkpoints, ranks, parameters = vectors.shape
    gradient = random.normal(size=(checkpoints, parameters))
    update = -0.1 * gradient if parallel else random.normal(size=(checkpoints, parameters))
    copied = {name: ("checkpoint", np.arange(float(checkpoints))) for name in COPIED}
    flat = ("checkpoint", "parameter")
    trajectory = xr.Dataset(
        {
            **copied,
            "step": ("checkpoint", 10 * np.arange(checkpoints)),
            "weights": (flat, random.normal(size=(checkpoints, parameters))),
            "gradient": (flat, gradient),
            "update": (flat, update),
        }
    )
    pairs = xr.Dataset(
        {
            "step": ("checkpoint", 10 * np.arange(checkpoints)),
            "rank": ("rank", np.arange(ranks) + 1),
            "gap": (("checkpoint", "rank"), np.ones((checkpoints, ranks))),
            "eigenvector": (("checkpoint", "rank", "parameter"), vectors.astype(np.float32)),
            "eigenvalue": (("checkpoint", "rank"), np.ones((checkpoints, ranks))),
            "converged": (("checkpoint", "rank"), np.ones((checkpoints, ranks), bool)),
        },
        attrs={"summary": {"shapes": [[1, parameters]]}},
    )
    return measure_run(trajectory, pairs)


def study(
    random: np.random.Generator,
    seeds: int = 8,
    parallel: tuple[str, ...] = ("sgd",),
    **optimizers: Callable[[np.random.Generator], Vectors],
) -> xr.Dataset:
    """The measured runs of some seeds; optimizers by the trajectories that they make."""
    runs = [
        [measured(random, make(random), parallel=name in parallel) for _ in range(seeds)]
        for name, make in optimizers.items()
    ]
    coordinates = {name: (DIMENSIONS[name], runs[0][0][name]) for name in ("step", "rank", "layer")}
    arrays = {
        name: (("optimizer", "seed", *DIMENSIONS[name]), np.array([[run[name] for run in of_one] for of_one in runs]))
        for name in set(runs[0][0]) - set(coordinates)
    }
    each = ("optimizer", "seed")
    shape = (len(optimizers), seeds)
    arrays |= {"diverged_at": (each, np.full(shape, np.nan)), "unconverged": (each, np.zeros(shape))}
    return xr.Dataset(
        arrays,
        {**coordinates, "optimizer": list(optimizers), "seed": np.arange(seeds)},
        {"parameters": PARAMETERS, "batch_size": 64},
    )


def isotropic(random: np.random.Generator, draws: int = 16, parameters: int = PARAMETERS) -> xr.Dataset:
    """The measured draws of random directions, of two ranks."""
    vectors = np.array([np.linalg.qr(random.normal(size=(parameters, 2)))[0].T for _ in range(draws)])
    null = xr.Dataset(
        {
            "draw": ("draw", np.arange(draws)),
            "optimizer": ("draw", np.full(draws, -1)),
            "rank": ("rank", [1, 2]),
            "eigenvector": (("draw", "rank", "parameter"), vectors),
            "eigenvalue": (("draw", "rank"), np.ones((draws, 2))),
            "converged": (("draw", "rank"), np.ones((draws, 2), bool)),
        },
        attrs={"summary": {"shapes": [[1, parameters]]}},
    )
    dims = {spec.name: spec.dims for spec in BASELINE.arrays}
    arrays = measure_baseline(null)
    return xr.Dataset({name: (dims[name], values) for name, values in arrays.items()}).set_coords(
        ["draw", "rank", "layer"]
    )

"""The best minimum of an optimizer, and the curvature there, over training and test samples."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from eigendrift.data.samples import Samples
from eigendrift.eigenpairs.density import spectral_density
from eigendrift.eigenpairs.landscape import Landscape
from eigendrift.eigenpairs.trace import trace
from eigendrift.numerics import generator

logger = logging.getLogger(__name__)

# Quadrature cannot resolve structure finer than the distance of its nodes, about the spectrum's range over the steps,
# so the density is smoothed by that much. A single eigenvalue has weight 1/N on average, with a relative standard
# deviation of √(2 / probes), which hardly shows on a logarithmic axis.
PROBES = 10
STEPS = 100
# The density is given from five smoothing widths below the spectrum to five above it, at four points for each width.
MARGIN = 5
POINTS = 4 * (STEPS + 2 * MARGIN) + 1


@dataclass(frozen=True)
class End:
    """The end of a run; NaN if it diverged.

    Attributes:
        seed: Seed of the run.
        weights: float32 (N,), flat weights in ``model.parameters()`` order.
        train_loss: Mean cross-entropy over the training samples, in nat.
        test_loss: Mean cross-entropy over the test samples, in nat.
        train_accuracy: Share of the training samples classified correctly.
        test_accuracy: Share of the test samples classified correctly.
    """

    seed: int
    weights: np.ndarray
    train_loss: float
    test_loss: float
    train_accuracy: float
    test_accuracy: float


@dataclass(frozen=True)
class Minimum:
    """The best of several minima.

    Attributes:
        columns: The arrays of a minimum store; NaN if every run diverged or the Hessian overflows.
        summary: ``best_seed``; ``parameters``, N; ``samples`` in the Hessian; its ``trace`` and
            ``trace_standard_error``, in nat; ``smoothing``, the standard deviation of the Gaussian that smooths the
            density, in nat; ``products``, Hessian-vector products used in all. None if undefined.
    """

    columns: dict[str, np.ndarray]
    summary: dict[str, float | None]


def best_minimum(
    samples: Samples,
    ends: Sequence[End],
    model_settings: Mapping[str, Any],
    solver: Mapping[str, Any],
    device: torch.device,
) -> Minimum:
    """Return the curvature at the end with the lowest loss, both over training and test samples.

    Args:
        samples: Data set.
        ends: Ends of the runs of one optimizer.
        model_settings: The network, as in the configuration.
        solver: Settings of the eigenpairs, as in the configuration; ``samples`` counts both parts.
        device: Where to compute.
    """
    sizes = len(samples.train_labels), len(samples.test_labels)
    loss = np.average([[e.train_loss for e in ends], [e.test_loss for e in ends]], 0, sizes)
    accuracy = np.average([[e.train_accuracy for e in ends], [e.test_accuracy for e in ends]], 0, sizes)
    both = replace(
        samples,
        train_images=np.concatenate([samples.train_images, samples.test_images]),
        train_labels=np.concatenate([samples.train_labels, samples.test_labels]),
    )
    landscape = Landscape(both, model_settings, solver, device)
    finite = np.isfinite(loss)
    winner = int(np.argmin(np.where(finite, loss, np.inf)))
    seeds = np.array([end.seed for end in ends])
    best = finite & (seeds == seeds[winner])
    best_seed = int(seeds[winner]) if finite.any() else None
    logger.info("The best of %d runs has seed %s and loss %.4g.", len(ends), best_seed, loss[winner])
    weights = ends[winner].weights if finite.any() else np.full(landscape.size, np.nan)
    columns, summary = _curvature(landscape, weights, ends[winner].seed)
    runs = {"seed": seeds, "loss": loss, "accuracy": accuracy, "best": best}
    summary |= {"best_seed": best_seed, "parameters": landscape.size, "samples": sum(sizes)}
    return Minimum(runs | columns, summary)


def _curvature(
    landscape: Landscape, weights: np.ndarray, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, float | None]]:
    """Return eigenvalues and spectral density of the Hessian at given weights, and summary entries."""
    pairs = landscape.eigenpairs_at(weights, generator("minimum", "eigenpairs", seed))
    columns = {name: pairs[name] for name in ("eigenvalue", "residual", "converged")}
    columns["rank"] = np.arange(1, len(columns["eigenvalue"]) + 1)
    columns |= {name: np.full(POINTS, np.nan) for name in ("curvature", "density")}
    if np.isnan(columns["eigenvalue"]).any():
        return columns, {**dict.fromkeys(("trace", "trace_standard_error", "smoothing")), "products": 0}
    hessian = landscape.hessian_at(weights)
    estimate = trace(hessian, generator=generator("minimum", "trace", seed))
    spectrum = spectral_density(hessian, generator=generator("minimum", "density", seed), probes=PROBES, steps=STEPS)
    low, high = np.nanmin(spectrum.nodes), np.nanmax(spectrum.nodes)
    # If the Hessian is zero, the spectrum is a single point without width.
    if (smoothing := float(high - low) / STEPS) > 0:
        columns["curvature"] = np.linspace(low - MARGIN * smoothing, high + MARGIN * smoothing, POINTS)
        columns["density"] = spectrum.density(columns["curvature"], smoothing)
    return columns, {
        "trace": estimate.estimate,
        "trace_standard_error": estimate.standard_error,
        "smoothing": smoothing,
        "products": int(pairs["matvecs"]) + spectrum.products + estimate.products,
    }

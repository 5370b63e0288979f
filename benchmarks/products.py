"""Timings of single Hessian-vector products computed in several ways, which decided how the operators compute them."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import nn
from torch.func import functional_call, grad, jvp, linearize, vmap
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector

from benchmarks.bound import computing_with, matrix_product_rate, product_operations, synchronize
from benchmarks.compare import Settings, report
from benchmarks.problems import Problem, make_checkpoint
from eigendrift.eigenpairs.double_backward import DoubleBackwardHessian
from eigendrift.eigenpairs.perceptron import PerceptronHessian
from eigendrift.numerics import generator

Product = Callable[[torch.Tensor], torch.Tensor]

BLOCKS = (1, 8)
ROUNDS = 25
SAMPLES = 4_000


@dataclass(frozen=True)
class ProductRow:
    """The time of one way to compute products.

    Attributes:
        network: Widths of all layers.
        samples: Size of the Hessian's sample.
        way: How the product is computed.
        block: Number of vectors in one product.
        milliseconds: Median time per vector over all rounds.
        of_bound: Time of the matrix products alone, divided by the median time.
        deviation: ‖Hv − w‖ / ‖Hv‖, where Hv comes from the double backward pass and w is this way's product.
    """

    network: str
    samples: int
    way: str
    block: int
    milliseconds: float
    of_bound: float
    deviation: float


def measure_products(folder: Path, settings: Settings, problems: tuple[Problem, ...]) -> list[ProductRow]:
    """Return the times of all ways, measured in rounds over all ways, on the problems with few samples."""
    rows = []
    for problem in problems:
        if problem.samples <= SAMPLES:
            with computing_with(settings.threads):
                rows += _measure(problem, folder, settings)
    return rows


def _measure(problem: Problem, folder: Path, settings: Settings) -> list[ProductRow]:
    device = torch.device(settings.device)
    checkpoint = make_checkpoint(problem, folder)
    ways = ways_to_products(*checkpoint.load(device))
    random = torch.randn(max(BLOCKS), checkpoint.parameters, generator=generator("products")).to(device)
    expected = ways["double backward, graph kept"](random)
    seconds: dict[tuple[str, int], list[float]] = {(way, block): [] for way in ways for block in BLOCKS}
    deviations = {way: _deviation(multiply(random), expected) for way, multiply in ways.items()}
    for _ in range(ROUNDS):
        for (way, block), times in seconds.items():
            times.append(_seconds(ways[way], random[:block]))
    rate = matrix_product_rate(device, settings.threads)
    bound = product_operations(checkpoint.widths, problem.samples) / rate
    rows = []
    for (way, block), times in seconds.items():
        each = median(times) / block
        report(f"{checkpoint.network}, {way}, block of {block}: {1e3 * each:.3g} ms for each vector")
        row = ProductRow(checkpoint.network, problem.samples, way, block, 1e3 * each, bound / each, deviations[way])
        rows.append(row)
    return rows


def ways_to_products(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> dict[str, Product]:
    """Return functions of rows (b, N); all but jvp compute what does not depend on the vector only once."""
    point = parameters_to_vector(model.parameters()).detach()
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = flat.split([shape.numel() for shape in shapes.values()])
        named = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return cross_entropy(functional_call(model, named, (inputs,)), targets)

    with warnings.catch_warnings():
        # These warnings are about the graph that torch traces, which users cannot change.
        warnings.simplefilter("ignore", UserWarning)
        _, linear = linearize(grad(loss), point)
    backward = DoubleBackwardHessian(model, cross_entropy, inputs, targets)
    written_out = PerceptronHessian(model, inputs, targets)
    return {
        "double backward, graph kept": lambda block: backward @ block,
        "torch.func.linearize of the gradient": vmap(linear),
        "torch.func.jvp of the gradient": vmap(lambda vector: jvp(grad(loss), (point,), (vector,))[1]),
        "R operator": lambda block: written_out @ block,
    }


def _seconds(multiply: Product, block: torch.Tensor) -> float:
    synchronize(block.device)
    start = time.perf_counter()
    multiply(block)
    synchronize(block.device)
    return time.perf_counter() - start


def _deviation(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()

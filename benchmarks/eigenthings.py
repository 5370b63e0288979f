"""hessian-eigenthings, whose Lanczos iteration takes a fixed number of steps that the caller sets."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.problems import SEED
from benchmarks.task import TOLERANCE, Answer, Task
from eigendrift.eigenpairs.operators import hessian_operator

MOST_STEPS = 1_000


def hessian_eigenthings(task: Task) -> Answer:
    """Run hessian-eigenthings, doubling its steps from the default until it reports convergence."""
    products, steps = 0, min(2 * task.count, task.size - 1)
    while True:
        found = _eigenthings_lanczos(_eigenthings_operator(task), task.count, steps)
        products += found.iterations
        if found.converged.all() or steps >= MOST_STEPS:
            return _from_eigenthings(found, products)
        steps = min(2 * steps, task.size, MOST_STEPS)


def hessian_eigenthings_steps_known(task: Task) -> Callable[[], Answer]:
    """Return a run with the smallest number of steps that reaches the tolerance, found here and not timed."""
    watch = _StepsNeeded(task)
    with suppress(_EnoughError):
        _eigenthings_lanczos(watch, task.count, min(MOST_STEPS, task.size))
    steps = watch.steps

    def solve() -> Answer:
        found = _eigenthings_lanczos(_eigenthings_operator(task), task.count, steps)
        return _from_eigenthings(found, found.iterations)

    return solve


def _eigenthings_operator(task: Task) -> Any:
    from hessian_eigenthings import HessianOperator

    def loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return cross_entropy(model(batch[0]), batch[1])

    return HessianOperator(task.model, [(task.inputs, task.targets)], loss)


def _eigenthings_lanczos(operator: Any, count: int, steps: int) -> Any:
    from hessian_eigenthings import lanczos

    # By default, it does not reorthogonalize beyond 50 steps, and then returns copies of eigenvalues.
    return lanczos(operator, k=count, max_iter=steps, tol=TOLERANCE, reorthogonalize=True, which="LA", seed=SEED)


def _from_eigenthings(found: Any, products: int) -> Answer:
    return Answer(found.eigenvalues.double().cpu().numpy(), found.eigenvectors.cpu().numpy(), products)


class _EnoughError(Exception):
    """The leading Ritz pairs meet the tolerance."""


class _StepsNeeded:
    """An operator that ends a Lanczos iteration at the first step that meets the tolerance.

    It reconstructs the tridiagonal matrix from the basis vectors that it is given and from its products with them.
    """

    def __init__(self, task: Task) -> None:
        operator = hessian_operator(task.model, cross_entropy, task.inputs, task.targets, None)
        self.size, self.device, self.dtype = operator.size, operator.device, operator.dtype
        self._operator = operator
        self._count = task.count
        self._alphas: list[float] = []
        self._betas = [0.0]

    @property
    def steps(self) -> int:
        """Number of steps taken."""
        return len(self._alphas)

    def matvec(self, vector: torch.Tensor) -> torch.Tensor:
        """Return the product, or end the iteration.

        Raises:
            _EnoughError: If the leading Ritz pairs meet the tolerance.
        """
        image = self._operator @ vector
        self._alphas.append(float(vector.double() @ image.double()))
        remainder = float(image.double() @ image.double()) - self._alphas[-1] ** 2 - self._betas[-1] ** 2
        self._betas.append(max(remainder, 0.0) ** 0.5)
        if self.steps >= self._count and self._residual() < TOLERANCE:
            raise _EnoughError
        return image

    def _residual(self) -> float:
        """Return the worst estimated residual of the leading pairs, relative to the largest eigenvalue."""
        off = self._betas[1:-1]
        tridiagonal = np.diag(self._alphas) + np.diag(off, 1) + np.diag(off, -1)
        values, vectors = np.linalg.eigh(tridiagonal)
        return float(self._betas[-1] * abs(vectors[-1, -self._count :]).max() / values[-1])

"""Ways to the leading eigenpairs behind one shape: ours, and what users would pick instead.

Each is set as a knowledgeable user would set it to reach a residual of 1e-4, with the whole sample as one batch. Of
PyHessian only the defaults are used: its power iteration stops at a looser result by design.
"""

import importlib
import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from unittest.mock import patch

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.eigenthings import hessian_eigenthings, hessian_eigenthings_foretold
from benchmarks.problems import CHECKPOINTS, SEED
from benchmarks.task import TOLERANCE, Answer, Task
from eigendrift.eigenpairs.batched import leading_eigenpairs_together
from eigendrift.eigenpairs.batched_perceptrons import PerceptronStack, stack_size
from eigendrift.eigenpairs.lanczos import Eigenpairs, leading_eigenpairs
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.errors import UserError
from eigendrift.numerics import generator, seed_from

MAX_PRODUCTS = 5_000
BASIS_SIZE = 80
# torch.lobpcg wants the matrix: above this size it would not fit beside anything else.
LARGEST_DENSE = 10_000
DENSE_ROWS = 64


@dataclass(frozen=True)
class Method:
    """One way to the eigenpairs.

    Attributes:
        name: In the table.
        set_up: Takes the task and returns what is timed; what it does itself is not timed.
        module: The library that has to be installed.
        distribution: Its name on PyPI.
        largest: Largest N that it can be used for.
        attainable: Whether a user could have it; what knows the answer beforehand is no peer.
        borrows: Whether it computes with our products.
        checkpoints: That one run decomposes; the time is that of each.
    """

    name: str
    set_up: Callable[[Task], Callable[[], Answer]]
    module: str
    distribution: str
    largest: float = math.inf
    attainable: bool = True
    borrows: bool = False
    checkpoints: int = 1

    @property
    def version(self) -> str:
        """Version of the library."""
        return version(self.distribution)


def ours(task: Task) -> Answer:
    """Block products written out, and our own solver."""
    operator = hessian_operator(task.model, cross_entropy, task.inputs, task.targets, None)
    pairs = leading_eigenpairs(
        operator,
        task.count,
        generator=generator("benchmark", SEED),
        tolerance=TOLERANCE,
        max_products=MAX_PRODUCTS,
        basis_size=BASIS_SIZE,
    )
    return _answer(pairs)


def ours_together(task: Task) -> Answer:
    """The same at all checkpoints, in groups as large as on a GPU in the workflow; the last one answers."""
    device, answers = task.inputs.device, []
    for weights in task.trajectory.split(stack_size(task.model, len(task.inputs), BASIS_SIZE)):
        stack = PerceptronStack(task.model, weights.to(device), task.inputs, task.targets)
        outcomes = leading_eigenpairs_together(
            stack,
            task.count,
            generators=[generator("benchmark", SEED) for _ in weights],
            tolerance=TOLERANCE,
            max_products=MAX_PRODUCTS,
            basis_size=BASIS_SIZE,
        )
        answers += [_answer(outcome) for outcome in outcomes]
    return answers[-1]


def _answer(outcome: Eigenpairs | FloatingPointError) -> Answer:
    if isinstance(outcome, FloatingPointError):
        raise outcome
    return Answer(outcome.eigenvalues.numpy(), outcome.eigenvectors.cpu().numpy(), outcome.products)


def scipy_on_our_operator(task: Task) -> Answer:
    """ARPACK over our products."""
    operator = hessian_operator(task.model, cross_entropy, task.inputs, task.targets, None)

    def product(vector: np.ndarray) -> np.ndarray:
        return (operator @ torch.from_numpy(vector).to(operator.device)).cpu().numpy()

    return _arpack(product, task)


def curvlinops(task: Task) -> Answer:
    """ARPACK over the products of curvlinops."""
    from curvlinops import HessianLinearOperator

    operator = HessianLinearOperator(
        task.model,
        nn.CrossEntropyLoss(),
        list(task.model.parameters()),
        [(task.inputs, task.targets)],
        check_deterministic=False,
        num_data=len(task.inputs),
    )
    return _arpack(operator.to_scipy(np.dtype(np.float32)).matvec, task)


def _arpack(product: Callable[[np.ndarray], np.ndarray], task: Task) -> Answer:
    """Run eigsh with the tolerance as it defines it, relative to each eigenvalue, and its own basis size."""
    products = 0

    def counted(vector: np.ndarray) -> np.ndarray:
        nonlocal products
        products += 1
        return product(vector.ravel())

    operator = LinearOperator((task.size, task.size), matvec=counted, dtype=np.dtype(np.float32))
    start = np.random.default_rng(SEED).standard_normal(task.size).astype(np.float32)
    values, vectors = eigsh(operator, k=task.count, which="LA", tol=TOLERANCE, v0=start)
    return Answer(values[::-1].astype(np.float64), vectors[:, ::-1].T.copy(), products)


def pyhessian(task: Task) -> Answer:
    """Its power iteration with deflation, at its defaults: tol 1e-3, at most 100 products for each pair."""
    # Not `import … as`: the package has a class of the module's name.
    library = importlib.import_module("pyhessian.hessian")
    products = 0
    multiply = library.hessian_vector_product

    def counted(*arguments: object) -> object:
        nonlocal products
        products += 1
        return multiply(*arguments)

    torch.manual_seed(seed_from("benchmark", SEED))
    # It adds to gradients that are there already, and leaves a graph behind in them.
    task.model.zero_grad()
    with patch.object(library, "hessian_vector_product", counted):
        found = library.hessian(task.model, cross_entropy, data=(task.inputs, task.targets), cuda=task.inputs.is_cuda)
        values, vectors = found.eigenvalues(top_n=task.count)
    task.model.zero_grad()
    rows = torch.stack([torch.cat([part.flatten() for part in vector]) for vector in vectors])
    order = np.argsort(values)[::-1].copy()
    return Answer(np.array(values)[order], rows.detach().cpu().numpy()[order], products)


def torch_lobpcg(task: Task) -> Answer:
    """LOBPCG over the whole matrix, which it takes; our block products build it."""
    operator = hessian_operator(task.model, cross_entropy, task.inputs, task.targets, None)
    identity = torch.eye(task.size, dtype=operator.dtype, device=operator.device)
    dense = torch.cat([operator @ rows for rows in identity.split(DENSE_ROWS)])
    dense = (dense + dense.T) / 2
    torch.manual_seed(seed_from("benchmark", SEED))
    values, vectors = torch.lobpcg(dense, k=task.count, largest=True, tol=TOLERANCE)
    return Answer(values.double().cpu().numpy(), vectors.T.cpu().numpy(), task.size)


def _whole(solve: Callable[[Task], Answer]) -> Callable[[Task], Callable[[], Answer]]:
    """Time all that a method does."""
    return lambda task: lambda: solve(task)


METHODS = (
    Method("ours", _whole(ours), "torch", "torch"),
    Method("ours, checkpoints together", _whole(ours_together), "torch", "torch", checkpoints=CHECKPOINTS),
    Method("scipy eigsh, our operator", _whole(scipy_on_our_operator), "scipy", "scipy", borrows=True),
    Method("curvlinops, scipy eigsh", _whole(curvlinops), "curvlinops", "curvlinops-for-pytorch"),
    Method("hessian-eigenthings", _whole(hessian_eigenthings), "hessian_eigenthings", "hessian-eigenthings"),
    Method(
        "hessian-eigenthings, steps foretold",
        hessian_eigenthings_foretold,
        "hessian_eigenthings",
        "hessian-eigenthings",
        attainable=False,
    ),
    Method("PyHessian", _whole(pyhessian), "pyhessian", "PyHessian"),
    Method("torch.lobpcg", _whole(torch_lobpcg), "torch", "torch", largest=LARGEST_DENSE, borrows=True),
)
OURS, OURS_TOGETHER, PYHESSIAN = METHODS[0], METHODS[1], METHODS[-2]


def check_installed(methods: tuple[Method, ...] = METHODS) -> None:
    """Check that every method's library is there.

    Raises:
        UserError: One is not.
    """
    for method in methods:
        if importlib.util.find_spec(method.module) is None:
            raise UserError(f"{method.distribution} is not installed: pip install '.[peers]'")

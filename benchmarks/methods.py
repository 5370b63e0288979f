"""Methods that compute leading eigenpairs, with one interface: eigendrift, and what users would pick instead.

Each method is configured as an experienced user would configure it for a residual of 1e-4, with the whole sample as one
batch. The exception is PyHessian, which runs at its defaults: its power iteration is designed to stop at a looser
result.
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

from benchmarks.eigenthings import hessian_eigenthings, hessian_eigenthings_steps_known
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
# torch.lobpcg needs the dense matrix, which takes too much memory above this size.
LARGEST_DENSE = 10_000
DENSE_ROWS = 64


@dataclass(frozen=True)
class Method:
    """A method that computes leading eigenpairs.

    Attributes:
        name: The method's name in the table.
        set_up: Takes the task and returns the function that is timed. The call of `set_up` itself is not timed.
        module: The module that must be installed.
        distribution: The PyPI name of the module's library.
        largest: Largest N that the method can handle.
        attainable: Whether a user could run the method. A method that knows part of the answer beforehand is no peer.
        borrows: Whether the method uses eigendrift's products.
        checkpoints: Number of checkpoints that one run decomposes; times are per checkpoint.
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


def eigendrift(task: Task) -> Answer:
    """Run eigendrift's solver with its block products."""
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


def eigendrift_together(task: Task) -> Answer:
    """Run eigendrift on all checkpoints, in groups of the workflow's size on a GPU; return the last answer."""
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


def scipy_on_eigendrift(task: Task) -> Answer:
    """Run ARPACK with eigendrift's products."""
    operator = hessian_operator(task.model, cross_entropy, task.inputs, task.targets, None)

    def product(vector: np.ndarray) -> np.ndarray:
        return (operator @ torch.from_numpy(vector).to(operator.device)).cpu().numpy()

    return _arpack(product, task)


def curvlinops(task: Task) -> Answer:
    """Run ARPACK with the products of curvlinops."""
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
    """Run eigsh with its default basis size; it applies the tolerance relative to each eigenvalue."""
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
    """Run PyHessian's power iteration with deflation at its defaults: tol 1e-3, at most 100 products per pair."""
    # `import … as` would return the class that has the module's name.
    library = importlib.import_module("pyhessian.hessian")
    products = 0
    multiply = library.hessian_vector_product

    def counted(*arguments: object) -> object:
        nonlocal products
        products += 1
        return multiply(*arguments)

    torch.manual_seed(seed_from("benchmark", SEED))
    # PyHessian adds to existing gradients, and leaves a graph in them.
    task.model.zero_grad()
    with patch.object(library, "hessian_vector_product", counted):
        found = library.hessian(task.model, cross_entropy, data=(task.inputs, task.targets), cuda=task.inputs.is_cuda)
        values, vectors = found.eigenvalues(top_n=task.count)
    task.model.zero_grad()
    rows = torch.stack([torch.cat([part.flatten() for part in vector]) for vector in vectors])
    order = np.argsort(values)[::-1].copy()
    return Answer(np.array(values)[order], rows.detach().cpu().numpy()[order], products)


def torch_lobpcg(task: Task) -> Answer:
    """Run LOBPCG on the dense matrix that it requires, which eigendrift's block products build."""
    operator = hessian_operator(task.model, cross_entropy, task.inputs, task.targets, None)
    identity = torch.eye(task.size, dtype=operator.dtype, device=operator.device)
    dense = torch.cat([operator @ rows for rows in identity.split(DENSE_ROWS)])
    dense = (dense + dense.T) / 2
    torch.manual_seed(seed_from("benchmark", SEED))
    values, vectors = torch.lobpcg(dense, k=task.count, largest=True, tol=TOLERANCE)
    return Answer(values.double().cpu().numpy(), vectors.T.cpu().numpy(), task.size)


def _whole(solve: Callable[[Task], Answer]) -> Callable[[Task], Callable[[], Answer]]:
    """Return a `set_up` that prepares nothing, so that the whole solve is timed."""
    return lambda task: lambda: solve(task)


METHODS = (
    Method("eigendrift", _whole(eigendrift), "torch", "torch"),
    Method("eigendrift, checkpoints together", _whole(eigendrift_together), "torch", "torch", checkpoints=CHECKPOINTS),
    Method("scipy eigsh, eigendrift's operator", _whole(scipy_on_eigendrift), "scipy", "scipy", borrows=True),
    Method("curvlinops, scipy eigsh", _whole(curvlinops), "curvlinops", "curvlinops-for-pytorch"),
    Method("hessian-eigenthings", _whole(hessian_eigenthings), "hessian_eigenthings", "hessian-eigenthings"),
    Method(
        "hessian-eigenthings, steps known",
        hessian_eigenthings_steps_known,
        "hessian_eigenthings",
        "hessian-eigenthings",
        attainable=False,
    ),
    Method("PyHessian", _whole(pyhessian), "pyhessian", "PyHessian"),
    Method("torch.lobpcg", _whole(torch_lobpcg), "torch", "torch", largest=LARGEST_DENSE, borrows=True),
)
EIGENDRIFT, EIGENDRIFT_TOGETHER, PYHESSIAN = METHODS[0], METHODS[1], METHODS[-2]


def check_installed(methods: tuple[Method, ...] = METHODS) -> None:
    """Check that every method's library is installed.

    Raises:
        UserError: If a library is not installed.
    """
    for method in methods:
        if importlib.util.find_spec(method.module) is None:
            raise UserError(f"{method.distribution} is not installed; run pip install '.[peers]'")

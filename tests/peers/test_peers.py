"""The same weights and data through other libraries: operators and eigenpairs must agree."""

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import nn
from torch.nn.functional import cross_entropy

from eigendrift.data.datasets import load
from eigendrift.eigenpairs.lanczos import leading_eigenpairs
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.numerics import generator
from eigendrift.training.torch_networks import build_model

# Warnings of other libraries at import do not matter here.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

COUNT = 5
MISSING = "another library is not installed: pip install '.[peers]'"
# Accuracy of a product in each dtype, relative to the largest eigenvalue.
ACCURACY = {torch.float64: 1e-9, torch.float32: 1e-4}
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}


@pytest.fixture(scope="module", params=ACCURACY, ids=str)
def problem(request):
    """A network after some full-batch steps on 500 digits, 970 parameters."""
    samples = load("digits")
    inputs = torch.from_numpy(samples.train_images[:500]).to(request.param)
    targets = torch.from_numpy(samples.train_labels[:500])
    settings = {"hidden_widths": [12, 6], "activation": "tanh", "initialization": "glorot_uniform"}
    model = build_model(settings, (8, 8), 10, generator("peers")).to(request.param)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(60):
        optimizer.zero_grad()
        cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    return model, inputs, targets


@pytest.fixture(scope="module")
def ours(problem):
    model, inputs, targets = problem
    operator = hessian_operator(model, cross_entropy, inputs, targets, 130)
    return operator, leading_eigenpairs(
        operator, COUNT, generator=generator("start"), tolerance=TOLERANCE[operator.dtype], basis_size=60
    )


def assert_same_pairs(ours, values, vectors):
    """Compare with other eigenvalues (k,), descending, and eigenvectors (k, N)."""
    accuracy = ACCURACY[ours.eigenvectors.dtype]
    scale = float(ours.eigenvalues[0])
    np.testing.assert_allclose(ours.eigenvalues.numpy(), values, atol=accuracy * scale)
    mine = ours.eigenvectors.double().numpy()
    angle = subspace_angles(mine.T, np.asarray(vectors, float).T).max()
    # A residual r turns a subspace by at most about r / gap (Davis & Kahan 1970).
    gap = (float(ours.eigenvalues[-1]) - ours.next_eigenvalue) / scale
    assert angle < 10 * accuracy / gap


def through_scipy(product, size, dtype):
    """Leading pairs by scipy's eigsh, at machine precision."""
    operator = LinearOperator((size, size), matvec=product, dtype=np.dtype(str(dtype).split(".")[1]))
    start = np.random.default_rng(0).standard_normal(size)
    values, vectors = eigsh(operator, k=COUNT, which="LA", v0=start, ncv=60)
    return values[::-1], vectors[:, ::-1].T


@pytest.mark.slow
def test_dense_hessian(problem, ours):
    model, inputs, targets = problem
    operator, pairs = ours
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}

    def loss(flat):
        pieces = flat.split([shape.numel() for shape in shapes.values()])
        named = {name: piece.view(shapes[name]) for name, piece in zip(shapes, pieces, strict=True)}
        return cross_entropy(torch.func.functional_call(model, named, (inputs,)), targets)

    flat = nn.utils.parameters_to_vector(model.parameters()).detach()
    dense = torch.func.hessian(loss)(flat).double()
    values, vectors = np.linalg.eigh(((dense + dense.T) / 2).numpy())
    assert_same_pairs(pairs, values[::-1][:COUNT], vectors[:, ::-1][:, :COUNT].T)
    probe = torch.randn(operator.size, dtype=torch.float64, generator=generator("probe"))
    mine = (operator @ probe.to(operator.dtype)).double()
    error = (dense @ probe - mine).norm() / mine.norm()
    assert error < 10 * ACCURACY[operator.dtype]


@pytest.mark.slow
def test_curvlinops_with_scipy(problem, ours):
    curvlinops = pytest.importorskip("curvlinops", reason=MISSING)
    model, inputs, targets = problem
    operator, pairs = ours
    # Both libraries must weight batches of unequal size.
    batches = list(zip(inputs.split(180), targets.split(180), strict=True))
    theirs = curvlinops.HessianLinearOperator(model, nn.CrossEntropyLoss(), list(model.parameters()), batches)
    probe = torch.randn(operator.size, dtype=torch.float64, generator=generator("probe")).to(operator.dtype)
    expected = theirs @ probe
    torch.testing.assert_close(
        operator @ probe, expected, rtol=0, atol=ACCURACY[operator.dtype] * float(expected.norm())
    )

    def product(vector):
        return (theirs @ torch.from_numpy(vector.ravel()).to(operator.dtype)).numpy()

    assert_same_pairs(pairs, *through_scipy(product, operator.size, operator.dtype))


@pytest.mark.slow
def test_hessian_eigenthings(problem, ours):
    eigenthings = pytest.importorskip("hessian_eigenthings", reason=MISSING)
    model, inputs, targets = problem
    # One batch, because it averages batches without weighting them by size.
    theirs = eigenthings.HessianOperator(
        model, [(inputs, targets)], lambda network, batch: cross_entropy(network(batch[0]), batch[1])
    )
    found = eigenthings.lanczos(theirs, k=COUNT, which="LA", max_iter=200, tol=1e-12, reorthogonalize=True, seed=0)
    order = torch.argsort(found.eigenvalues, descending=True)
    assert_same_pairs(ours[1], found.eigenvalues[order].double().numpy(), found.eigenvectors[order].double().numpy())

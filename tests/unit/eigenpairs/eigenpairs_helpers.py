"""What the tests of the eigenpairs build with."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, jacrev
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from eigendrift.eigenpairs.decompose import Decomposition
from eigendrift.eigenpairs.double_backward import DoubleBackwardHessian
from eigendrift.eigenpairs.landscape import Landscape
from eigendrift.eigenpairs.symmetric import SymmetricOperator

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

# A small landscape, for tests of what is made of many decompositions.
MODEL = {"hidden_widths": [4], "activation": "tanh", "initialization": "glorot_uniform"}
SETTINGS = {"count": 3, "samples": "all", "chunk_size": 13, "tolerance": 1e-5, "max_products": 500, "basis_size": 20}
CPU = torch.device("cpu")
SAMPLES = 11
STEPS = np.array([0, 10, 30, 60])


class DenseOperator:
    """A matrix, seen by its products, which it counts."""

    device = torch.device("cpu")

    def __init__(self, matrix: np.ndarray, dtype: torch.dtype = torch.float64) -> None:
        self.matrix = torch.tensor(matrix, dtype=dtype)
        self.size = len(matrix)
        self.dtype = dtype
        self.products = 0

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        self.products += 1 if vectors.dim() == 1 else len(vectors)
        return vectors @ self.matrix


class DenseStack:
    """Matrices, seen by their products, which it takes down."""

    device = torch.device("cpu")

    def __init__(self, matrices: Sequence[np.ndarray], dtype: torch.dtype = torch.float64) -> None:
        self.operators = [DenseOperator(matrix, dtype) for matrix in matrices]
        self.size = len(matrices[0])
        self.dtype = dtype
        self.calls: list[list[int]] = []

    def __len__(self) -> int:
        return len(self.operators)

    def __getitem__(self, index: int) -> DenseOperator:
        return self.operators[index]

    def products(self, vectors: torch.Tensor, indices: Sequence[int]) -> torch.Tensor:
        self.calls.append(list(indices))
        return torch.stack([self.operators[index] @ vector for vector, index in zip(vectors, indices, strict=True)])


class DiagonalOperator(DenseOperator):
    """A diagonal matrix: to random vectors, all operators with one spectrum look the same."""

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        return vectors * self.matrix


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_basis(size: int, seed: int = 0) -> np.ndarray:
    """Orthonormal columns, uniform."""
    orthonormal, upper = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))
    return orthonormal * np.sign(np.diag(upper))


def with_spectrum(spectrum: np.ndarray, seed: int = 0) -> np.ndarray:
    basis = random_basis(len(spectrum), seed)
    matrix = (basis * spectrum) @ basis.T
    return (matrix + matrix.T) / 2


def leading(matrix: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, descending, and unit eigenvectors, in rows."""
    values, vectors = np.linalg.eigh(matrix)
    return values[::-1][:count].copy(), vectors.T[::-1][:count].copy()


def largest_angle(one: np.ndarray, other: np.ndarray) -> float:
    """Largest principal angle between spans of orthonormal rows, from its sine, exact when small."""
    outside = one - (one @ other.T) @ other
    return float(np.arcsin(min(1.0, np.linalg.norm(outside, 2))))


def dense_hessian(model: nn.Module, loss: Loss, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The Hessian of the loss in float64, (N, N), by reverse-over-reverse differentiation."""
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    sizes = [shape.numel() for shape in shapes.values()]

    def of_flat(flat: torch.Tensor) -> torch.Tensor:
        parts = zip(shapes.items(), flat.split(sizes), strict=True)
        named = {name: part.view(shape) for (name, shape), part in parts}
        return loss(functional_call(model, named, inputs.double()), targets)

    flat = parameters_to_vector(model.parameters()).detach().double()
    return jacrev(jacrev(of_flat))(flat).detach()


def trained_on_digits(widths: tuple[int, ...] = (8,), steps: int = 30) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A float64 network after a few steps of gradient descent, with 200 digits and their labels."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    inputs = torch.tensor(digits.data[:200] / 16)
    targets = torch.tensor(digits.target[:200])
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for fan_in, fan_out in zip((64, *widths), widths, strict=False):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(widths[-1], 10)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    return model, inputs, targets


def perceptron() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()


def dense_at(landscape: Landscape, flat: np.ndarray, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The dense Hessian of a landscape's network at given weights."""
    vector_to_parameters(torch.from_numpy(flat.copy()), landscape.model.parameters())
    hessian = dense_hessian(landscape.model, cross_entropy, torch.from_numpy(images), torch.from_numpy(labels))
    return hessian.numpy()


def double_backward(model: nn.Module, *data: object) -> DoubleBackwardHessian:
    return DoubleBackwardHessian(model, cross_entropy, *data)


def gradient_difference(model: nn.Module, loss: Loss, data: tuple[torch.Tensor, ...], v: torch.Tensor) -> torch.Tensor:
    """The Hessian times v, from gradients at two nearby weights."""
    flat, gradients = parameters_to_vector(model.parameters()).detach(), []
    for step in (1e-5, -1e-5):
        vector_to_parameters(flat + step * v, model.parameters())
        value, parameters = loss(model(data[0]), data[1]), list(model.parameters())
        parts = torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True)
        gradients.append(parameters_to_vector(parts))
    return (gradients[0] - gradients[1]) / 2e-5


def check(operator: SymmetricOperator, expected: torch.Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(matrix_of(operator), expected, rtol=0, atol=atol)


def matrix_of(operator: SymmetricOperator) -> torch.Tensor:
    """The products with all unit vectors."""
    return operator @ torch.eye(operator.size, dtype=operator.dtype)


def columns_of(result: Decomposition) -> dict[str, np.ndarray]:
    return {name: np.array(list(column)) for name, column in result.columns.items()}

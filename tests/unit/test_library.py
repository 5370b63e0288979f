"""The library without a study: its interface, its import time, and the examples in docstrings."""

import doctest
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

import eigendrift
from eigendrift import api

LIBRARY = Path(eigendrift.__file__).parent
WITH_EXAMPLES = [
    ".".join(("eigendrift", *path.relative_to(LIBRARY).with_suffix("").parts))
    for path in sorted(LIBRARY.rglob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_in_docstrings_are_correct(name: str) -> None:
    found = doctest.testmod(import_module(name))
    assert found.attempted > 0
    assert found.failed == 0


def test_there_are_examples() -> None:
    assert {"eigendrift.api", "eigendrift.metrics.displacement", "eigendrift.null.network"} <= {*WITH_EXAMPLES}


@pytest.mark.parametrize("name", api.__all__)
def test_the_interface_is_importable_and_documented(name: str) -> None:
    assert getattr(eigendrift, name) is getattr(api, name)
    assert name in dir(eigendrift)
    assert (getattr(eigendrift, name).__doc__ or "").strip()


def test_a_star_imports_the_interface() -> None:
    names: dict[str, object] = {}
    exec("from eigendrift import *", names)
    assert "leading_eigenpairs" in names


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ImportError, match="cannot import name 'hessian'"):
        from eigendrift import hessian  # type: ignore[attr-defined]  # noqa: F401


def test_importing_the_package_and_its_parts_imports_no_torch() -> None:
    code = (
        "import sys, eigendrift; from eigendrift import extensions, study; print('torch' in sys.modules);"
        "from eigendrift import displacement; print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(LIBRARY.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "True"]


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2)).eval()


DATA = torch.randn(30, 3, generator=torch.Generator().manual_seed(1)), torch.arange(30) % 2


def random() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@pytest.mark.parametrize("null_model", ["isotropic", "reinitialized", "permuted"])
def test_null_draws_leave_the_network_alone_and_follow_the_generator(network: nn.Module, null_model: str) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    one, same = (
        eigendrift.null_draws(network, cross_entropy, *DATA, null_model, count=2, draws=3, generator=random())  # type: ignore[arg-type]
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.eigenvectors, same.eigenvectors)
    assert one.converged.all()
    gram = one.eigenvectors @ one.eigenvectors.swapaxes(1, 2)
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(2), gram.shape), atol=1e-4)
    assert np.isnan(one.eigenvalues).all() == (null_model == "isotropic")
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_permuted_draws_are_at_permuted_weights() -> None:
    """Two layers of two weights and one: only the two weights can be permuted, in two ways."""
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(1, 1, bias=False))
    targets = torch.zeros(30, 1)
    drawn = eigendrift.null_draws(
        model, mse_loss, DATA[0][:, :2], targets, "permuted", count=1, draws=20, generator=random()
    )
    assert len({round(float(value), 4) for value in drawn.eigenvalues[:, 0]}) == 2


def test_reinitialized_draws_use_the_given_initialization(network: nn.Module) -> None:
    def zero(model: nn.Module) -> None:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()

    drawn = eigendrift.null_draws(
        network,
        cross_entropy,
        *DATA,
        "reinitialized",
        count=1,
        draws=2,
        generator=random(),
        initialize=zero,
    )
    # With equal scores for two classes, diag(p) − ppᵀ has the eigenvalue 1/2, for the last biases.
    np.testing.assert_allclose(drawn.eigenvalues, 0.5, rtol=1e-5)


def test_a_network_that_cannot_be_reset_is_refused() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.scale * inputs[:, :2]

    with pytest.raises(ValueError, match=r"module '' \(Scaled\) has parameters and no reset_parameters"):
        eigendrift.null_draws(Scaled(), cross_entropy, *DATA, "reinitialized", count=1, draws=1, generator=random())
    with pytest.raises(ValueError, match="null_model is 'shuffled_labels', expected 'isotropic'"):
        eigendrift.null_draws(
            Scaled(),
            cross_entropy,
            *DATA,
            "shuffled_labels",  # type: ignore[arg-type]
            count=1,
            draws=1,
            generator=random(),
        )


def test_metrics_accept_the_results_of_the_eigensolver(network: nn.Module) -> None:
    hessian = eigendrift.hessian_operator(network, cross_entropy, *DATA)
    vectors = eigendrift.leading_eigenpairs(hessian, 2, generator=random()).eigenvectors
    ratios = eigendrift.inverse_participation_ratio(vectors)
    np.testing.assert_array_equal(ratios, eigendrift.inverse_participation_ratio(vectors.numpy()))
    np.testing.assert_allclose(eigendrift.alignment(vectors[:1], vectors[None]), [[1, 0]], atol=1e-4)
    overlaps = eigendrift.overlaps(torch.stack([vectors, vectors.flip(0)]))
    np.testing.assert_allclose(eigendrift.displacement(overlaps)[0, 1], [2, 2], atol=1e-3)
    np.testing.assert_allclose(eigendrift.tracked_displacement(overlaps)[0, 1], [0, 0], atol=1e-3)


def test_metrics_say_which_axes_they_expect() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 9\) was given, expected \(checkpoint, rank, parameter\)"):
        eigendrift.overlaps(np.eye(2, 9))
    with pytest.raises(ValueError, match=r"expected \(checkpoint, rank, checkpoint, rank\)"):
        eigendrift.displacement(np.eye(2, 9)[None])
    with pytest.raises(ValueError, match=r"expected \(checkpoint, parameter\)"):
        eigendrift.alignment(np.ones(9), np.eye(2, 9))
    with pytest.raises(ValueError, match=r"\(1, 8\) and vectors \(1, 2, 9\) do not belong together"):
        eigendrift.alignment(np.ones((1, 8)), np.eye(2, 9)[None])


@pytest.mark.parametrize("null_model", ["isotropic", "reinitialized"])
def test_null_draws_refuse_impossible_counts(network: nn.Module, null_model: str) -> None:
    with pytest.raises(ValueError, match="count is 200, expected 1 to 42"):
        eigendrift.null_draws(network, cross_entropy, *DATA, null_model, count=200, draws=1, generator=random())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="draws is 0, expected at least 1"):
        eigendrift.null_draws(network, cross_entropy, *DATA, null_model, count=1, draws=0, generator=random())  # type: ignore[arg-type]


def test_reinitialized_draws_differ_and_are_computed_in_chunks(network: nn.Module) -> None:
    chunks: list[int] = []

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        chunks.append(len(targets))
        return cross_entropy(outputs, targets)

    drawn = eigendrift.null_draws(
        network, loss, *DATA, "reinitialized", count=1, draws=3, generator=random(), chunk_size=7
    )
    assert len({float(value) for value in drawn.eigenvalues[:, 0]}) == 3
    assert max(chunks) == 7

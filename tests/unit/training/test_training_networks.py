"""Kinds of networks: their declarations without torch, compared with the networks that are built."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from eigendrift.data.samples import Samples
from eigendrift.eigenpairs.landscape import Landscape
from eigendrift.errors import UserError
from eigendrift.extensions import Model
from eigendrift.numerics import generator
from eigendrift.training.networks import MODELS
from eigendrift.training.torch_networks import build_model

SETTINGS: dict[str, dict[str, Any]] = {
    "mlp": {"hidden_widths": [7, 5], "activation": "tanh", "initialization": "glorot_uniform"},
    "cnn": {
        "kind": "cnn",
        "channels": [3, 4],
        "kernel_size": 3,
        "activation": "relu",
        "initialization": "kaiming_uniform",
    },
}
SHAPE = (9, 6)


def test_every_kind_is_tested() -> None:
    assert list(MODELS) == list(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_number_of_parameters_is_known_without_torch(name: str) -> None:
    model = build_model(SETTINGS[name], SHAPE, 3, generator("test"))
    count = MODELS[name].parameters
    assert count
    assert count(SETTINGS[name], SHAPE, 3) == sum(parameter.numel() for parameter in model.parameters())
    assert model(torch.zeros(11, *SHAPE)).shape == (11, 3)
    # The tests cover all settings of the schema.
    assert set(MODELS[name].settings) == set(SETTINGS[name]) - {"kind"}


@pytest.mark.parametrize("name", SETTINGS)
def test_weights_depend_on_the_generator_and_leave_the_global_one_alone(name: str) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    one, same = (build_model(SETTINGS[name], SHAPE, 3, generator("test", 1)) for _ in range(2))
    other = build_model(SETTINGS[name], SHAPE, 3, generator("test", 2))
    assert torch.equal(torch.get_rng_state(), before)
    flat = [nn.utils.parameters_to_vector(model.parameters()) for model in (one, same, other)]
    assert torch.equal(flat[0], flat[1])
    assert not torch.equal(flat[0], flat[2])


def test_layers_of_plugins_may_initialize_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Model(name="own", build=lambda settings, shape, classes, random: nn.Linear(4, 3))
    monkeypatch.setitem(MODELS, "own", own)
    weights = []
    for seed in (1, 1, 2):
        torch.manual_seed(len(weights))
        model = build_model({"kind": "own"}, (2, 2), 3, generator("test", seed))
        weights.append(nn.utils.parameters_to_vector(model.parameters()))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_convolutional_network_is_right_and_twice_differentiable() -> None:
    model = build_model(SETTINGS["cnn"] | {"channels": [2]}, (4, 4), 3, generator("test")).double()
    image = torch.randn(1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    convolution = model[1]  # type: ignore[index]
    expected = nn.functional.conv2d(image[:, None], convolution.weight, convolution.bias, padding=1)
    expected = nn.functional.avg_pool2d(expected.relu(), 2).flatten(1)
    torch.testing.assert_close(model(image), model[-1](expected))  # type: ignore[index]
    loss = cross_entropy(model(image), torch.tensor([1]))
    gradient = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
    second = torch.autograd.grad(gradient[0].sum(), list(model.parameters()), materialize_grads=True)
    assert all(torch.isfinite(part).all() for part in second)
    assert any(part.any() for part in second)


def test_an_image_that_cannot_be_halved_so_often_is_refused() -> None:
    with pytest.raises(UserError, match=r"'channels' of a network has 4 entries, .* 9 × 6 pixels cannot be"):
        build_model(SETTINGS["cnn"] | {"channels": [1, 1, 1, 1]}, SHAPE, 3, generator("test"))


def test_the_hessian_of_a_convolutional_network_is_right() -> None:
    random = np.random.default_rng(0)
    images = random.normal(size=(24, 6, 6)).astype(np.float32)
    samples = Samples(images[:18], np.arange(18) % 3, images[18:], np.arange(6) % 3)
    solver = {
        "count": 2,
        "samples": "all",
        "chunk_size": 100,
        "tolerance": 1e-4,
        "max_products": 500,
        "basis_size": 30,
    }
    settings = SETTINGS["cnn"] | {"channels": [2], "activation": "tanh"}
    # Only perceptrons can be solved together.
    landscape = Landscape(samples, settings, solver, torch.device("cpu"), together=3)
    assert landscape.together == 1
    model = build_model(settings, (6, 6), 3, generator("test")).double()
    weights = nn.utils.parameters_to_vector(model.parameters()).detach()
    (record,) = landscape.eigenpairs_at_each([weights.float().numpy()], [generator("start")])
    inputs, targets = torch.from_numpy(samples.train_images).double(), torch.from_numpy(samples.train_labels)

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = flat.split([parameter.numel() for parameter in model.parameters()])
        named = {
            name: part.view_as(parameter)
            for part, (name, parameter) in zip(parts, model.named_parameters(), strict=True)
        }
        return cross_entropy(torch.func.functional_call(model, named, inputs), targets)

    hessian = torch.autograd.functional.hessian(loss, weights)
    expected = torch.linalg.eigvalsh(hessian).flip(0)[:2]
    np.testing.assert_allclose(record["eigenvalue"], expected, rtol=1e-4)
    assert record["converged"].all()

"""Products of several networks at once, against those of each network by itself."""

from collections import Counter
from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest
import torch
from eigenpairs_helpers import seeded
from torch import nn
from torch.nn.utils import vector_to_parameters
from torch.utils._python_dispatch import TorchDispatchMode

from eigendrift.eigenpairs.batched_perceptrons import PerceptronStack, stack_size
from eigendrift.eigenpairs.perceptron import PerceptronHessian

COUNT = 4
SAMPLE = 11


def network(widths: tuple[int, ...], activation: type[nn.Module] = nn.ReLU, bias: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out, bias=bias), activation()]
    return nn.Sequential(*layers[:-1]).double()


NETWORKS = {
    "two hidden layers": network((5, 4, 6, 3)),
    "three hidden layers": network((5, 7, 4, 4, 3)),
    "one hidden layer": network((5, 4, 3), nn.Tanh),
    "tanh": network((5, 4, 6, 3), nn.Tanh),
    "gelu without biases": network((5, 4, 6, 3), nn.GELU, bias=False),
    "relu without biases": network((5, 4, 6, 3), bias=False),
    "one layer": network((5, 3)),
}


def sample() -> tuple[torch.Tensor, torch.Tensor]:
    random = seeded()
    return torch.randn(SAMPLE, 1, 5, dtype=torch.float64, generator=random), torch.arange(SAMPLE) % 3


def random_rows(model: nn.Module, count: int, seed: int) -> torch.Tensor:
    size = sum(parameter.numel() for parameter in model.parameters())
    return torch.randn(count, size, dtype=torch.float64, generator=seeded(seed))


def stack_and_each(model: nn.Module) -> tuple[PerceptronStack, list[PerceptronHessian]]:
    weights = random_rows(model, COUNT, 1)
    each = []
    for flat in weights:
        member = deepcopy(model)
        vector_to_parameters(flat, member.parameters())
        each.append(PerceptronHessian(member, *sample()))
    nn.init.zeros_(next(model.parameters()))
    return PerceptronStack(model, weights, *sample()), each


@pytest.mark.parametrize("networks", [[0, 1, 2, 3], [0, 2], [1, 2, 3], [3], [2, 2, 2], [2, 0, 2]])
@pytest.mark.parametrize("name", NETWORKS)
def test_products_are_those_of_each_network(name, networks):
    stack, each = stack_and_each(NETWORKS[name])
    vectors = random_rows(NETWORKS[name], len(networks), 2)
    expected = torch.stack([each[index] @ vector for index, vector in zip(networks, vectors, strict=True)])
    kept = vectors.clone()
    for _ in range(2):
        torch.testing.assert_close(stack.products(vectors, networks), expected, rtol=0, atol=1e-12)
    assert torch.equal(vectors, kept)


@pytest.mark.parametrize("name", NETWORKS)
def test_one_network_has_its_own_operator(name):
    stack, each = stack_and_each(NETWORKS[name])
    block = random_rows(NETWORKS[name], 2 * COUNT + 1, 4)
    for index in range(COUNT):
        operator = stack[index]
        assert (operator.size, operator.dtype) == (block.shape[1], torch.float64)
        torch.testing.assert_close(operator @ block, each[index] @ block, rtol=0, atol=1e-12)
        torch.testing.assert_close(operator @ block[0], each[index] @ block[0], rtol=0, atol=1e-12)
    assert len(stack) == COUNT


class Operations(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def operations(count: int, networks: list[int], repeats: int = 1) -> Counter[str]:
    model = NETWORKS["two hidden layers"]
    stack = PerceptronStack(model, random_rows(model, count, 1), *sample())
    vectors = random_rows(model, len(networks), 2)
    for _ in range(repeats):
        with Operations() as seen:
            stack.products(vectors, networks)
    return seen.counts


def test_the_number_of_operations_does_not_grow_with_that_of_networks():
    few, many = operations(2, [0, 1]), operations(9, list(range(9)))
    assert few == many
    # The first layer shares its inputs: one product forth and one back for all networks.
    assert many["mm"] == 2


def test_a_selection_is_made_once():
    assert operations(5, [0, 2, 4])["index_select"] > 0
    assert operations(5, [0, 2, 4], repeats=2)["index_select"] == 0
    assert operations(5, [2] * 5)["index_select"] == 0


@pytest.mark.parametrize(
    ("hidden", "samples", "expected"),
    [(32, 4_000, 64), (32, 60_000, 18), (256, 4_000, 15), (256, 60_000, 2), (256, 1_000_000, 1)],
)
def test_stacks_are_smaller_for_larger_problems(hidden, samples, expected):
    model = network((784, hidden, hidden, 10))
    assert stack_size(model, samples, 80) == expected

"""The Hessian is that of the whole sample for all chunk sizes, or it is refused."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from eigenpairs_helpers import SAMPLES, check, dense_hessian, matrix_of, perceptron, seeded
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss, nll_loss

from eigendrift.eigenpairs.derivative_checks import other_chunk_size
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.null.network import null_draws

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
DOUBLE = torch.float64
WEIGHTS = torch.tensor([1.0, 2.0, 3.0], dtype=DOUBLE)
CHUNK_SIZES = [1, 5, 10]
REFUSED = "the Hessian depends on how the sample is cut into chunks"


@pytest.fixture
def by_class() -> torch.Tensor:
    """Labels sorted by class, so that chunks have few classes each."""
    return (torch.arange(SAMPLES) % 3).sort().values


def some_ignored(labels: torch.Tensor) -> torch.Tensor:
    return torch.where(torch.arange(len(labels)) < 4, -100, labels)


def weighted_sum(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return cross_entropy(outputs, labels, weight=WEIGHTS, reduction="sum") / 7


def padded_tokens(outputs: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """The sum over the tokens of a sequence without padding, as in language models."""
    return cross_entropy(outputs.transpose(1, 2), tokens, ignore_index=0, reduction="sum")


SUMS: dict[str, Loss] = {
    "plain": partial(cross_entropy, reduction="sum"),
    "weighted classes": weighted_sum,
    "squares": partial(mse_loss, reduction="sum"),
}


@pytest.mark.parametrize("chunk_size", CHUNK_SIZES)
@pytest.mark.parametrize("name", SUMS)
def test_sums_are_exact_at_any_chunk_size(model, inputs, by_class, name, chunk_size):
    targets = inputs if name == "squares" else by_class
    operator = hessian_operator(model, SUMS[name], inputs, targets, chunk_size, reduction="sum")
    check(operator, dense_hessian(model, SUMS[name], inputs, targets))


@pytest.mark.parametrize("chunk_size", CHUNK_SIZES)
def test_ignored_labels_are_exact_in_a_sum(model, inputs, by_class, chunk_size):
    labels, loss = some_ignored(by_class), partial(cross_entropy, reduction="sum")
    operator = hessian_operator(model, loss, inputs, labels, chunk_size, reduction="sum")
    check(operator, dense_hessian(model, loss, inputs, labels))


@pytest.mark.parametrize("chunk_size", CHUNK_SIZES)
def test_padded_sequences_are_exact_in_a_sum(chunk_size):
    torch.manual_seed(2)
    network = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5)).double()
    tokens = torch.randint(1, 5, (SAMPLES, 6), generator=seeded(3))
    for row, padding in enumerate([0, 5, 2, 4, 1, 5, 5, 0, 3, 2, 1]):
        tokens[row, 6 - padding :] = 0
    expected = matrix_of(hessian_operator(network, padded_tokens, tokens, tokens))
    operator = hessian_operator(network, padded_tokens, tokens, tokens, chunk_size, reduction="sum")
    check(operator, expected)
    with pytest.raises(ValueError, match=REFUSED):
        hessian_operator(network, padded_tokens, tokens, tokens, chunk_size)


def zero_loss(reduction: str) -> tuple[nn.Module, Loss, torch.Tensor, torch.Tensor]:
    """A perfect fit: loss and gradient are zero in every chunk, but the Hessian is not."""
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    inputs = torch.randn(SAMPLES, 3, dtype=DOUBLE, generator=seeded(4))
    return network, partial(mse_loss, reduction=reduction), inputs, network(inputs).detach()


NO_MEANS: dict[str, Loss] = {
    "weighted classes": nn.CrossEntropyLoss(weight=WEIGHTS),
    "a sum": nn.CrossEntropyLoss(reduction="sum"),
    "log-likelihood by weighted classes": lambda z, y: nll_loss(z.log_softmax(1), y, weight=WEIGHTS),
    "samples that depend on each other": lambda z, y: cross_entropy(z - z.mean(0), y),
    "the largest": lambda z, y: cross_entropy(z, y, reduction="none").max(),
}


@pytest.mark.parametrize("chunk_size", CHUNK_SIZES)
@pytest.mark.parametrize("name", NO_MEANS)
def test_a_loss_that_is_no_mean_over_the_samples_is_refused(model, inputs, by_class, name, chunk_size):
    with pytest.raises(ValueError, match=REFUSED):
        hessian_operator(model, NO_MEANS[name], inputs, by_class, chunk_size)
    whole = hessian_operator(model, NO_MEANS[name], inputs, by_class)
    check(whole, dense_hessian(model, NO_MEANS[name], inputs, by_class))


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("chunk_size", [1, 50, 130])
def test_weights_that_are_nearly_equal_are_noticed(chunk_size, dtype):
    random = seeded()
    inputs = torch.randn(150, 3, generator=random, dtype=dtype)
    labels = torch.randint(3, (150,), generator=random).sort().values
    network = perceptron().to(dtype)
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 1.0, 1.01], dtype=dtype))
    with pytest.raises(ValueError, match=REFUSED):
        hessian_operator(network, loss, inputs, labels, chunk_size)


def test_other_chunks_differ_in_size_and_number():
    for samples in range(2, 13):
        for size in range(1, samples):
            other = other_chunk_size(samples, size)
            assert 0 < other <= samples
            assert other != size
            assert math.ceil(samples / other) != math.ceil(samples / size)


@pytest.mark.parametrize("chunk_size", [1, 2])
def test_a_loss_that_depends_on_the_size_of_chunks_is_refused(model, inputs, by_class, chunk_size):
    # With four samples, all chunks have the same size.
    with pytest.raises(ValueError, match=REFUSED):
        hessian_operator(model, lambda z, y: cross_entropy(z, y) * len(z), inputs[:4], by_class[:4], chunk_size)


@pytest.mark.parametrize("chunk_size", CHUNK_SIZES)
def test_a_penalty_in_a_sum_is_refused(model, inputs, by_class, chunk_size):
    """It would count once for each chunk."""

    def penalized(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        penalty = sum(parameter.square().sum() for parameter in model.parameters())
        return cross_entropy(outputs, labels, reduction="sum") + penalty

    with pytest.raises(ValueError, match=f"{REFUSED}.*every chunk would add the penalty again"):
        hessian_operator(model, penalized, inputs, by_class, chunk_size, reduction="sum")


@pytest.mark.parametrize("chunk_size", CHUNK_SIZES)
def test_a_mean_over_labels_that_are_not_ignored_is_refused(model, inputs, by_class, chunk_size):
    # A chunk with nothing but ignored labels has the mean 0 / 0.
    with pytest.raises((ValueError, FloatingPointError), match=f"{REFUSED}|the loss is nan"):
        hessian_operator(model, cross_entropy, inputs, some_ignored(by_class), chunk_size)


@pytest.mark.parametrize("chunk_size", CHUNK_SIZES)
def test_a_sum_that_is_zero_shows_in_its_products(chunk_size):
    with pytest.raises(ValueError, match=f"{REFUSED}: a product changes by"):
        hessian_operator(*zero_loss("sum"), chunk_size)
    mean = zero_loss("mean")
    chunked, whole = (matrix_of(hessian_operator(*mean, size)) for size in (chunk_size, None))
    torch.testing.assert_close(chunked, whole, rtol=0, atol=1e-13)


@pytest.mark.parametrize("chunk_size", CHUNK_SIZES)
@pytest.mark.parametrize("loss", [cross_entropy, lambda z, y: cross_entropy(z, y)], ids=["known", "own"])
def test_a_mean_declared_as_a_sum_is_refused(model, inputs, by_class, chunk_size, loss):
    with pytest.raises(ValueError, match=REFUSED):
        hessian_operator(model, loss, inputs, by_class, chunk_size, reduction="sum")


@pytest.mark.filterwarnings("ignore:module '1':UserWarning")
@pytest.mark.parametrize("chunk_size", CHUNK_SIZES)
@pytest.mark.parametrize("layer", [nn.Dropout(0.1), nn.BatchNorm1d(4)], ids=["dropout", "batch norm"])
def test_networks_that_depend_on_the_batch_or_draw_are_refused(inputs, by_class, layer, chunk_size):
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(3, 4), layer, nn.Linear(4, 3)).double().train()
    refused = rf"{REFUSED}.*'1' \((Dropout|BatchNorm1d)\) is in training mode, .*call model\.eval\(\)"
    with pytest.raises(ValueError, match=f"{refused}|the network fails on inputs of shape"):
        hessian_operator(network, cross_entropy, inputs, by_class, chunk_size)
    chunked, whole = (
        matrix_of(hessian_operator(network.eval(), cross_entropy, inputs, by_class, size))
        for size in (chunk_size, None)
    )
    torch.testing.assert_close(chunked, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("chunk_size", [None, 3])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_losses_that_are_not_finite_are_refused(model, inputs, by_class, chunk_size, value):
    with pytest.raises(FloatingPointError, match=f"the loss is -?{value}, expected a finite number"):
        hessian_operator(model, lambda z, y: z.sum() * value, inputs, by_class, chunk_size)
    model[1] = nn.ReLU()
    inputs[6] = value
    with pytest.raises(FloatingPointError, match="an output of the network is not finite"):
        hessian_operator(model, cross_entropy, inputs, by_class, chunk_size) @ torch.ones(31, dtype=DOUBLE)


def test_float32_chunks_may_round_differently(inputs, by_class):
    torch.manual_seed(1)
    layers = [nn.Linear(3, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 3)]
    network = nn.Sequential(nn.Sequential(*layers))
    for scale in (1, 30):
        for parameter in network.parameters():
            parameter.data *= scale**0.5
        hessian_operator(network, cross_entropy, inputs.float(), by_class, 4)


def test_a_reduction_is_a_mean_or_a_sum(model, inputs, by_class):
    with pytest.raises(ValueError, match="reduction is 'none', expected 'mean' or 'sum'"):
        hessian_operator(model, SUMS["plain"], inputs, by_class, reduction="none")


def test_null_draws_take_sums(model, inputs, by_class):
    drawn = [
        null_draws(
            model,
            weighted_sum,
            inputs,
            by_class,
            "permuted",
            count=2,
            draws=2,
            generator=seeded(),
            chunk_size=chunk_size,
            reduction="sum",
        ).eigenvalues
        for chunk_size in (None, 2)
    ]
    torch.testing.assert_close(*map(torch.from_numpy, drawn), rtol=1e-6, atol=0)

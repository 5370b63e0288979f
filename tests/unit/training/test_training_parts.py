"""Parts of a run: checkpoints, batches, initial weights, seeds, devices and progress bars."""

import io
import itertools
import logging
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_helpers import CPU

from eigendrift import tracking
from eigendrift.errors import UserError
from eigendrift.numerics import generator, resolve_device, seed_from
from eigendrift.tracking import tracked
from eigendrift.training.checkpoints import checkpoint_steps, diverged_from
from eigendrift.training.torch_networks import ACTIVATIONS, INITIALIZATIONS, build_model
from eigendrift.training.trajectory import BatchOrder

MLP = {"hidden_widths": [400], "activation": "relu", "initialization": "glorot_uniform"}


@st.composite
def steps_and_count(draw: st.DrawFn) -> tuple[int, int]:
    steps = draw(st.integers(1, 3000))
    return steps, draw(st.integers(2, steps + 1))


class TestCheckpoints:
    @pytest.mark.parametrize("spacing", ["linear", "logarithmic"])
    @given(chosen=steps_and_count())
    @settings(deadline=None, database=None, derandomize=True, max_examples=50)
    def test_the_count_is_exact_from_first_to_last(self, spacing: str, chosen: tuple[int, int]) -> None:
        steps, count = chosen
        found = checkpoint_steps(steps, count, spacing)
        assert len(found) == count
        assert (found[0], found[-1]) == (0, steps)
        assert all(left < right for left, right in itertools.pairwise(found))
        assert {type(step) for step in found} == {int}

    @given(chosen=steps_and_count())
    @settings(deadline=None, database=None, derandomize=True, max_examples=30)
    def test_linear_is_within_half_a_step_of_even(self, chosen: tuple[int, int]) -> None:
        steps, count = chosen
        even = np.linspace(0, steps, count)
        assert np.abs(np.array(checkpoint_steps(steps, count, "linear")) - even).max() <= 0.5 + 1e-9

    def test_examples(self) -> None:
        assert checkpoint_steps(8000, 5, "linear") == [0, 2000, 4000, 6000, 8000]
        assert checkpoint_steps(1000, 5, "logarithmic") == [0, 1, 10, 100, 1000]
        assert checkpoint_steps(1000, 2, "logarithmic") == [0, 1000]
        assert checkpoint_steps(8, 9, "logarithmic") == list(range(9))

    @pytest.mark.parametrize("count", [1, 12])
    def test_refuses_a_count_that_does_not_fit(self, count: int) -> None:
        with pytest.raises(ValueError, match=f"cannot choose {count} different steps from 0 to 10"):
            checkpoint_steps(10, count, "linear")

    def test_refuses_an_unknown_spacing(self) -> None:
        with pytest.raises(ValueError, match="unknown spacing 'log', expected 'linear' or 'logarithmic'"):
            checkpoint_steps(10, 3, "log")


@pytest.mark.parametrize(
    ("losses", "index"),
    [
        ([2.0, 1.0, 0.5], None),
        ([2.0, 2.0, 2.0], None),
        ([2.0, 900.0, 0.5], None),  # a catapult
        ([2.0, 1.0, 2.1], 2),
        ([2.0, 3.0, 1.0, 5.0, 3e15], 3),
        ([2.0, 3.0, np.nan, np.nan], 1),
        ([2.0, np.inf], 1),
        ([np.nan, np.nan], 0),
    ],
)
def test_what_counts_as_diverged(losses: list[float], index: int | None) -> None:
    assert diverged_from(np.array(losses)) == index


class TestBatches:
    def test_every_epoch_is_a_new_permutation_in_equal_batches(self) -> None:
        order = BatchOrder(24, 8, 0, CPU)
        epochs = []
        for epoch in range(3):
            batches = [order.indices(3 * epoch + position) for position in range(3)]
            assert {len(batch) for batch in batches} == {8}
            epochs.append(torch.cat(batches).tolist())
            assert sorted(epochs[-1]) == list(range(24))
        assert epochs[0] != epochs[1] != epochs[2] != list(range(24))

    def test_a_remainder_is_left_out_but_not_the_same_one_every_epoch(self) -> None:
        order = BatchOrder(26, 8, 0, CPU)
        left_out = []
        for epoch in range(20):
            seen = torch.cat([order.indices(3 * epoch + position) for position in range(3)]).tolist()
            assert len(set(seen)) == 24
            left_out += set(range(26)) - set(seen)
        assert len(set(left_out)) > 10

    def test_depends_only_on_seed_and_step(self) -> None:
        random_access, sequential = BatchOrder(24, 8, 0, CPU), BatchOrder(24, 8, 0, CPU)
        for step in (11, 0, 7, 1, 11):
            random_access.indices(step)
        assert all(torch.equal(random_access.indices(step), sequential.indices(step)) for step in range(12))
        assert not torch.equal(BatchOrder(24, 8, 1, CPU).indices(0), sequential.indices(0))

    def test_full_is_the_whole_set_every_step(self) -> None:
        order = BatchOrder(24, "full", 0, CPU)
        assert all(torch.equal(torch.arange(24)[order.indices(step)], torch.arange(24)) for step in range(3))

    def test_a_batch_as_large_as_the_set_is_a_permutation_of_it(self) -> None:
        assert sorted(BatchOrder(24, 24, 0, CPU).indices(5).tolist()) == list(range(24))

    def test_refuses_a_batch_larger_than_the_set(self) -> None:
        with pytest.raises(UserError) as refusal:
            BatchOrder(24, 25, 0, CPU)
        assert str(refusal.value) == (
            "Config key 'batch_size' of the experiment is 25, but the training set has only 24 samples; "
            "lower it or set it to full."
        )


class TestInitialWeights:
    def test_glorot_uniform_has_its_bounds_and_variance(self) -> None:
        model = build_model(MLP, (20, 20), 10, generator("test"))
        for parameter in model.parameters():
            values = parameter.detach().double()
            if parameter.dim() == 1:
                assert (values == 0).all()
                continue
            fan_out, fan_in = parameter.shape
            bound = math.sqrt(6 / (fan_in + fan_out))
            assert 0.999 * bound < values.abs().max() <= bound * (1 + 1e-6)
            # The variance of n uniform draws has relative standard deviation sqrt(0.8 / n).
            tolerance = 5 * math.sqrt(0.8 / values.numel())
            assert values.var().item() == pytest.approx(2 / (fan_in + fan_out), rel=tolerance)
            assert abs(values.mean().item()) < 5 * values.std().item() / math.sqrt(values.numel())

    @pytest.mark.parametrize("initialization", INITIALIZATIONS)
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_weights_depend_only_on_the_seed(self, initialization: str, activation: str) -> None:
        chosen: dict[str, Any] = MLP | {"activation": activation, "initialization": initialization}

        def flat(seed: int) -> torch.Tensor:
            torch.rand(seed + 1)
            model = build_model(chosen, (4, 4), 3, generator("test", seed))
            return torch.nn.utils.parameters_to_vector(model.parameters())

        assert torch.equal(flat(0), flat(0))
        assert not torch.equal(flat(0), flat(1))
        assert flat(0).dtype == torch.float32

    def test_without_hidden_layers_it_is_a_linear_classifier(self) -> None:
        model = build_model(MLP | {"hidden_widths": []}, (4, 5), 3, generator("test"))
        assert [tuple(parameter.shape) for parameter in model.parameters()] == [(3, 20), (3,)]

    def test_the_activation_follows_every_hidden_layer(self) -> None:
        model = build_model(MLP | {"hidden_widths": [7, 6]}, (4, 5), 3, generator("test"))
        kinds = [type(layer).__name__ for layer in model.children()]
        assert kinds == ["Flatten", "Linear", "ReLU", "Linear", "ReLU", "Linear"]


class TestSeeds:
    def test_streams_with_different_names_are_different(self) -> None:
        labels = [
            ("weights", 0),
            ("weights", 1),
            ("batches", 0),
            ("batches", 0, 1),
            ("weights", 0, 0),
            ("weights0",),
        ]
        seeds = [seed_from(*label) for label in labels]
        assert len(set(seeds)) == len(labels)
        assert all(0 <= seed < 2**63 for seed in seeds)

    def test_seeds_never_change(self) -> None:
        assert seed_from("weights", 0) == 7843391457542245125


class TestDevice:
    def test_auto_and_cpu(self) -> None:
        assert resolve_device("cpu") == CPU
        assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")

    def test_logs_the_device_and_warns_about_an_unused_gpu(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
        caplog.set_level("INFO")
        for gpus in (0, 1):
            caplog.clear()
            assert resolve_device("auto", gpus) == CPU
            assert caplog.messages[0] == f"Computing on cpu with PyTorch {torch.__version__}"
            assert len(caplog.messages) == 1 + gpus
        assert caplog.messages[1].startswith(
            "This job requested a GPU but does not use it: config key 'device' is 'auto', and PyTorch "
        )

    @pytest.mark.parametrize("name", ["cuda", "cuda:0"])
    def test_refuses_cuda_where_there_is_none(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
        with pytest.raises(UserError) as refusal:
            resolve_device(name)
        assert str(refusal.value) == (
            f"Config key 'device' is '{name}', but this machine has 0 CUDA devices; set it to 'auto' or 'cpu'."
        )

    def test_refuses_an_index_that_does_not_exist(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        assert resolve_device("cuda:0") == torch.device("cuda:0")
        with pytest.raises(UserError, match="'cuda:1', but this machine has 1 CUDA devices"):
            resolve_device("cuda:1")


def test_the_log_has_plain_lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.INFO)
    now = iter(range(0, 1000, 6))
    monkeypatch.setattr(tracking.time, "monotonic", lambda: float(next(now)))
    with tracked("train a", 4, done=1) as tracker:
        for done in (2, 3, 4):
            tracker.reach(done, f"loss {done}")
    assert caplog.messages == ["train a: 3 of 4 loss 3", "train a: 4 of 4 loss 4"]


def test_a_terminal_shows_a_bar_that_starts_where_an_earlier_job_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(tracking.sys, "__stderr__", terminal)
    with tracked("train a", 4, done=1) as tracker:
        tracker.reach(4, "loss 3")
    assert "train a:  25%" in terminal.getvalue()

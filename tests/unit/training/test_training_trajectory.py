"""A recorded run compared with the same run computed by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from training_helpers import (
    CPU,
    EXPLODING,
    OPTIMIZERS,
    SAMPLES,
    arrays,
    assert_same_bits,
    exploding,
    loss,
    run,
    scores,
    settings_of,
)

from eigendrift.numerics import generator
from eigendrift.stores.reading import open_store
from eigendrift.stores.writing import write_store
from eigendrift.training.optimizers import OPTIMIZERS as OPTIMIZER_SPECS
from eigendrift.training.torch_networks import build_model
from eigendrift.training.trajectory import BatchOrder, Trajectory

Recorded = dict[str, np.ndarray]


@pytest.fixture(scope="module", params=OPTIMIZERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def trajectories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trajectory]:
    """One run of each optimizer, with a checkpoint at every step."""
    return {each: run(settings_of(each), tmp_path_factory.mktemp(each)) for each in OPTIMIZERS}


@pytest.fixture(scope="module")
def recorded(trajectories: dict[str, Trajectory]) -> dict[str, Recorded]:
    return {each: arrays(trajectory) for each, trajectory in trajectories.items()}


@pytest.mark.slow
def test_is_a_trajectory_store(trajectories: dict[str, Trajectory], name: str, tmp_path: Path) -> None:
    write_store(tmp_path / "t.zarr", "trajectory", trajectories[name].columns, settings_of(name))
    read = open_store(tmp_path / "t.zarr", "trajectory")
    assert read["weights"].shape == (21, 12 * 5 + 5 + 5 * 3 + 3)
    assert ("second_moment" in read) == (name in ("adam", "adamw", "rmsprop"))
    for array in ("weights", "gradient", "update"):
        assert read[array].dtype == np.float32
    assert read["step"].values.tolist() == list(range(21))
    assert trajectories[name].diverged_at is None


def test_checkpoint_0_is_the_initial_weights_and_all_optimizers_share_them(
    recorded: dict[str, Recorded],
) -> None:
    model = build_model(settings_of("sgd")["model"], (3, 4), 3, generator("weights", 0))
    initial = torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy()
    for each in OPTIMIZERS:
        np.testing.assert_array_equal(recorded[each]["weights"][0], initial)


def test_all_optimizers_see_the_same_batches(recorded: dict[str, Recorded]) -> None:
    gradients = [recorded[each]["gradient"][0] for each in OPTIMIZERS]
    for other in gradients[1:]:
        np.testing.assert_array_equal(gradients[0], other)


def test_gradient_belongs_to_the_batch_at_the_recorded_weights(recorded: dict[str, Recorded], name: str) -> None:
    order = BatchOrder(50, 8, 0, CPU)
    for step, (weights, gradient) in enumerate(zip(recorded[name]["weights"], recorded[name]["gradient"], strict=True)):
        batch = order.indices(step).numpy()
        flat = torch.from_numpy(weights).double().requires_grad_()
        loss(flat, SAMPLES.train_images[batch], SAMPLES.train_labels[batch]).backward()  # type: ignore[no-untyped-call]
        assert flat.grad is not None
        np.testing.assert_allclose(gradient, flat.grad.numpy(), rtol=1e-4, atol=1e-7)


def test_update_leads_from_each_checkpoint_to_the_next(recorded: dict[str, Recorded], name: str) -> None:
    weights, update = recorded[name]["weights"], recorded[name]["update"]
    np.testing.assert_array_equal(weights[1:] - weights[:-1], update[:-1])
    assert (update[-1] != 0).any()


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam"])
def test_update_is_what_the_optimizers_definition_says(recorded: dict[str, Recorded], name: str) -> None:
    settings = OPTIMIZERS[name]
    rate = settings["learning_rate"]
    mean = square = np.zeros(recorded[name]["weights"].shape[1])
    for step, gradient in enumerate(recorded[name]["gradient"].astype(np.float64)):
        if name == "sgd":
            expected = -rate * gradient
        elif name == "momentum":
            mean = settings["momentum"] * mean + gradient
            expected = -rate * mean
        else:
            beta1, beta2 = settings["beta1"], settings["beta2"]
            mean = beta1 * mean + (1 - beta1) * gradient
            square = beta2 * square + (1 - beta2) * gradient**2
            unbiased = mean / (1 - beta1 ** (step + 1)), square / (1 - beta2 ** (step + 1))
            expected = -rate * unbiased[0] / (np.sqrt(unbiased[1]) + settings["epsilon"])
        # Weights of size 1 in float32 hold an update to about 1e-7.
        np.testing.assert_allclose(recorded[name]["update"][step], expected, rtol=1e-4, atol=3e-7)


def test_sam_uses_the_gradient_further_uphill(recorded: dict[str, Recorded]) -> None:
    settings, record = OPTIMIZERS["sam"], recorded["sam"]
    order, mean = BatchOrder(50, 8, 0, CPU), np.zeros(record["weights"].shape[1])
    for step, (weights, gradient) in enumerate(zip(record["weights"], record["gradient"], strict=True)):
        batch = order.indices(step).numpy()
        own = gradient.astype(np.float64)
        up = weights + settings["radius"] * own / np.linalg.norm(own)
        flat = torch.from_numpy(up).requires_grad_()
        loss(flat, SAMPLES.train_images[batch], SAMPLES.train_labels[batch]).backward()  # type: ignore[no-untyped-call]
        assert flat.grad is not None
        mean = settings["momentum"] * mean + flat.grad.numpy()
        expected = -settings["learning_rate"] * mean
        np.testing.assert_allclose(record["update"][step], expected, rtol=1e-3, atol=3e-7)
        # The direction differs from the gradient by more than rounding.
        assert np.abs(flat.grad.numpy() - own).max() > 1e-4


def test_muon_orthogonalizes_matrices_and_leaves_biases_to_adamw(recorded: dict[str, Recorded]) -> None:
    update = recorded["muon"]["update"][0]
    layers, biases = [update[:60].reshape(5, 12), update[65:80].reshape(3, 5)], [update[60:65], update[80:]]
    for matrix in layers:
        singular = np.linalg.svd(matrix, compute_uv=False)
        # Muon's five steps bring singular values near 1, before all are scaled alike.
        assert singular[0] / singular[-1] < 2.5
    sure = [np.abs(recorded["muon"]["gradient"][0][part]) > 1e-4 for part in (slice(60, 65), slice(80, 83))]
    for vector, known in zip(biases, sure, strict=True):
        np.testing.assert_allclose(np.abs(vector[known]), 0.01, rtol=1e-2)


def test_the_first_updates_in_closed_form(recorded: dict[str, Recorded]) -> None:
    gradient = recorded["sgd"]["gradient"][0].astype(np.float64)
    np.testing.assert_allclose(recorded["sgd"]["update"][0], -0.1 * gradient, atol=1e-7)
    np.testing.assert_allclose(recorded["momentum"]["update"][0], -0.05 * gradient, atol=1e-7)
    sure = np.abs(gradient) > 1e-4
    np.testing.assert_allclose(recorded["adam"]["update"][0][sure], -0.01 * np.sign(gradient[sure]), rtol=1e-3)


def test_second_moment_is_the_running_mean_of_squares_before_the_step(recorded: dict[str, Recorded]) -> None:
    expected = np.zeros(recorded["adam"]["weights"].shape[1])
    for gradient, moment in zip(recorded["adam"]["gradient"], recorded["adam"]["second_moment"], strict=True):
        np.testing.assert_allclose(moment, expected, rtol=1e-5, atol=1e-12)
        expected = 0.99 * expected + 0.01 * gradient.astype(np.float64) ** 2
    assert set(recorded["sgd"]) == set(recorded["momentum"]) == set(recorded["adam"]) - {"second_moment"}


@pytest.mark.parametrize("chunk", [10_000, 7])
def test_losses_and_accuracies_are_over_all_samples(
    chunk: int, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eigendrift.training.trajectory.EVALUATION_CHUNK", chunk)
    found = arrays(run(settings_of(name, checkpoints={"count": 3, "spacing": "linear"}), tmp_path))
    for index, weights in enumerate(found["weights"]):
        flat = torch.from_numpy(weights).double()
        for part, images, labels in (
            ("train", SAMPLES.train_images, SAMPLES.train_labels),
            ("test", SAMPLES.test_images, SAMPLES.test_labels),
        ):
            assert found[f"{part}_loss"][index] == pytest.approx(loss(flat, images, labels).item(), rel=1e-5)
            right = (scores(flat, images).argmax(1).numpy() == labels).mean()
            assert found[f"{part}_accuracy"][index] == right


def test_fewer_checkpoints_see_the_same_run(recorded: dict[str, Recorded], name: str, tmp_path: Path) -> None:
    few = arrays(run(settings_of(name, checkpoints={"count": 5, "spacing": "logarithmic"}), tmp_path))
    for array, values in few.items():
        np.testing.assert_array_equal(values, recorded[name][array][few["step"]], err_msg=array)


def test_full_batches(tmp_path: Path) -> None:
    found = arrays(
        run(
            settings_of("sgd", batch_size="full", steps=3, checkpoints={"count": 4, "spacing": "linear"}),
            tmp_path,
        )
    )
    for weights, gradient in zip(found["weights"], found["gradient"], strict=True):
        flat = torch.from_numpy(weights).double().requires_grad_()
        loss(flat, SAMPLES.train_images, SAMPLES.train_labels).backward()  # type: ignore[no-untyped-call]
        assert flat.grad is not None
        np.testing.assert_allclose(gradient, flat.grad.numpy(), rtol=1e-4, atol=1e-7)


def test_bits_depend_only_on_the_seed(trajectories: dict[str, Trajectory], name: str, tmp_path: Path) -> None:
    torch.manual_seed(1234)
    assert_same_bits(run(settings_of(name), tmp_path / "same"), trajectories[name])
    other = arrays(run(settings_of(name, seed=1), tmp_path / "other"))
    assert not np.array_equal(other["weights"][0], arrays(trajectories[name])["weights"][0])


def in_a_plain_loop(settings: dict[str, Any]) -> tuple[int | None, list[float]]:
    """Return the first step whose loss is not finite, and the loss of the training set before each step."""
    model = build_model(settings["model"], (3, 4), 3, generator("weights", settings["seed"]))
    optimizer = OPTIMIZER_SPECS[settings["optimizer"]["name"]].build(model.parameters(), settings["optimizer"])
    order = BatchOrder(50, 8, settings["seed"], CPU)
    images, labels = torch.from_numpy(SAMPLES.train_images), torch.from_numpy(SAMPLES.train_labels)
    losses = []
    for step in range(settings["steps"] + 1):
        batch = order.indices(step)
        optimizer.zero_grad()
        with torch.no_grad():
            losses.append(float(cross_entropy(model(images), labels)))
        value = cross_entropy(model(images[batch]), labels[batch])
        if not torch.isfinite(value):
            return step, losses
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return None, losses


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPLODING)
@pytest.mark.parametrize("count", [2, 5, 61])
def test_an_overflow_is_reported_at_its_first_step_and_followed_by_nan(
    count: int, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = exploding(name, count)
    trajectory = run(settings, tmp_path)
    overflow, losses = in_a_plain_loop(settings)
    assert overflow is not None
    assert 2 < overflow < 60
    assert f"test diverged: its loss is not finite at step {overflow}." in caplog.text
    found = arrays(trajectory)
    steps = found.pop("step")
    diverged = [step for step in steps if step < overflow and losses[step] <= losses[0]][-1] < steps
    assert trajectory.diverged_at == min(overflow, steps[diverged][0])
    for array, values in found.items():
        assert np.isfinite(values[~diverged]).all(), array
        assert np.isnan(values[diverged]).all(), array
    settled = {"diverged_at": trajectory.diverged_at}
    write_store(tmp_path / "t.zarr", "trajectory", trajectory.columns, settings, settled)


def test_a_finite_loss_that_never_returns_is_a_divergence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SGD with a learning rate of 1,000 ends with dead units and a loss of many nats."""
    settings = settings_of("sgd", steps=40)
    settings["optimizer"] = OPTIMIZERS["sgd"] | {"learning_rate": 1e3}
    overflow, losses = in_a_plain_loop(settings)
    assert overflow is None
    assert losses[0] < 10 < losses[-1] < np.inf
    trajectory = run(settings, tmp_path)
    found = arrays(trajectory)
    steps = found.pop("step")
    assert trajectory.diverged_at == steps[np.isnan(found["train_loss"])][0]
    assert f"its loss stays above the loss of step 0 from step {trajectory.diverged_at} on" in caplog.text
    reached = steps < trajectory.diverged_at
    assert losses[steps[reached][-1]] <= losses[0] < min(losses[step] for step in steps[~reached])
    for array, values in found.items():
        assert np.isfinite(values[reached]).all(), array
        assert np.isnan(values[~reached]).all(), array

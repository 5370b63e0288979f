"""Null models of trained networks: what each keeps and what it destroys."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from null_helpers import CPU, MODEL, SAMPLES, SIZE, SOLVER, TENSORS, TRAININGS, inputs_of
from torch.nn.utils import parameters_to_vector

from eigendrift.eigenpairs.landscape import Landscape
from eigendrift.errors import UserError
from eigendrift.null.inputs import NullInputs, ends_of
from eigendrift.null.sampling import (
    draw_null,
    observed,
    permute_within,
    permuted,
    shuffled_labels,
    summarize_draws,
    with_shuffled_labels,
)
from eigendrift.numerics import generator
from eigendrift.stores.progress import Progress
from eigendrift.training import trajectory as training
from eigendrift.training.torch_networks import build_model
from eigendrift.training.trajectory import train

BOUNDS = np.cumsum(TENSORS)[:-1]


def weights_asked_for(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Record the weights that Hessians are taken at."""
    asked: list[np.ndarray] = []
    at = Landscape.eigenpairs_at

    def recording(self: Landscape, weights: np.ndarray, *others: object) -> object:
        asked.append(weights)
        return at(self, weights, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(Landscape, "eigenpairs_at", recording)
    return asked


def initial_weights(seed: int) -> np.ndarray:
    model = build_model(MODEL, (3, 3), 3, generator("weights", seed))
    return parameters_to_vector(model.parameters()).detach().numpy()


class TestPermuted:
    def test_keeps_every_tensors_values_and_destroys_their_order(self) -> None:
        weights = np.arange(SIZE, dtype=np.float32)
        moved = permute_within(weights, TENSORS, generator("test"))
        for before, after in zip(np.split(weights, BOUNDS), np.split(moved, BOUNDS), strict=True):
            np.testing.assert_array_equal(np.sort(after), before)
            assert (after != before).mean() > 0.5

    def test_every_order_of_a_tensor_is_as_likely(self) -> None:
        orders = [tuple(permute_within(np.arange(3), [3], generator("order", draw))) for draw in range(1200)]
        _, counts = np.unique(orders, axis=0, return_counts=True)
        assert len(counts) == 6
        # Five standard deviations of a binomial count.
        assert np.abs(counts - 200).max() < 5 * np.sqrt(200 * 5 / 6)

    def test_permutes_the_end_of_the_draws_own_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two optimizers of two seeds: draws go through optimizers first, and return to seed 0 after four."""
        inputs = inputs_of(tmp_path, "permuted")
        asked = weights_asked_for(monkeypatch)
        permuted(inputs, range(6))
        for draw, (optimizer, seed) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1), (0, 0), (1, 0)]):
            end = inputs.ends[optimizer][seed]
            for drawn, trained in zip(np.split(asked[draw], BOUNDS), np.split(end, BOUNDS), strict=True):
                np.testing.assert_array_equal(np.sort(drawn), np.sort(trained))
        assert (asked[0] != asked[4]).mean() > 0.5

    def test_a_diverged_run_has_no_hessian(self, tmp_path: Path) -> None:
        inputs = inputs_of(tmp_path, "permuted")
        inputs.ends[1][0][:] = np.nan
        columns = draw_null(inputs, "test")
        assert summarize_draws(columns) == {"parameters": SIZE, "diverged": [1]}
        assert np.isnan(columns["eigenvalue"][1]).all()
        assert np.asarray(columns["converged"]).all(1).tolist() == [True, False, True, True]

    def test_the_ends_are_found_by_optimizer(self) -> None:
        def trajectory(name: str, value: float) -> xr.Dataset:
            weights = xr.DataArray([[0.0, 0.0], [value, value]], dims=("checkpoint", "parameter"))
            return xr.Dataset({"weights": weights}, attrs={"settings": {"optimizer": {"name": name}}})

        runs = [trajectory("adam", 1), trajectory("adam", 2), trajectory("sgd", 3)]
        ends = ends_of(runs, TRAININGS)
        assert [[end[0] for end in seeds] for seeds in ends] == [[3], [1, 2]]
        assert ends_of([], []) == []


class TestShuffledLabels:
    def test_keeps_images_and_class_counts_and_destroys_their_assignment(self) -> None:
        shuffled = with_shuffled_labels(SAMPLES, generator("test"))
        assert shuffled.train_images is SAMPLES.train_images
        assert shuffled.test_labels is SAMPLES.test_labels
        assert shuffled.train_labels.dtype == np.int64
        np.testing.assert_array_equal(np.bincount(shuffled.train_labels), np.bincount(SAMPLES.train_labels))
        # Of three equal classes a third stays where it was.
        assert 0.4 < (shuffled.train_labels != SAMPLES.train_labels).mean() < 0.9

    @pytest.mark.parametrize(("draw", "optimizer", "seed"), [(1, 1, 0), (2, 0, 1)])
    def test_is_the_hessian_where_training_on_shuffled_labels_ends(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, draw: int, optimizer: int, seed: int
    ) -> None:
        asked = weights_asked_for(monkeypatch)
        (record,) = shuffled_labels(inputs_of(tmp_path / "null", "shuffled_labels"), [draw])
        shuffled = with_shuffled_labels(SAMPLES, generator("null", "shuffled_labels", seed))
        (tmp_path / "train").mkdir()
        settings = TRAININGS[optimizer] | {
            "seed": seed,
            # More checkpoints than two: how often a run is looked at does not change where it ends.
            "checkpoints": {"count": 4, "spacing": "linear"},
        }
        run = train(shuffled, settings, CPU, Progress(tmp_path / "train"), "test")
        first, *_, last = run.columns["weights"]
        np.testing.assert_array_equal(first, initial_weights(seed))
        np.testing.assert_array_equal(asked[0], last)
        over_shuffled = Landscape(shuffled, MODEL, SOLVER, CPU).eigenpairs_at(last, generator("other"))
        np.testing.assert_allclose(record["eigenvalue"], over_shuffled["eigenvalue"], rtol=1e-4)
        over_true = Landscape(SAMPLES, MODEL, SOLVER, CPU).eigenpairs_at(last, generator("other"))
        assert np.abs(record["eigenvalue"] / over_true["eigenvalue"] - 1).max() > 1e-3

    def test_a_training_that_diverges_is_marked_and_masked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        take_step = training._Trainee._take_step

        def exploding(trainee: training._Trainee) -> torch.Tensor:
            loss = take_step(trainee)
            diverges = trainee._spec is training.OPTIMIZERS["sgd"] and trainee.step > 20
            return loss * np.inf if diverges else loss

        monkeypatch.setattr(training._Trainee, "_take_step", exploding)
        columns = draw_null(inputs_of(tmp_path, "shuffled_labels"), "test")
        assert summarize_draws(columns)["diverged"] == [0, 2]
        assert np.isnan(np.asarray(columns["eigenvalue"])[[0, 2]]).all()
        assert np.asarray(columns["converged"]).all(1).tolist() == [False, True, False, True]

    def test_a_training_killed_in_its_middle_resumes_with_the_same_bits(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = draw_null(inputs_of(tmp_path / "whole", "shuffled_labels"), "test")
        steps = []
        follow_gradient = training._Trainee._follow_gradient

        def dying(trainee: training._Trainee) -> object:
            steps.append(trainee.step)
            # In the middle of the third draw's training; 31 steps are one training.
            if len(steps) == 2 * 31 + 15:
                raise KeyboardInterrupt
            return follow_gradient(trainee)

        monkeypatch.setattr(training._Trainee, "_follow_gradient", dying)
        monkeypatch.setattr(training, "STEPS_BETWEEN_CHECKS", 5)
        monkeypatch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)
        with pytest.raises(KeyboardInterrupt):
            draw_null(inputs_of(tmp_path / "killed", "shuffled_labels"), "test")
        resumed = draw_null(inputs_of(tmp_path / "killed", "shuffled_labels"), "test")
        # What was done at the first checkpoint and after it, five steps at a time, was kept.
        assert steps[2 * 31 + 14 : 2 * 31 + 16] == [14, 11]
        for column in whole:
            np.testing.assert_array_equal(np.array(list(resumed[column])), np.array(list(whole[column])))
        assert [path for path in (tmp_path / "killed").iterdir() if path.is_dir()] == []


class TestUntrained:
    """Null models without any training, which validate them."""

    def test_observed_networks_are_where_training_starts_and_no_two_samples_share_a_network(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = weights_asked_for(monkeypatch)
        for draw in (observed, permuted, shuffled_labels):
            draw(inputs_of(tmp_path / draw.__name__, draw.__name__, trained=False), range(4))
        for seed in range(4):
            np.testing.assert_array_equal(asked[seed], initial_weights(seed))
        tensors = {tuple(np.sort(weights[: TENSORS[0]])) for weights in asked}
        assert len(asked) == len(tensors) == 12

    def test_null_models_that_do_not_declare_trained_networks_get_none(self, tmp_path: Path) -> None:
        inputs = inputs_of(tmp_path, "reinitialized", trained=False)
        for ask in (lambda: inputs.end_of(0), lambda: inputs.trained_on(SAMPLES, 0)):
            with pytest.raises(UserError, match="'reinitialized' needs trained networks, so declare it"):
                ask()

    def test_each_draw_shuffles_the_labels_differently(self, tmp_path: Path) -> None:
        inputs = inputs_of(tmp_path, "shuffled_labels", trained=False)
        same = NullInputs(**{**vars(inputs), "settings": {**inputs.settings, "draws": 0}})
        records = shuffled_labels(same, [0, 1])
        for draw, record in enumerate(records):
            shuffled = with_shuffled_labels(SAMPLES, generator("null", "shuffled_labels", draw))
            expected = Landscape(shuffled, MODEL, SOLVER, CPU).eigenpairs_at(initial_weights(draw), generator("other"))
            np.testing.assert_allclose(record["eigenvalue"], expected["eigenvalue"], rtol=1e-4)

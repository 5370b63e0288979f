"""What captions say about the runs that a figure shows."""

import pytest
from study_helpers import CONFIG, changed
from torch import nn

from eigendrift.data.datasets import DATASETS
from eigendrift.study.captions import facts_of
from eigendrift.study.runs import runs_of
from eigendrift.training.networks import parameters_of


def test_training_lists_data_network_seeds_steps_rates_and_hessian_of_each_data_set() -> None:
    length = "8,000 steps with batches of 64"
    rates = "learning rates SGD 0.05, SGD + momentum 0.005, Adam 0.001"
    training = {
        "mnist5k": "mnist5k: 4,000 training samples, 784-32-32-10 perceptron, N = 26,506 parameters; "
        f"7 initializations for each setting; {length}; {rates}; 41 checkpoints",
        "digits": "digits: 1,437 training samples, 64-32-32-10 perceptron, N = 3,466 parameters; "
        f"7 initializations for each setting; {length}; {rates}; 41 checkpoints",
    }
    assert facts_of(CONFIG, runs_of(CONFIG, "main"), DATASETS) == {
        "training": f"{training['mnist5k']}. {training['digits']}.",
        "runs": f"{training['mnist5k']}; Hessian over 4,000 training samples. "
        f"{training['digits']}; Hessian over 1,437 training samples.",
        "null": "the null model 'reinitialized' (the Hessian at 100 fresh initializations; keeps "
        "architecture, data and the distribution of initial weights, destroys all that training does)",
        "ranks": "three",
        "full_batch": "",
    }


def test_only_the_runs_given_are_described() -> None:
    runs = [run for run in runs_of(CONFIG, "main") if run.dataset == "digits" and run.optimizer == "sgd"]
    caption = facts_of(CONFIG, runs, DATASETS)["training"]
    assert caption.startswith("digits: ")
    assert "; learning rate SGD 0.05; " in caption


def test_settings_that_vary_are_listed_with_their_steps_or_left_out() -> None:
    facts = facts_of(CONFIG, runs_of(CONFIG, "batch_sizes"), DATASETS)["runs"]
    assert "learning rates SGD 0.05, " in facts
    assert (
        "; 16,000 steps with batches of 32, 8,000 steps with batches of 64, 2,000 steps with batches of 256, "
        "2,000 steps with full batches; "
    ) in facts
    assert "rate" not in facts_of(CONFIG, runs_of(CONFIG, "learning_rates"), DATASETS)["runs"]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        # The others see 8,000 × 64 samples, the full batch steps × 4,000.
        (2000, "with which it sees about 16 times as many samples as the others"),
        (200, "with which it sees about 1.6 times"),
        (64, "with which it sees about 0.5 times"),
        (20000, "with which it sees about 160 times"),
        (128, ""),
    ],
)
def test_captions_compare_the_samples_that_full_batch_runs_see(steps: int, expected: str) -> None:
    config = changed("training.full_batch_steps", steps)
    caption = facts_of(config, runs_of(config, "batch_sizes"), DATASETS)["full_batch"]
    assert expected in caption
    assert bool(caption) == bool(expected)


def test_several_null_models_are_described_one_by_one() -> None:
    names = ["isotropic", "permuted"]
    caption = facts_of(CONFIG, runs_of(CONFIG, "main"), DATASETS, null_models=names)["null"]
    assert caption.startswith("the null models 'isotropic' (100 draws of random directions; keeps ")
    assert "); 'permuted' (" in caption


def test_one_initialization_and_a_part_of_the_samples() -> None:
    config = changed("experiments.main.seeds", 1)
    config["eigenpairs"]["samples"] = 1000
    facts = facts_of(config, runs_of(config, "main"), DATASETS)["runs"]
    assert "; 1 initialization for each setting; " in facts
    assert facts.count("Hessian over 1,000 training samples.") == 2


@pytest.mark.parametrize(("count", "word"), [(1, "one"), (2, "two"), (3, "three"), (10, "three")])
def test_captions_name_as_many_ranks_as_there_are(count: int, word: str) -> None:
    config = changed("eigenpairs.count", count)
    assert facts_of(config, runs_of(config, "main"), DATASETS)["ranks"] == word


def test_parameters_are_counted_as_torch_does() -> None:
    network = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 7), nn.ReLU(), nn.Linear(7, 10))
    assert parameters_of([64, 32, 7, 10]) == sum(weights.numel() for weights in network.parameters())


def test_a_network_of_another_kind_is_named_by_its_own_title() -> None:
    settings = {"kind": "cnn", "channels": [3, 4], "kernel_size": 5}
    settings |= {"activation": "relu", "initialization": "glorot_uniform"}
    config = changed("models.mlp-32-32", settings)
    digits = [run for run in runs_of(config, "main") if run.dataset == "digits"]
    number = (25 + 1) * 3 + (3 * 25 + 1) * 4 + (4 * 2 * 2 + 1) * 10
    expected = f"convolutional network of 3-4 channels, 5 × 5 kernels, N = {number} parameters;"
    assert expected in facts_of(config, digits, DATASETS)["training"]

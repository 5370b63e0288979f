"""What captions say of the runs that a figure shows."""

import pytest
from study_helpers import CONFIG, changed

from eigendrift.data.datasets import DATASETS
from eigendrift.study.captions import facts_of
from eigendrift.study.runs import runs_of
from eigendrift.training.networks import parameters_of


def test_data_network_seeds_steps_rates_and_hessian_of_each_data_set() -> None:
    length = "8,000 steps with batches of 64"
    rates = "learning rates SGD 0.05, SGD + momentum 0.005, Adam 0.001"
    training = {
        "mnist5k": "mnist5k: 4,000 training samples, 784-32-32-10 perceptron, N = 26,506 parameters; "
        f"7 initialisations for each setting; {length}; {rates}; 41 checkpoints",
        "digits": "digits: 1,437 training samples, 64-32-32-10 perceptron, N = 3,466 parameters; "
        f"7 initialisations for each setting; {length}; {rates}; 41 checkpoints",
    }
    assert facts_of(CONFIG, runs_of(CONFIG, "main"), DATASETS) == {
        "training": f"{training['mnist5k']}. {training['digits']}.",
        "runs": f"{training['mnist5k']}; Hessian over 4,000 training samples. "
        f"{training['digits']}; Hessian over 1,437 training samples.",
        "null": "the null model 'reinitialized' (the Hessian at 100 fresh initialisations; keeps "
        "architecture, data and the distribution of initial weights, destroys all that training does)",
        "ranks": "three",
        "full_batch": "",
    }


def test_learning_rates_are_told_where_each_optimizer_has_one() -> None:
    sgd = [run for run in runs_of(CONFIG, "main") if run.optimizer == "sgd"]
    assert "; learning rate SGD 0.05; " in facts_of(CONFIG, sgd, DATASETS)["training"]
    assert "learning rates SGD 0.05, " in facts_of(CONFIG, runs_of(CONFIG, "batch_sizes"), DATASETS)["runs"]
    assert "rate" not in facts_of(CONFIG, runs_of(CONFIG, "learning_rates"), DATASETS)["runs"]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        # The others see 8,000 × 64 samples, the full batch steps × 4,000.
        (2000, "with which it sees about 16 times as many samples as the others"),
        (200, "with which it sees about 1.6 times"),
        (64, "with which it sees about 0.5 times"),
        (20000, "with which it sees about 160 times"),
        (128, ""),
    ],
)
def test_samples_that_full_batches_see(steps: int, said: str) -> None:
    config = changed("training.full_batch_steps", steps)
    told = facts_of(config, runs_of(config, "batch_sizes"), DATASETS)["full_batch"]
    assert said in told
    assert bool(told) == bool(said)


def test_a_figure_may_show_several_null_models() -> None:
    told = facts_of(CONFIG, runs_of(CONFIG, "main"), DATASETS, null_models=["isotropic", "permuted"])["null"]
    assert told.startswith("the null models 'isotropic' (100 draws of random directions; keeps ")
    assert "); 'permuted' (" in told


def test_every_batch_size_stands_beside_its_steps() -> None:
    facts = facts_of(CONFIG, runs_of(CONFIG, "batch_sizes"), DATASETS)["runs"]
    assert (
        "; 16,000 steps with batches of 32, 8,000 steps with batches of 64, 2,000 steps with batches of 256, "
        "2,000 steps with full batches; "
    ) in facts


def test_one_initialisation_and_a_part_of_the_samples() -> None:
    config = changed("experiments.main.seeds", 1)
    config["eigenpairs"]["samples"] = 1000
    facts = facts_of(config, runs_of(config, "main"), DATASETS)["runs"]
    assert "; 1 initialisation for each setting; " in facts
    assert facts.count("Hessian over 1,000 training samples.") == 2


def test_only_the_data_sets_of_the_runs_are_told() -> None:
    digits = [run for run in runs_of(CONFIG, "main") if run.dataset == "digits"]
    assert facts_of(CONFIG, digits, DATASETS)["runs"].startswith("digits: ")


def test_parameters_are_those_of_the_network() -> None:
    from torch import nn

    network = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 7), nn.ReLU(), nn.Linear(7, 10))
    assert parameters_of([64, 32, 7, 10]) == sum(weights.numel() for weights in network.parameters())


@pytest.mark.parametrize(("count", "word"), [(1, "one"), (2, "two"), (3, "three"), (10, "three")])
def test_captions_name_as_many_ranks_as_there_are(count: int, word: str) -> None:
    config = changed("eigenpairs.count", count)
    assert facts_of(config, runs_of(config, "main"), DATASETS)["ranks"] == word


def test_a_network_of_another_kind_is_told_by_its_own_title() -> None:
    settings = {"kind": "cnn", "channels": [3, 4], "kernel_size": 5}
    settings |= {"activation": "relu", "initialization": "glorot_uniform"}
    config = changed("models.mlp-32-32", settings)
    digits = [run for run in runs_of(config, "main") if run.dataset == "digits"]
    told = facts_of(config, digits, DATASETS)["training"]
    number = (25 + 1) * 3 + (3 * 25 + 1) * 4 + (4 * 2 * 2 + 1) * 10
    assert f"convolutional network of 3-4 channels, 5 × 5 kernels, N = {number} parameters;" in told

"""The experiment that varies training-set size and learning rates together, and what is wrong with one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from eigendrift.errors import UserError
from eigendrift.study.runs import Run, all_runs, runs_of
from eigendrift.study.subsets import WHOLE, DatasetFacts, parts_of

NAME = "training_sizes"
COMPARED = ("sgd", "adam")
VARIED_HERE_ONLY = ("training_samples", "training_lengths")


def runs_of_regimes(config: Mapping[str, Any]) -> list[Run]:
    """List the runs that regimes are decided on: the experiment's, and other seeds of the same settings."""
    own = [run for run in runs_of(config, NAME) if run.optimizer in COMPARED]
    settings = {replace(run, seed=0) for run in own}
    return [run for run in all_runs(config).values() if replace(run, seed=0) in settings]


def regimes_settings(config: Mapping[str, Any], datasets: Mapping[str, DatasetFacts]) -> dict[str, Any]:
    """Return what else decides the claims in regimes, as plain values.

    Args:
        config: The configuration.
        datasets: What is known of each data set, subsets included.

    Returns:
        ``sets``: for each training set the whole data set and the number of samples. ``pairs``: learning
        rates of SGD and Adam that are compared, those with the same place in their lists. ``lengths``: shares
        of the training. ``claims``: how they are decided.
    """
    runs = runs_of_regimes(config)
    rates = [
        list(dict.fromkeys(run.learning_rate for run in runs_of(config, NAME) if run.optimizer == name))
        for name in COMPARED
    ]
    return {
        "sets": {
            name: [parts_of(name)[0], datasets[name].training_samples]
            for name in dict.fromkeys(run.dataset for run in runs)
        },
        "pairs": [list(pair) for pair in zip(*rates, strict=True)],
        "lengths": config["experiments"][NAME].get("training_lengths", [1]),
        "claims": {
            key: config["claims"][key] for key in ("lag", "confidence", "resamples", "smallest_effect")
        },
    }


def check_training_sizes(config: Mapping[str, Any]) -> None:
    """Check that sizes vary in one experiment only, and that its learning rates can be paired.

    Args:
        config: A configuration that the schema accepts and whose optimizers are known.

    Raises:
        UserError: Names the key, what it is and what is allowed.
    """
    for name, experiment in config["experiments"].items():
        for key in VARIED_HERE_ONLY:
            if key in experiment and name != NAME:
                raise UserError(
                    f"Config key 'experiments.{name}.{key}' is for 'experiments.{NAME}' alone, the one "
                    "experiment that varies more than one setting; move it there."
                )
    if NAME in config["experiments"]:
        _check_pairs(config["experiments"][NAME])
        _check_lengths(config, config["experiments"][NAME])


def check_subsets(config: Mapping[str, Any], datasets: Mapping[str, DatasetFacts]) -> None:
    """Check that the sizes are smaller than the training sets, and large enough to hold each class.

    Args:
        config: The configuration.
        datasets: What is known of each whole data set.

    Raises:
        UserError: Names the size and the data set.
    """
    experiment = config["experiments"].get(NAME, {})
    for dataset in experiment.get("datasets", []):
        facts = datasets[dataset]
        for size in experiment.get("training_samples", [WHOLE]):
            if size != WHOLE and not facts.classes <= size < facts.training_samples:
                raise UserError(
                    f"Config key 'experiments.{NAME}.training_samples' contains {size}, expected at least "
                    f"the number of classes, {facts.classes}, and fewer than the {facts.training_samples} "
                    f"training samples of {dataset}, or '{WHOLE}' for these."
                )


def _check_lengths(config: Mapping[str, Any], experiment: Mapping[str, Any]) -> None:
    """Check that the shortest training has a checkpoint beside its start."""
    training = config["training"]
    linear = training["checkpoints"]["spacing"] == "linear"
    first = 1 / (training["checkpoints"]["count"] - 1 if linear else training["steps"])
    shortest = min(experiment.get("training_lengths", [1]))
    if shortest < first:
        raise UserError(
            f"Config key 'experiments.{NAME}.training_lengths' contains {shortest}, but the first "
            f"checkpoint after the start comes after {first:.3g} of the training; raise it or "
            "'training.checkpoints.count'."
        )


def _check_pairs(experiment: Mapping[str, Any]) -> None:
    if absent := [name for name in COMPARED if name not in experiment["optimizers"]]:
        raise UserError(
            f"Config key 'experiments.{NAME}.optimizers' lacks {' and '.join(absent)}, which claims "
            "compare; add what is missing."
        )
    if isinstance(experiment["batch_size"], list):
        raise UserError(
            f"Config key 'experiments.{NAME}.batch_size' is a list, expected one batch size beside the "
            "training samples and learning rates that vary; put others into 'experiments.batch_sizes'."
        )
    rates = experiment.get("learning_rate", {})
    counts = {name: len(rates.get(name, [None])) for name in COMPARED}
    if len(set(counts.values())) > 1:
        told = " and ".join(f"{count} for {name}" for name, count in counts.items())
        raise UserError(
            f"Config key 'experiments.{NAME}.learning_rate' has {told}, expected as many for each, "
            "because they are compared by their places in the lists; make the lists equally long."
        )

"""What a caption must say of the runs that a figure shows, filled from the configuration."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from eigendrift.study.nulls import NULL_MODELS
from eigendrift.study.runs import Run, parameters_of, steps_of
from eigendrift.study.subsets import DatasetFacts

# The paper shows three leading ranks where it shows several.
RANKS = ("one", "two", "three")


def widths_of(config: Mapping[str, Any], model: str, dataset: DatasetFacts) -> list[int]:
    """Return the widths of all layers of a perceptron on a data set, its input first."""
    return [prod(dataset.image_shape), *config["models"][model]["hidden_widths"], dataset.classes]


def facts_of(
    config: Mapping[str, Any],
    runs: Sequence[Run],
    datasets: Mapping[str, DatasetFacts],
    sample: str | None = None,
    null_models: Sequence[str] = (),
) -> dict[str, str]:
    """Return what captions say of some runs.

    ``runs``: data, network, N, seeds, steps and Hessian. ``null``: the null models. ``ranks``: how many
    leading eigenvectors figures show at most, in letters.

    Args:
        config: The configuration.
        runs: Runs that a figure shows.
        datasets: What is known of each data set.
        sample: What the Hessian is over, where it is not the training samples that the configuration sets.
        null_models: The null models that the figure shows; by default the one that all figures show.
    """
    lines = [
        _sentence(config, [run for run in runs if run.dataset == name], datasets[name], name, sample)
        for name in dict.fromkeys(run.dataset for run in runs)
    ]
    nulls = null_models or [config["figures"]["null_model"]]
    draws = config["null_models"]["draws"]
    told = "; ".join(f"'{null}' ({NULL_MODELS[null].sentence(draws[null])})" for null in nulls)
    return {
        "runs": " ".join(lines),
        "null": f"the null model{'s' * (len(nulls) > 1)} {told}",
        "ranks": RANKS[min(config["eigenpairs"]["count"], len(RANKS)) - 1],
    }


def _sentence(
    config: Mapping[str, Any], runs: Sequence[Run], dataset: DatasetFacts, name: str, sample: str | None
) -> str:
    seeds = len({run.seed for run in runs})
    parts = []
    for model in dict.fromkeys(run.model for run in runs):
        widths = widths_of(config, model, dataset)
        parts.append(f"{'-'.join(map(str, widths))} perceptron, N = {parameters_of(widths):,} parameters")
    samples, checkpoints = config["eigenpairs"]["samples"], config["training"]["checkpoints"]["count"]
    over = dataset.training_samples if samples == "all" else samples
    return (
        f"{name}: {dataset.training_samples:,} training samples, {', '.join(parts)}; "
        f"{seeds} initialisation{'s' * (seeds > 1)} for each setting; "
        f"{', '.join(dict.fromkeys(_length(config, run) for run in runs))}; {checkpoints} checkpoints; "
        f"Hessian over {sample or f'{over:,} training samples'}."
    )


def _length(config: Mapping[str, Any], run: Run) -> str:
    batches = "full batches" if run.batch_size == "full" else f"batches of {run.batch_size:,}"
    return f"{steps_of(config, run):,} steps with {batches}"

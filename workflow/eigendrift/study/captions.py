"""Captions and settings of figures, filled from the configuration and the runs that a figure shows."""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, TypeVar

from jinja2 import Environment, StrictUndefined

from eigendrift.errors import UserError
from eigendrift.extensions.kinds import Dataset, Figure
from eigendrift.null.models import NULL_MODELS
from eigendrift.study.names import title_of
from eigendrift.study.runs import Run, steps_of
from eigendrift.training.networks import MODELS, kind_of

T = TypeVar("T")

# Figures show three leading ranks at most.
RANKS = ("one", "two", "three")


def settings_of(figure: Figure, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a figure's settings in a study.

    Raises:
        UserError: If a setting names a key that the configuration does not have, or if its function fails.
    """
    values: dict[str, Any] = {}
    for name, where in figure.settings.items():
        if callable(where):
            values[name] = _called(f"for the setting '{name}' of the figure '{figure.name}'", where, config)
            continue
        try:
            values[name] = reduce(lambda group, key: group[key], where.split("."), config)
        except (KeyError, TypeError):
            raise UserError(
                f"The figure '{figure.name}' takes its setting '{name}' from the key '{where}', which the "
                "configuration does not have; fix its settings."
            ) from None
    return values


def is_wanted(figure: Figure, config: Mapping[str, Any]) -> bool:
    """Return whether a study has a figure, as the figure's function ``when`` decides.

    Raises:
        UserError: If the function fails.
    """
    return bool(_called(f"when of the figure '{figure.name}'", figure.when, config))


def _called(what: str, function: Callable[..., T], *arguments: Any) -> T:
    """Return what a declared function returns, and report an error of the function in a sentence."""
    try:
        return function(*arguments)
    except Exception as error:
        raise UserError(f"The function {what} fails with {type(error).__name__}: {error}; fix it.") from error


def caption_of(
    name: str, caption: str, facts: Mapping[str, str], settings: Mapping[str, Any], config: Mapping[str, Any]
) -> str:
    """Return a caption with its placeholders filled in.

    Args:
        name: Name of the figure.
        caption: The caption with Jinja placeholders, such as ``{{ runs }}``.
        facts: See `facts_of`.
        settings: See `settings_of`.
        config: The configuration.

    Raises:
        UserError: If a placeholder cannot be filled in.
    """
    try:
        template = Environment(undefined=StrictUndefined).from_string(caption)
        return template.render(**facts, settings=settings, config=config)
    except Exception as error:
        raise UserError(
            f"The caption of the figure '{name}' cannot be filled in, {type(error).__name__}: {error}; fix it."
        ) from None


def parameters_on(config: Mapping[str, Any], model: str, dataset: Dataset) -> int | None:
    """Return the number of parameters, N, of a network on a data set; None if its kind does not count them.

    Raises:
        UserError: If the function of a plug-in's network fails.
    """
    number: int | None = _declared(config, model, dataset, "parameters", int)
    return number


def _network(config: Mapping[str, Any], model: str, dataset: Dataset) -> str:
    """Return the name of a network on a data set in captions, such as ``784-32-10 perceptron, N = …``."""
    title = _declared(config, model, dataset, "title", str) or f"{kind_of(config['models'][model])} {model}"
    number = parameters_on(config, model, dataset)
    return title if number is None else f"{title}, N = {number:,} parameters"


def _declared(config: Mapping[str, Any], model: str, dataset: Dataset, what: str, kind: Callable[[Any], Any]) -> Any:
    settings = config["models"][model]
    function = getattr(MODELS[kind_of(settings)], what)
    if function is None:
        return None
    return _called(
        f"{what} of the network '{kind_of(settings)}'",
        lambda: kind(function(settings, dataset.image_shape, dataset.classes)),
    )


def facts_of(
    config: Mapping[str, Any],
    runs: Sequence[Run],
    datasets: Mapping[str, Dataset],
    null_models: Sequence[str] = (),
) -> dict[str, str]:
    """Return the facts on some runs that captions state.

    ``training``: data, network, N, seeds, steps and learning rates. ``runs``: the same, and the Hessian.
    ``null``: the null models. ``ranks``: the largest number of leading eigenvectors in a figure, as a word.
    ``full_batch``: the end of a sentence that compares the number of samples seen by full batches with other
    batches; empty if the numbers are equal.

    Args:
        config: The configuration.
        runs: Runs that a figure shows.
        datasets: The declaration of each data set.
        null_models: The null models that the figure shows; by default only the one of ``figures.null_model``.
    """
    names = list(dict.fromkeys(run.dataset for run in runs))
    own = {name: [run for run in runs if run.dataset == name] for name in names}
    trainings = {name: f"{name}: {_training(config, own[name], datasets[name])}" for name in names}
    samples = config["eigenpairs"]["samples"]
    taken = {name: datasets[name].training_samples if samples == "all" else samples for name in names}
    nulls = null_models or [config["figures"]["null_model"]]
    draws = config["null_models"]["draws"]
    described = "; ".join(f"'{null}' ({NULL_MODELS[null].sentence(draws[null])})" for null in nulls)
    return {
        "training": " ".join(f"{trainings[name]}." for name in names),
        "runs": " ".join(f"{trainings[name]}; Hessian over {taken[name]:,} training samples." for name in names),
        "null": f"the null model{'s' * (len(nulls) > 1)} {described}",
        "ranks": RANKS[min(config["eigenpairs"]["count"], len(RANKS)) - 1],
        "full_batch": _full_batch(config, runs, datasets),
    }


def _training(config: Mapping[str, Any], runs: Sequence[Run], dataset: Dataset) -> str:
    seeds = len({run.seed for run in runs})
    parts = [_network(config, model, dataset) for model in dict.fromkeys(run.model for run in runs)]
    rates = dict.fromkeys((run.optimizer, run.learning_rate) for run in runs)
    facts = [
        f"{dataset.training_samples:,} training samples, {', '.join(parts)}",
        f"{seeds} initialization{'s' * (seeds > 1)} for each setting",
        ", ".join(dict.fromkeys(_length(config, run) for run in runs)),
    ]
    # Where learning rates vary, the figure shows them.
    if len(rates) == len({optimizer for optimizer, _ in rates}):
        listed = ", ".join(f"{title_of(name)} {rate:g}" for name, rate in rates)
        facts.append(f"learning rate{'s' * (len(rates) > 1)} {listed}")
    return "; ".join([*facts, f"{config['training']['checkpoints']['count']} checkpoints"])


def _full_batch(config: Mapping[str, Any], runs: Sequence[Run], datasets: Mapping[str, Dataset]) -> str:
    """Return how many times as many samples full batches see as other batches."""
    full = [run for run in runs if run.batch_size == "full"]
    others = [run for run in runs if run.batch_size != "full"]
    if not full or not others:
        return ""
    seen = steps_of(config, full[0]) * datasets[full[0].dataset].training_samples
    times = seen / (steps_of(config, others[0]) * int(others[0].batch_size))
    if round(times, 1) == 1:
        return ""
    return f", with which it sees about {float(f'{times:.2g}'):,g} times as many samples as the others"


def _length(config: Mapping[str, Any], run: Run) -> str:
    batches = "full batches" if run.batch_size == "full" else f"batches of {run.batch_size:,}"
    return f"{steps_of(config, run):,} steps with {batches}"

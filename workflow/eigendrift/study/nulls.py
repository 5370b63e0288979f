"""The null models of a study, and what decides their draws."""

from collections.abc import Mapping, Sequence
from typing import Any

from eigendrift.null.models import NULL_MODELS
from eigendrift.study.runs import runs_of, solver_settings, training_settings

# What a null model's name stands behind where it is applied to networks without training.
UNTRAINED = "untrained-"
# What it stands behind where its draws have as many eigenpairs as some checkpoints of runs.
WIDE = "wide-"


def null_names(config: Mapping[str, Any]) -> list[str]:
    """Return all that a study draws from: its null models, the `untrained_names`, and the `wide_name`."""
    return [*config["null_models"]["names"], *untrained_names(config), wide_name(config)]


def wide_name(config: Mapping[str, Any]) -> str:
    """Return the null model that figures and claims use, its draws with ``wide_count`` eigenpairs."""
    return f"{WIDE}{config['figures']['null_model']}"


def untrained_names(config: Mapping[str, Any]) -> list[str]:
    """Return what is drawn at untrained networks only, to validate the null models.

    ``untrained-observed`` are the networks that training starts from; null models of trained networks are
    applied to others of their kind.
    """
    names = [name for name in config["null_models"]["names"] if NULL_MODELS[name].of_training]
    return [f"{UNTRAINED}{name}" for name in ("observed", *names)]


def null_settings(config: Mapping[str, Any], dataset: str, model: str, null: str) -> dict[str, Any]:
    """Return everything that decides the draws of a null model, as plain values.

    Args:
        config: The configuration.
        dataset: Name of the data set.
        model: Name of the network.
        null: One of `null_names`.

    Returns:
        ``trainings`` has the settings of the main experiment's trainings, without seed, one for each
        optimizer; it is empty where draws belong to none.
    """
    name, nulls = null.removeprefix(UNTRAINED).removeprefix(WIDE), config["null_models"]
    untrained, wide = null.startswith(UNTRAINED), null.startswith(WIDE)
    return {
        "dataset": dataset,
        "model": {"name": model, **config["models"][model]},
        "null_model": name,
        "draws": nulls["validation"]["draws"] if untrained else nulls["draws"]["wide" if wide else name],
        "trainings": [] if untrained or not NULL_MODELS[name].of_training else _trainings(config, dataset),
        "eigenpairs": solver_settings(config, "wide_count" if wide else "count"),
    }


def _trainings(config: Mapping[str, Any], dataset: str) -> Sequence[dict[str, Any]]:
    settings = [
        training_settings(config, run)
        for run in runs_of(config, "main")
        if run.dataset == dataset and run.seed == 0
    ]
    # How often runs are looked at changes nothing where they end.
    return [{key: one[key] for key in one if key not in ("seed", "checkpoints")} for one in settings]

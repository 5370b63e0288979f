"""The null models of a study: what each keeps and destroys, and what decides its draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eigendrift.study.runs import runs_of, solver_settings, training_settings

# What a null model's name stands behind where it is applied to networks without training.
UNTRAINED = "untrained-"
# What it stands behind where its draws have as many eigenpairs as some checkpoints of runs.
WIDE = "wide-"


@dataclass(frozen=True)
class NullFacts:
    """What readers must know of a null model.

    Attributes:
        draws: What its draws are, with a place for their number.
        keeps: What of a trained network they share.
        destroys: What they know nothing of.
        of_training: Whether draws belong to an optimizer of the main experiment.
    """

    draws: str
    keeps: str
    destroys: str
    of_training: bool = False

    def sentence(self, draws: int) -> str:
        """Say all of it, given the number of draws."""
        return f"{self.draws.format(draws)}; keeps {self.keeps}, destroys {self.destroys}"


NULL_MODELS = {
    "isotropic": NullFacts(
        "{} draws of random directions", "the number of parameters", "architecture, data and training"
    ),
    "reinitialized": NullFacts(
        "the Hessian at {} fresh initialisations",
        "architecture, data and the distribution of initial weights",
        "all that training does",
    ),
    "permuted": NullFacts(
        "the Hessian at the final weights of the main experiment's runs, permuted within each weight matrix "
        "and bias vector, {} draws shared among the optimizers",
        "architecture, data and each layer's trained weights as a set",
        "how they are arranged",
        of_training=True,
    ),
    "shuffled_labels": NullFacts(
        "the Hessian at the end of {} trainings, shared among the optimizers, on labels shuffled among the "
        "training samples, and over these samples",
        "architecture, initialisation, images, class frequencies, optimizer and length of training",
        "what there is to learn about the images",
        of_training=True,
    ),
}


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

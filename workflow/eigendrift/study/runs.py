"""The runs and null models of a study: names, settings and directories."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from eigendrift.extensions.kinds import Dataset
from eigendrift.null.models import NULL_MODELS

WHOLE = "all"


def subset_name(dataset: str, training_samples: int | str) -> str:
    """Return the name of a data set with so many training samples, such as ``digits-200``.

    Args:
        dataset: Name of the whole data set.
        training_samples: Their number, or ``all``, which is the data set itself.
    """
    return dataset if training_samples == WHOLE else f"{dataset}-{training_samples}"


def parts_of(name: str) -> tuple[str, int | str]:
    """Return the data set and the number of training samples of a name from `subset_name`."""
    dataset, _, samples = name.partition("-")
    return dataset, int(samples) if samples else WHOLE


def with_subsets(config: Mapping[str, Any], datasets: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Return the declarations of all data sets, and of the training sets of reduced size in a study.

    Args:
        config: The configuration.
        datasets: The declaration of each whole data set.
    """
    found = dict(datasets)
    for experiment in config["experiments"].values():
        for dataset in experiment["datasets"]:
            for size in experiment.get("training_samples", [WHOLE]):
                if size != WHOLE:
                    found[subset_name(dataset, size)] = replace(datasets[dataset], training_samples=size)
    return found


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        dataset: Name of the data set, for one with fewer training samples as in `subset_name`.
        model: Name of the network in the configuration.
        optimizer: Name of the optimizer.
        batch_size: Samples per step, or ``full``.
        learning_rate: Learning rate of the optimizer.
        seed: Number of the initialization.
    """

    dataset: str
    model: str
    optimizer: str
    batch_size: int | str
    learning_rate: float
    seed: int

    @property
    def directory(self) -> str:
        """The directory of the run's stores, below ``results/<study>/runs/``."""
        return (
            f"{self.dataset}/{self.model}/{self.optimizer}/"
            f"batch{self.batch_size}-lr{self.learning_rate!r}/seed{self.seed}"
        )


def runs_of(config: Mapping[str, Any], experiment: str) -> list[Run]:
    """Return the runs of one experiment, in the configuration's order.

    Data sets come first, then their sizes, optimizers, batch sizes, learning rates, and seeds.
    """
    chosen = config["experiments"][experiment]
    own_rates, sizes = chosen.get("learning_rate", {}), chosen["batch_size"]
    return [
        Run(
            dataset=subset_name(dataset, samples),
            model=chosen["model"],
            optimizer=optimizer,
            batch_size=batch_size,
            # 1 and 1.0 are one learning rate, and one directory.
            learning_rate=float(learning_rate),
            seed=seed,
        )
        for dataset in chosen["datasets"]
        for samples in chosen.get("training_samples", [WHOLE])
        for optimizer in chosen["optimizers"]
        for batch_size in (sizes if isinstance(sizes, list) else [sizes])
        for learning_rate in own_rates.get(optimizer, [config["optimizers"][optimizer]["learning_rate"]])
        for seed in range(chosen["seeds"])
    ]


def all_runs(config: Mapping[str, Any]) -> dict[str, Run]:
    """Return every run of the study by its directory; runs that experiments share appear once."""
    return {run.directory: run for name in config["experiments"] for run in runs_of(config, name)}


def steps_key(config: Mapping[str, Any], run: Run) -> str:
    """Return the key of ``training`` that sets the length of a run, see `steps_of`."""
    usual = config["experiments"]["main"]["batch_size"]
    return "full_batch_steps" if run.batch_size != usual and "full" in (run.batch_size, usual) else "steps"


def steps_of(config: Mapping[str, Any], run: Run) -> int:
    """Return how many steps a run takes.

    ``training.steps`` is the number for the main experiment's batch size, b. With batches of B samples, a run takes
    steps × b / B steps, so that it sees as many samples. This rule would leave full batches too few steps to train. If
    either b or B is the full batch, but not both, the run takes ``training.full_batch_steps`` steps.
    """
    steps = int(config["training"][steps_key(config, run)])
    usual = config["experiments"]["main"]["batch_size"]
    if isinstance(run.batch_size, str) or isinstance(usual, str):
        return steps
    return max(1, round(steps * int(usual) / run.batch_size))


def data_settings(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return all settings that determine a data set's samples, as plain values.

    Args:
        config: The configuration.
        name: A name from `subset_name`.
    """
    dataset, samples = parts_of(name)
    return {"dataset": dataset, "training_samples": samples, "input_scaling": config["input_scaling"]}


def training_settings(config: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Return all settings that determine a run's trajectory, as plain values."""
    optimizer = {**config["optimizers"][run.optimizer], "learning_rate": run.learning_rate}
    return {
        "dataset": run.dataset,
        "model": {"name": run.model, **config["models"][run.model]},
        "optimizer": {"name": run.optimizer, **optimizer},
        "batch_size": run.batch_size,
        "seed": run.seed,
        "steps": steps_of(config, run),
        "checkpoints": config["training"]["checkpoints"],
    }


def solver_settings(config: Mapping[str, Any], pairs: str = "count") -> dict[str, Any]:
    """Return all settings that determine leading eigenpairs, as plain values.

    Args:
        config: The configuration.
        pairs: The key of ``eigenpairs`` with their number: ``count`` or ``wide_count``.
    """
    # A job must not rerun because of a number of pairs that it does not compute.
    left_out = ("wide_count", "wide_every", "preconditioned_seeds")
    settings = {key: value for key, value in config["eigenpairs"].items() if key not in left_out}
    return {**settings, "count": config["eigenpairs"][pairs]}


# Prefix of the names of null models that are applied to networks without training.
UNTRAINED = "untrained-"
# Prefix of the names of null models whose draws have as many eigenpairs as some checkpoints of runs.
WIDE = "wide-"


def null_names(config: Mapping[str, Any]) -> list[str]:
    """Return the names of all draws of a study: its null models, `untrained_names` and `wide_name`."""
    return [*config["null_models"]["names"], *untrained_names(config), wide_name(config)]


def wide_name(config: Mapping[str, Any]) -> str:
    """Return the name of the draws with ``wide_count`` eigenpairs, of the null model that figures show."""
    return f"{WIDE}{config['figures']['null_model']}"


def untrained_names(config: Mapping[str, Any]) -> list[str]:
    """Return the names of draws at untrained networks, which validate the null models.

    ``untrained-observed`` are the networks that training starts from; null models of trained networks are applied to
    others of their kind.
    """
    names = [name for name in config["null_models"]["names"] if NULL_MODELS[name].of_training]
    return [f"{UNTRAINED}{name}" for name in ("observed", *names)]


def null_settings(config: Mapping[str, Any], dataset: str, model: str, null: str) -> dict[str, Any]:
    """Return all settings that determine the draws of a null model, as plain values.

    Args:
        config: The configuration.
        dataset: Name of the data set.
        model: Name of the network.
        null: One of `null_names`.

    Returns:
        Settings, in which ``trainings`` has those of the main experiment's trainings, without seed, one for each
        optimizer. It is empty if draws belong to no optimizer.
    """
    name, nulls = null.removeprefix(UNTRAINED).removeprefix(WIDE), config["null_models"]
    untrained, wide = null.startswith(UNTRAINED), null.startswith(WIDE)
    runs = runs_of(config, "main") if not untrained and NULL_MODELS[name].of_training else []
    trainings = [training_settings(config, run) for run in runs if run.dataset == dataset and run.seed == 0]
    # The number of checkpoints does not change the final weights.
    left_out = ("seed", "checkpoints")
    return {
        "dataset": dataset,
        "model": {"name": model, **config["models"][model]},
        "null_model": name,
        "draws": nulls["validation"]["draws"] if untrained else nulls["draws"]["wide" if wide else name],
        "trainings": [{key: one[key] for key in one if key not in left_out} for one in trainings],
        "eigenpairs": solver_settings(config, "wide_count" if wide else "count"),
    }


TRAINING_SIZES = "training_sizes"
COMPARED = ("sgd", "adam")


def runs_of_regimes(config: Mapping[str, Any]) -> list[Run]:
    """Return the runs of the regimes: the experiment's, and other seeds of the same settings."""
    own = [run for run in runs_of(config, TRAINING_SIZES) if run.optimizer in COMPARED]
    settings = {replace(run, seed=0) for run in own}
    return [run for run in all_runs(config).values() if replace(run, seed=0) in settings]


def regimes_settings(config: Mapping[str, Any], datasets: Mapping[str, Dataset]) -> dict[str, Any]:
    """Return all other settings of the claims in regimes, as plain values.

    Args:
        config: The configuration.
        datasets: The declaration of each data set, with subsets.

    Returns:
        ``sets``: for each training set the whole data set and the number of samples. ``pairs``: learning
        rates of SGD and Adam that are compared, those at the same position in their lists. ``lengths``: shares of the
        training. ``claims``: settings of the decisions.
    """
    runs, own = runs_of_regimes(config), runs_of(config, TRAINING_SIZES)
    rates = [list(dict.fromkeys(run.learning_rate for run in own if run.optimizer == name)) for name in COMPARED]
    return {
        "sets": {run.dataset: [parts_of(run.dataset)[0], datasets[run.dataset].training_samples] for run in runs},
        "pairs": [list(pair) for pair in zip(*rates, strict=True)],
        "lengths": config["experiments"][TRAINING_SIZES].get("training_lengths", [1]),
        "claims": {
            "lag": config["metrics"]["lag"],
            **{key: config["claims"][key] for key in ("confidence", "resamples", "smallest_effect")},
        },
    }

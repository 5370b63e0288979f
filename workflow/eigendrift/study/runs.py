"""The runs of a study: what each one computes and the directory that spells it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eigendrift.study.subsets import WHOLE, parts_of, subset_name


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        dataset: Name of the data set, of one with fewer training samples as `subset_name` has it.
        model: Name of the network in the configuration.
        optimizer: Name of the optimizer.
        batch_size: Samples per step, or ``full``.
        learning_rate: Learning rate of the optimizer.
        seed: Number of the initialisation.
    """

    dataset: str
    model: str
    optimizer: str
    batch_size: int | str
    learning_rate: float
    seed: int

    @property
    def directory(self) -> str:
        """Where the run's stores lie, below ``results/<study>/runs/``."""
        return (
            f"{self.dataset}/{self.model}/{self.optimizer}/"
            f"batch{self.batch_size}-lr{self.learning_rate!r}/seed{self.seed}"
        )


def runs_of(config: Mapping[str, Any], experiment: str) -> list[Run]:
    """List the runs of one experiment, in the config's order.

    Data sets come first, then their sizes, optimizers, batch sizes, learning rates, and seeds.
    """
    chosen = config["experiments"][experiment]
    own_rates = chosen.get("learning_rate", {})
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
        for batch_size in _listed(chosen["batch_size"])
        for learning_rate in own_rates.get(optimizer, [config["optimizers"][optimizer]["learning_rate"]])
        for seed in range(chosen["seeds"])
    ]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def all_runs(config: Mapping[str, Any]) -> dict[str, Run]:
    """Return every run of the study by its directory; runs that experiments share appear once."""
    return {run.directory: run for name in config["experiments"] for run in runs_of(config, name)}


def steps_key(config: Mapping[str, Any], run: Run) -> str:
    """Return which key of ``training`` the length of a run comes from, see `steps_of`."""
    usual = config["experiments"]["main"]["batch_size"]
    return "full_batch_steps" if run.batch_size != usual and "full" in (run.batch_size, usual) else "steps"


def steps_of(config: Mapping[str, Any], run: Run) -> int:
    """Return how many steps a run takes.

    ``training.steps`` is meant for the main experiment's batch size, b. With batches of B samples a run takes
    steps × b / B, so that it sees as many samples. A full batch would leave too few steps to train at all:
    where either b or B is the full batch, but not both, ``training.full_batch_steps`` says how many.
    """
    steps = int(config["training"][steps_key(config, run)])
    usual = config["experiments"]["main"]["batch_size"]
    if isinstance(run.batch_size, str) or isinstance(usual, str):
        return steps
    return max(1, round(steps * int(usual) / run.batch_size))


def data_settings(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return everything that decides a data set's samples, as plain values.

    Args:
        config: The configuration.
        name: A name from `subset_name`.
    """
    dataset, samples = parts_of(name)
    return {"dataset": dataset, "training_samples": samples, "input_scaling": config["input_scaling"]}


def training_settings(config: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Return everything that decides a run's trajectory, as plain values."""
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
    """Return everything that decides leading eigenpairs, as plain values.

    Args:
        config: The configuration.
        pairs: The key of ``eigenpairs`` that says how many: ``count`` or ``wide_count``.
    """
    settings = {**config["eigenpairs"], "count": config["eigenpairs"][pairs]}
    # What asks for one number of pairs must not run again because another one changed.
    for key in ("wide_count", "wide_every", "preconditioned_seeds"):
        del settings[key]
    return settings

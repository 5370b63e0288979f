"""The runs of a study: what each one computes and the directory that spells it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        dataset: Name of the data set.
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
    """List the runs of one experiment: data sets, then optimizers, then seeds, in the config's order."""
    chosen = config["experiments"][experiment]
    return [
        Run(
            dataset=dataset,
            model=chosen["model"],
            optimizer=optimizer,
            batch_size=chosen["batch_size"],
            learning_rate=config["optimizers"][optimizer]["learning_rate"],
            seed=seed,
        )
        for dataset in chosen["datasets"]
        for optimizer in chosen["optimizers"]
        for seed in range(chosen["seeds"])
    ]


def all_runs(config: Mapping[str, Any]) -> dict[str, Run]:
    """Return every run of the study by its directory; runs that experiments share appear once."""
    return {run.directory: run for name in config["experiments"] for run in runs_of(config, name)}


def training_settings(config: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Return everything that decides a run's trajectory, as plain values."""
    optimizer, model, training = (
        config["optimizers"][run.optimizer],
        config["models"][run.model],
        config["training"],
    )
    return {
        "dataset": run.dataset,
        "model": {"name": run.model, **model},
        "optimizer": {"name": run.optimizer, **optimizer},
        "batch_size": run.batch_size,
        "seed": run.seed,
        "steps": training["steps"],
        "checkpoints": training["checkpoints"],
    }


def null_settings(config: Mapping[str, Any], dataset: str, model: str, null_model: str) -> dict[str, Any]:
    """Return everything that decides the draws of a null model, as plain values."""
    return {
        "dataset": dataset,
        "model": {"name": model, **config["models"][model]},
        "null_model": null_model,
        "draws": config["null_models"]["draws"],
        "eigenpairs": config["eigenpairs"],
    }

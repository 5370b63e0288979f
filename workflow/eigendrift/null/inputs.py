"""The inputs of a null model's draws: data, network, and the trainings that the draws belong to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch.nn.utils import parameters_to_vector

from eigendrift.data.samples import Samples
from eigendrift.eigenpairs.landscape import Landscape
from eigendrift.errors import UserError
from eigendrift.null.models import NULL_MODELS
from eigendrift.stores.progress import Progress
from eigendrift.training.torch_networks import initial_model
from eigendrift.training.trajectory import train


@dataclass(frozen=True)
class NullInputs:
    """The inputs of a null model's draws.

    Attributes:
        samples: Data set.
        landscape: The loss that the null model is about: network and samples of the Hessian.
        settings: ``null_model``, ``draws``, ``model``, ``eigenpairs`` and ``trainings``, see
            `eigendrift.study.runs.null_settings`.
        device: Where to compute.
        progress: Keeps finished draws and the training of the next draw.
        ends: Weights at the end of the main experiment's runs, float32 (N,), by optimizer and seed; empty if the null
            model does not need them.
    """

    samples: Samples
    landscape: Landscape
    settings: Mapping[str, Any]
    device: torch.device
    progress: Progress
    ends: Sequence[Sequence[np.ndarray]] = ()

    @property
    def optimizers(self) -> int:
        """Number of optimizers that share the draws; 0 if draws belong to no optimizer."""
        return len(self.settings["trainings"])

    def optimizer_of(self, draw: int) -> int:
        """Return the index of a draw's optimizer in ``trainings``, -1 if it has none."""
        return draw % self.optimizers if self.optimizers else -1

    def seed_of(self, draw: int) -> int:
        """Return the number of a draw among its optimizer's draws, which is the seed of its training."""
        return draw // self.optimizers if self.optimizers else draw

    def end_of(self, draw: int) -> np.ndarray:
        """Return the final weights of the main experiment's run that a draw belongs to; seeds take turns.

        Without trainings these are the weights of an untrained network. It is not the network of the same number,
        because the null model is compared with that one.

        Raises:
            UserError: If the null model does not declare that it needs final weights.
        """
        self._require("needs_ends")
        if not self.optimizers:
            return self.initial(self.settings["draws"] + draw)
        of_seeds = self.ends[self.optimizer_of(draw)]
        return of_seeds[self.seed_of(draw) % len(of_seeds)]

    def initial(self, seed: int) -> np.ndarray:
        """Return the weights, float32 (N,), that training starts from with a seed."""
        rows, columns = self.samples.train_images.shape[1:]
        model = initial_model(self.settings["model"], (rows, columns), self.samples.classes, seed)
        return parameters_to_vector(model.parameters()).detach().numpy()

    def trained_on(self, samples: Samples, draw: int) -> np.ndarray:
        """Return the final weights of the main experiment's training on other samples, NaN if it diverged.

        Without trainings these are the weights of an untrained network, which `end_of` does not use either.

        Raises:
            UserError: If the null model is not declared as a null model of trained networks.
        """
        self._require("of_training")
        if not self.optimizers:
            return self.initial(2 * self.settings["draws"] + draw)
        # Only the end of a training matters.
        own = {"seed": self.seed_of(draw), "checkpoints": {"count": 2, "spacing": "linear"}}
        settings = self.settings["trainings"][self.optimizer_of(draw)] | own
        with self.progress.part(f"training-{draw}") as progress:
            *_, last = train(samples, settings, self.device, progress, f"training of draw {draw}").columns["weights"]
            return last

    def _require(self, declared: str) -> None:
        name = self.settings["null_model"]
        if not getattr(NULL_MODELS[name], declared):
            raise UserError(
                f"The null model '{name}' needs trained networks, so declare it with of_training=True, "
                "and with needs_ends=True if it uses the ends of the main experiment's runs."
            )


def ends_of(trajectories: Sequence[xr.Dataset], trainings: Sequence[Mapping[str, Any]]) -> list[list[np.ndarray]]:
    """Return the final weights of runs, float32 (N,), by optimizer, in the order of ``trainings``, and seed.

    Args:
        trajectories: Trajectory stores of the main experiment's runs.
        trainings: Settings of a training with each optimizer.
    """
    ends: dict[str, list[np.ndarray]] = {training["optimizer"]["name"]: [] for training in trainings}
    for trajectory in trajectories:
        ends[trajectory.attrs["settings"]["optimizer"]["name"]].append(trajectory["weights"][-1].values)
    return list(ends.values())

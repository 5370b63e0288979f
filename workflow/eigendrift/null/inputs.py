"""What the draws of a null model are made from: data, network, and the trainings that they belong to."""

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

# Only where a training ends matters.
CHECKPOINTS = {"count": 2, "spacing": "linear"}


@dataclass(frozen=True)
class NullInputs:
    """What the draws of a null model are made from.

    Attributes:
        samples: Data set.
        landscape: The loss that it is a null model of: network and samples of the Hessian.
        settings: ``null_model``, ``draws``, ``model``, ``eigenpairs`` and ``trainings``, see `null_settings`.
        device: Where to compute.
        progress: Keeps finished draws and the training of the next one.
        ends: Weights at the end of the main experiment's runs, float32 (N,), by optimizer and seed; empty if
            the null model does not ask for them.
    """

    samples: Samples
    landscape: Landscape
    settings: Mapping[str, Any]
    device: torch.device
    progress: Progress
    ends: Sequence[Sequence[np.ndarray]] = ()

    @property
    def optimizers(self) -> int:
        """How many optimizers the draws are shared among; 0 if they belong to none."""
        return len(self.settings["trainings"])

    def optimizer_of(self, draw: int) -> int:
        """Return the place of a draw's optimizer in ``trainings``, -1 if it has none."""
        return draw % self.optimizers if self.optimizers else -1

    def seed_of(self, draw: int) -> int:
        """Return the number of a draw among those of its optimizer, a seed of its training."""
        return draw // self.optimizers if self.optimizers else draw

    def end_of(self, draw: int) -> np.ndarray:
        """Return the final weights of the main experiment's run that a draw belongs to; seeds take turns.

        Where there is no training, of an untrained network instead: another one than that of the same number,
        with which the null model is compared.

        Raises:
            UserError: The null model does not declare that it needs them.
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
        """Train as the main experiment does, on other samples; return the final weights, NaN if diverged.

        Where there is no training, of an untrained network instead, which is not that of `end_of` either.

        Raises:
            UserError: The null model is not declared as one of trained networks.
        """
        self._require("of_training")
        if not self.optimizers:
            return self.initial(2 * self.settings["draws"] + draw)
        own = {"seed": self.seed_of(draw), "checkpoints": CHECKPOINTS}
        settings = {**self.settings["trainings"][self.optimizer_of(draw)], **own}
        with self.progress.part(f"training-{draw}") as progress:
            trajectory = train(samples, settings, self.device, progress, f"training of draw {draw}")
            *_, last = trajectory.columns["weights"]
            return last

    def _require(self, declared: str) -> None:
        name = self.settings["null_model"]
        if not getattr(NULL_MODELS[name], declared):
            raise UserError(
                f"The null model '{name}' asks for trained networks, so declare it with of_training=True, "
                "and with needs_ends=True if it takes ends of the main experiment's runs."
            )


def ends_of(
    trajectories: Sequence[xr.Dataset], trainings: Sequence[Mapping[str, Any]]
) -> list[list[np.ndarray]]:
    """Return the final weights of runs, float32 (N,), by optimizer, in the order of ``trainings``, and seed.

    Args:
        trajectories: Trajectory stores of the main experiment's runs.
        trainings: Settings of a training with each optimizer.
    """
    names = [training["optimizer"]["name"] for training in trainings]
    ends: list[list[np.ndarray]] = [[] for _ in names]
    for trajectory in trajectories:
        optimizer = trajectory.attrs["settings"]["optimizer"]["name"]
        ends[names.index(optimizer)].append(trajectory["weights"][-1].values)
    return ends

"""Training one run and recording its trajectory."""

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector

from eigendrift.data.samples import Samples
from eigendrift.errors import UserError
from eigendrift.numerics import generator, seed_from
from eigendrift.stores.progress import Progress
from eigendrift.stores.writing import Column
from eigendrift.tracking import Tracker, tracked
from eigendrift.training.checkpoints import checkpoint_steps, diverged_from
from eigendrift.training.optimizers import OPTIMIZERS
from eigendrift.training.torch_networks import check_network, initial_model
from eigendrift.training.torch_optimizers import build_optimizer, second_moment

logger = logging.getLogger(__name__)

STEPS_BETWEEN_CHECKS = 100
SECONDS_BETWEEN_SAVES = 30.0
EVALUATION_CHUNK = 10_000


class BatchOrder:
    """The order in which a run visits its training samples, the same for every optimizer.

    Each epoch is a new permutation, cut into batches of equal size. A remainder that does not fill a batch is left out
    of that epoch, so every step sees the same number of samples. The order depends only on the seed and the step, so a
    resumed run needs no state of it.

    Args:
        samples: Size of the training set.
        batch_size: Samples per step, or ``full`` for all of them without a permutation.
        seed: Number of the initialization.
        device: Device of the indices.

    Raises:
        UserError: If the batch is larger than the training set.
    """

    def __init__(self, samples: int, batch_size: int | str, seed: int, device: torch.device) -> None:
        if isinstance(batch_size, int) and batch_size > samples:
            raise UserError(
                f"Config key 'batch_size' of the experiment is {batch_size}, but the training set has only "
                f"{samples} samples; lower it or set it to full."
            )
        self._samples = samples
        self._batch_size = batch_size
        self._seed = seed
        self._device = device
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64, device=device)

    def indices(self, step: int) -> torch.Tensor | slice:
        """Return the samples of one step, int64 (batch,); for a full batch a slice, which copies nothing."""
        if isinstance(self._batch_size, str):
            return slice(None)
        epoch, position = divmod(step, self._samples // self._batch_size)
        if epoch != self._epoch:
            draw = generator("batches", self._seed, epoch)
            self._order = torch.randperm(self._samples, generator=draw).to(self._device)
            self._epoch = epoch
        return self._order[position * self._batch_size : (position + 1) * self._batch_size]


@dataclass(frozen=True)
class Trajectory:
    """A finished run.

    Attributes:
        columns: The arrays of a trajectory store; NaN from the checkpoint where the run had diverged.
        diverged_at: The step of that checkpoint, or the first step whose loss is not finite, whichever comes first;
            None if the run did not diverge, see `eigendrift.training.checkpoints.diverged_from`.
    """

    columns: dict[str, Column]
    diverged_at: int | None


def train(
    samples: Samples, settings: Mapping[str, Any], device: torch.device, progress: Progress, label: str
) -> Trajectory:
    """Train one run from its first step, or from the state of an interrupted job.

    The loss is the mean cross-entropy, without weight decay or augmentation. ``gradient`` is the mini-batch gradient of
    the step that starts at a checkpoint, and ``update`` is what that step adds to the weights. So one step is taken
    beyond the last checkpoint.

    Args:
        samples: Data set.
        settings: ``model``, ``optimizer``, ``batch_size``, ``seed``, ``steps`` and ``checkpoints``, as in the
            configuration.
        device: Device to train on.
        progress: Keeps records and state, so that a killed job resumes with the same bits.
        label: Name of the run in messages.

    Raises:
        UserError: If the batch is larger than the training set, or if network or optimizer are unsuitable.
    """
    trainee = _Trainee(samples, settings, device)
    steps = checkpoint_steps(settings["steps"], **settings["checkpoints"])
    first = trainee.resume(progress)
    overflow = None
    with tracked(label, settings["steps"], done=min(trainee.step, settings["steps"])) as tracker:
        for index in range(first, len(steps)):
            try:
                trainee.advance(steps[index], progress, index, tracker)
                record = trainee.observe()
            except _OverflowError as overflown:
                overflow = int(overflown.args[0])
                logger.warning("%s diverged: its loss is not finite at step %d.", label, overflow)
                _fill(progress, trainee, range(index, len(steps)))
                break
            progress.save(index, record)
            trainee.save(progress, index + 1)
            tracker.reach(steps[index], f"loss {record['train_loss']:.3g}")
    diverged_at = _mask_divergence(progress, trainee, steps, overflow, label)
    numbers = [name for name, values in trainee.empty_record().items() if not values.ndim]
    vectors = [name for name, values in trainee.empty_record().items() if values.ndim]
    columns = {name: progress.column(name, len(steps)) for name in vectors}
    return Trajectory({"step": np.array(steps), **columns, **progress.stacked(numbers, len(steps))}, diverged_at)


def _mask_divergence(
    progress: Progress, trainee: "_Trainee", steps: list[int], overflow: int | None, label: str
) -> int | None:
    """Fill the records after a divergence with NaN; return the step of the divergence, None if there is none.

    A kill in between changes nothing, because records of NaN count as diverged, too.
    """
    index = diverged_from(np.array(list(progress.column("train_loss", len(steps)))))
    if index is None:
        return None
    _fill(progress, trainee, range(index, len(steps)))
    if overflow is not None and overflow < steps[index]:
        return overflow
    logger.warning("%s diverged: its loss stays above the loss of step 0 from step %d on.", label, steps[index])
    return steps[index]


class _OverflowError(Exception):
    """The loss of a step, the only argument, is not finite."""


class _Trainee:
    """A network in training: weights, optimizer, and the number of the next step."""

    def __init__(self, samples: Samples, settings: Mapping[str, Any], device: torch.device) -> None:
        self.step = 0
        self._device = device
        self._parts = {
            part: (torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device))
            for part, images, labels in (
                ("train", samples.train_images, samples.train_labels),
                ("test", samples.test_images, samples.test_labels),
            )
        }
        rows, columns = samples.train_images.shape[1:]
        seed = settings["seed"]
        network = (settings["model"], (rows, columns), samples.classes)
        self._model = initial_model(*network, seed).to(device)
        self._spec = OPTIMIZERS[settings["optimizer"]["name"]]
        self._optimizer = build_optimizer(self._spec, self._model.parameters(), settings["optimizer"])
        self._order = BatchOrder(len(samples.train_labels), settings["batch_size"], seed, device)
        check_network(self._model, *network, self._parts["train"][0][:2])
        # Networks that draw random numbers in their forward pass, as dropout does, use the global generator.
        torch.manual_seed(seed_from("forward", seed))

    def advance(self, target: int, progress: Progress, records: int, tracker: Tracker) -> None:
        """Take steps up to ``target``, before which there are ``records`` records; may raise _OverflowError."""
        saved_at = time.monotonic()
        while self.step < target:
            start = self.step
            stop = min(target, start + STEPS_BETWEEN_CHECKS)
            losses = torch.stack([self._take_step() for _ in range(start, stop)]).cpu()
            finite = torch.isfinite(losses)
            if not finite.all():
                raise _OverflowError(start + int((~finite).nonzero()[0]))
            if self.step < target:
                tracker.reach(self.step, f"loss {losses[-1]:.3g}")
            if time.monotonic() - saved_at > SECONDS_BETWEEN_SAVES:
                self.save(progress, records)
                saved_at = time.monotonic()

    def observe(self) -> dict[str, np.ndarray]:
        """Record this checkpoint and take its step; may raise _OverflowError for the batch or the training set."""
        weights = self._flat_weights()
        record = {"weights": weights}
        moment = second_moment(self._spec, self._optimizer, self._model.parameters(), self.step)
        if moment is not None:
            record["second_moment"] = moment
        measured = {f"{part}_{name}": value for part in self._parts for name, value in self._evaluate(part).items()}
        batch_loss = self._find_gradient()
        record["gradient"] = self._flat_gradient()
        self._follow_gradient()
        if not (math.isfinite(measured["train_loss"]) and math.isfinite(batch_loss)):
            raise _OverflowError(self.step - 1)
        record["update"] = self._flat_weights() - weights
        arrays = {name: tensor.cpu().numpy() for name, tensor in record.items()}
        return arrays | {name: np.array(value) for name, value in measured.items()}

    def save(self, progress: Progress, records: int) -> None:
        """Save the state from which training resumes, with the number of records before it."""
        state = {
            "step": self.step,
            "records": records,
            "model": self._model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "generator": torch.get_rng_state(),
            "cuda_generator": torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None,
        }
        progress.replace_state(lambda file: torch.save(state, file))

    def resume(self, progress: Progress) -> int:
        """Restore the saved state if there is one; return the number of finished records."""
        if not progress.state_path.exists():
            return 0
        state = progress.read_state(lambda file: torch.load(file, map_location="cpu", weights_only=True))
        self.step = state["step"]
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["generator"])
        if state["cuda_generator"] is not None:
            torch.cuda.set_rng_state(state["cuda_generator"], self._device)
        return int(state["records"])

    def empty_record(self) -> dict[str, np.ndarray]:
        """Return a record of NaN, for checkpoints after a divergence."""
        parameters = self._flat_weights().numel()
        names = ["weights", "gradient", "update"] + ["second_moment"] * bool(self._spec.second_moment)
        measured = [f"{part}_{name}" for part in self._parts for name in ("loss", "accuracy")]
        vectors = {name: np.full(parameters, np.nan, np.float32) for name in names}
        return vectors | {name: np.array(np.nan) for name in measured}

    def _take_step(self) -> torch.Tensor:
        loss = self._find_gradient()
        self._follow_gradient()
        return loss

    def _find_gradient(self) -> torch.Tensor:
        """Compute the gradients of this step's batch; return the loss of the batch."""
        images, labels = self._parts["train"]
        batch = self._order.indices(self.step)
        self._optimizer.zero_grad()
        loss = cross_entropy(self._model(images[batch]), labels[batch])
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _follow_gradient(self) -> None:
        if self._spec.takes_closure:
            self._optimizer.step(self._find_gradient)  # type: ignore[arg-type] # whose loss is a tensor
        else:
            self._optimizer.step()
        self.step += 1

    def _flat_weights(self) -> torch.Tensor:
        return parameters_to_vector(self._model.parameters()).detach()

    def _flat_gradient(self) -> torch.Tensor:
        gradients = [p.new_zeros(p.shape) if p.grad is None else p.grad for p in self._model.parameters()]
        return parameters_to_vector(gradients)

    @torch.no_grad()
    def _evaluate(self, part: str) -> dict[str, float]:
        images, labels = self._parts[part]
        self._model.eval()
        loss, right = 0.0, 0
        for x, y in zip(torch.split(images, EVALUATION_CHUNK), torch.split(labels, EVALUATION_CHUNK), strict=True):
            scores = self._model(x)
            loss += cross_entropy(scores, y, reduction="none").double().sum().item()
            right += int((scores.argmax(1) == y).sum())
        self._model.train()
        return {"loss": loss / len(labels), "accuracy": right / len(labels)}


def _fill(progress: Progress, trainee: _Trainee, indices: range) -> None:
    for index in indices:
        progress.save(index, trainee.empty_record())

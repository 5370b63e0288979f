"""Which samples each step sees: a function of seed and step, the same for every optimizer."""

import torch

from eigendrift.errors import UserError
from eigendrift.numerics import generator


class BatchOrder:
    """The order in which a run visits its training samples.

    Each epoch is a fresh permutation, cut into batches of equal size; a remainder that does not fill a batch
    is left out of that epoch, so every step sees the same number of samples. The order depends on the seed
    and the step alone, which is why a resumed run needs no memory of it.
    """

    def __init__(self, samples: int, batch_size: int | str, seed: int, device: torch.device) -> None:
        """Prepare the order.

        Args:
            samples: Size of the training set.
            batch_size: Samples per step, or ``full`` for all of them, unpermuted.
            seed: Number of the initialisation.
            device: Where the indices are wanted.

        Raises:
            UserError: The batch is larger than the training set.
        """
        if isinstance(batch_size, int) and batch_size > samples:
            raise UserError(
                f"Config key 'batch_size' of the experiment is {batch_size}, but the training set has only "
                f"{samples} samples; lower it or set it to full."
            )
        self._samples = samples
        self._batch_size = samples if isinstance(batch_size, str) else batch_size
        self._permuted = not isinstance(batch_size, str)
        self._seed = seed
        self._device = device
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64, device=device)

    def indices(self, step: int) -> torch.Tensor | slice:
        """Return the samples of one step, int64 (batch,); of a full batch a slice, which copies nothing."""
        if not self._permuted:
            return slice(None)
        epoch, position = divmod(step, self._samples // self._batch_size)
        if epoch != self._epoch:
            draw = generator("batches", self._seed, epoch)
            self._order = torch.randperm(self._samples, generator=draw).to(self._device)
            self._epoch = epoch
        return self._order[position * self._batch_size : (position + 1) * self._batch_size]

"""When a training counts as diverged.

Most learning rates that are too large do not make the loss overflow: it becomes huge, the units die, and it
stays finite. Whether numbers overflow is a matter of their format. So a training has diverged if a loss is
not finite, or if it ends with a higher loss than that of its initialization, where a network does no better
than guessing. What comes back to the initial loss has not diverged, however high it rose: catapults are part
of training with large steps (Lewkowycz et al. 2020, arXiv 2003.02218).
"""

import numpy as np


def diverged_from(losses: np.ndarray) -> int | None:
    """Return the checkpoint from which on a training had diverged.

    Args:
        losses: Training loss at each checkpoint, of which the first is the initialization, (checkpoint,), in
            nat; not finite where it overflowed.

    Returns:
        Index of the first checkpoint after the last one that is no worse than the initialization; None if
        that is the last one.
    """
    with np.errstate(invalid="ignore"):
        sound = np.flatnonzero(losses <= losses[0])
    if not sound.size:
        return 0
    return None if sound[-1] == len(losses) - 1 else int(sound[-1]) + 1

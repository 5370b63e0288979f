"""The checkpoints of a run: at which steps they are, and from which one on the run had diverged."""

import numpy as np


def checkpoint_steps(steps: int, count: int, spacing: str) -> list[int]:
    """Return ``count`` different steps from 0 to ``steps``, both included.

    Args:
        steps: Last step of the run.
        count: Number of checkpoints, from 2 to ``steps + 1``.
        spacing: ``linear``: equal differences. ``logarithmic``: step 0, then equal ratios from step 1 on, as far as
            integers allow.

    Raises:
        ValueError: If ``count`` does not fit, or if the spacing is unknown.
    """
    if not 2 <= count <= steps + 1:  # noqa: PLR2004
        raise ValueError(f"cannot choose {count} different steps from 0 to {steps}")
    if spacing == "linear":
        return [round(i * steps / (count - 1)) for i in range(count)]
    if spacing == "logarithmic":
        ideal = np.geomspace(1, steps, count - 1) if count > 2 else [steps]  # noqa: PLR2004
        found = [0]
        for remaining, step in zip(range(count - 2, -1, -1), ideal, strict=True):
            # Small ratios would repeat a step, and the remaining checkpoints need steps of their own.
            found.append(min(max(round(step), found[-1] + 1), steps - remaining))
        return found
    raise ValueError(f"unknown spacing '{spacing}', expected 'linear' or 'logarithmic'")


def diverged_from(losses: np.ndarray) -> int | None:
    """Return the checkpoint from which on a training had diverged.

    Most learning rates that are too large do not make the loss overflow: it becomes huge, the units die, and the loss
    stays finite. Whether it overflows depends on the number format. So a training has diverged if a loss is not finite,
    or if the last loss is higher than the first, where a network does no better than guessing. A training that returns
    to its initial loss has not diverged, however high its loss rose: catapults are part of training with large steps
    (Lewkowycz et al. 2020, arXiv 2003.02218).

    Args:
        losses: Training loss at each checkpoint, the first one at initialization, (checkpoint,), in nat; not finite
            where it overflowed.

    Returns:
        Index of the checkpoint after the last one whose loss is no higher than the first loss; None if there is no
        checkpoint after it.
    """
    with np.errstate(invalid="ignore"):
        sound = np.flatnonzero(losses <= losses[0])
    if not sound.size:
        return 0
    return None if sound[-1] == len(losses) - 1 else int(sound[-1]) + 1

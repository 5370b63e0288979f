"""The steps at which a run is looked at."""

import numpy as np


def checkpoint_steps(steps: int, count: int, spacing: str) -> list[int]:
    """Choose ``count`` different steps from 0 to ``steps``, both included.

    Args:
        steps: Last step of the run.
        count: How many checkpoints, from 2 to ``steps + 1``.
        spacing: ``linear``: equal differences. ``logarithmic``: step 0, then equal ratios from step 1 on, as
            far as whole numbers allow.

    Raises:
        ValueError: ``count`` does not fit, or the spacing is unknown.
    """
    if not 2 <= count <= steps + 1:  # noqa: PLR2004
        raise ValueError(f"cannot choose {count} different steps from 0 to {steps}")
    if spacing == "linear":
        return [round(i * steps / (count - 1)) for i in range(count)]
    if spacing == "logarithmic":
        ideal = np.geomspace(1, steps, count - 1) if count > 2 else [steps]  # noqa: PLR2004
        chosen = [0]
        for left, step in zip(range(count - 2, -1, -1), ideal, strict=True):
            # Small ratios would repeat a step; room is left for the checkpoints that follow.
            chosen.append(min(max(round(step), chosen[-1] + 1), steps - left))
        return chosen
    raise ValueError(f"unknown spacing '{spacing}', expected 'linear' or 'logarithmic'")

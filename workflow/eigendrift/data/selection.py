"""The fixed sample that a Hessian is taken over."""

import numpy as np

from eigendrift.errors import UserError

SELECTION_SEED = 0


def hessian_sample(labels: np.ndarray, size: int | str) -> np.ndarray:
    """Choose training samples for the Hessian: stratified, ordered, and the same for every run.

    Args:
        labels: int64 (n,), classes of the training set.
        size: How many, or ``all``.

    Returns:
        int64 (size,) ascending indices.

    Raises:
        UserError: More samples are asked for than there are.
    """
    if size == "all" or size == len(labels):
        return np.arange(len(labels))
    if int(size) > len(labels):
        raise UserError(
            f"Config key 'eigenpairs.samples' is {size}, but the training set has only {len(labels)} "
            "samples; lower it or set it to all."
        )
    from sklearn.model_selection import train_test_split

    classes = len(np.unique(labels))
    stratify = labels if classes <= int(size) <= len(labels) - classes else None
    chosen, _ = train_test_split(
        np.arange(len(labels)), train_size=int(size), stratify=stratify, random_state=SELECTION_SEED
    )
    return np.sort(chosen)

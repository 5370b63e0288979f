"""Seeds and draws that are copies of another one, which statistics must not count.

Copies of one replicate, from a plug-in that ignores its seed or from files that were copied, would narrow every
interval down to nothing.

Two runs of one setting are copies if their trainings are equal to the bit. Eigenpairs are not compared, because the
eigensolver starts from random vectors that depend on the seed, so the eigenpairs of equal trainings differ in rounding.
Runs of two settings are never copies: equal trainings are then a result about these settings.

Two draws of a null model are copies if all their results are equal to the bit; the eigensolver starts every draw from
the same vectors. Draws that belong to two optimizers are never copies, because a null model may train all optimizers
from the same start.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np
import xarray as xr

from eigendrift.digests import digest_parts
from eigendrift.metrics.draws import select_draws

logger = logging.getLogger(__name__)

# The arrays of a metrics store that the training alone decides, without the eigenpairs.
FROM_TRAINING = ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "weight_displacement")
# Attributes of `eigendrift.metrics.collection.read_run` that name a setting in messages.
NAMED_BY = ("dataset", "optimizer", "batch_size", "learning_rate")


def copies(runs: xr.Dataset) -> dict[int, int]:
    """Return the seeds whose training is equal to the bit to that of an earlier seed.

    Args:
        runs: Metrics of the runs of one setting, with the dimension seed. If there is a variable ``copy_of`` (seed,),
            it says which seeds were copies before their results were removed.

    Returns:
        The earlier seed, by the seed that is a copy of it. A run without any finite number is no copy.
    """
    arrays = [runs[name].transpose("seed", ...).values for name in FROM_TRAINING if name in runs]
    found = repeated(runs["seed"].values.tolist(), arrays)
    if "copy_of" not in runs:
        return found
    known = runs["copy_of"].dropna("seed")
    found |= {int(seed): int(original) for seed, original in zip(known["seed"], known, strict=True)}
    return dict(sorted(found.items()))


def repeated(
    labels: Sequence[int],
    arrays: Iterable[np.ndarray | Sequence[np.ndarray]],
    groups: Sequence[Hashable] | None = None,
) -> dict[int, int]:
    """Return the entries that are equal to the bit to an earlier entry of the same group.

    Args:
        labels: Name of each entry.
        arrays: What is compared; the first dimension counts entries. Any NaN is equal to any other NaN.
        groups: Group of each entry; by default all entries are in one group.

    Returns:
        The label of the first equal entry, by the label of each later one. An entry without any finite number is equal
        to no other.
    """
    listed = list(arrays)
    first: dict[tuple[Hashable, str], int] = {}
    found: dict[int, int] = {}
    for index, label in enumerate(labels):
        if (digest := _digest(array[index] for array in listed)) is not None:
            original = first.setdefault((groups[index] if groups else None, digest), label)
            if original != label:
                found[label] = original
    return found


def distinct(runs: Iterable[xr.Dataset]) -> list[xr.Dataset]:
    """Return runs without those that are copies of an earlier run of the same setting.

    Args:
        runs: Runs of any settings, see `eigendrift.metrics.collection.read_run`.
    """
    runs = list(runs)
    settings = [json.dumps(run.attrs["training"], sort_keys=True) for run in runs]
    found = repeated(range(len(runs)), [[run[name].values for run in runs] for name in FROM_TRAINING], settings)
    by_name: dict[str, dict[int, int]] = defaultdict(dict)
    for index, original in found.items():
        by_name[_name_of(runs[index].attrs)][int(runs[index]["seed"])] = int(runs[original]["seed"])
    for name, copied in by_name.items():
        _warn(name, "seed", copied)
    return [run for index, run in enumerate(runs) if index not in found]


def _digest(arrays: Iterable[np.ndarray]) -> str | None:
    """Return a digest of some arrays, or None if they hold no finite number."""
    parts = [np.array(array) for array in arrays]
    if not any(np.isfinite(part).any() for part in parts):
        return None
    # There are many bit patterns of NaN, and which one a computation returns says nothing.
    normalized = (np.where(np.isnan(part), np.asarray(np.nan, part.dtype), part) for part in parts)
    return digest_parts(part.tobytes() for part in normalized)


def masked(runs: xr.Dataset, found: Mapping[int, int]) -> xr.Dataset:
    """Return runs with NaN in place of the results of copies, so that the runs keep their shape.

    Args:
        runs: Metrics of the runs of one setting, with the dimension seed.
        found: The seed that each copy equals, by the seed of the copy; other seeds than those of the runs are ignored.

    Returns:
        The runs with the variable ``copy_of`` (seed,): for each copy the seed that it equals, NaN for others.
    """
    copy_of = xr.DataArray([float(found.get(int(seed), np.nan)) for seed in runs["seed"]], dims="seed")
    if copy_of.notnull().any():
        runs = runs.map(lambda array: array.where(copy_of.isnull()) if "seed" in array.dims else array, keep_attrs=True)
    return runs.assign(copy_of=copy_of)


def replicates(runs: xr.Dataset) -> int:
    """Return how many seeds there are without copies.

    Args:
        runs: The runs of one setting, with the dimension seed and, if any may be copies, ``copy_of`` (seed,).
    """
    return int(runs["copy_of"].isnull().sum()) if "copy_of" in runs else runs.sizes["seed"]


def without_copied_runs(runs: xr.Dataset) -> xr.Dataset:
    """Return the runs of one setting, `masked` where seeds are copies, and warn if there are any."""
    found = copies(runs)
    _warn(_name_of(runs.attrs), "seed", found)
    return masked(runs, found)


def without_copied_draws(baseline: xr.Dataset) -> xr.Dataset:
    """Return a baseline store without the draws that are copies and without their pairs, and warn of copies.

    Args:
        baseline: A baseline store.

    Returns:
        The other draws; ``attrs["copies"]`` is the number of draws that are left out.
    """
    arrays = [
        array.transpose("draw", ...).values
        for array in baseline.data_vars.values()
        if "draw" in array.dims and np.issubdtype(array.dtype, np.floating)
    ]
    draws = baseline["draw"].values.tolist()
    found = repeated(draws, arrays, baseline["optimizer"].values.tolist())
    settings = baseline.attrs.get("settings", {})
    _warn(", ".join(str(settings.get(key)) for key in ("dataset", "null_model")), "draw", found)
    kept = np.array([draw not in found for draw in draws])
    return select_draws(baseline, kept).assign_attrs(copies=len(found))


def _name_of(attrs: Mapping[str, object]) -> str:
    """Return the name of a setting for messages."""
    return ", ".join(f"{key.replace('_', ' ')} {attrs[key]}" for key in NAMED_BY if key in attrs)


def _warn(name: str, what: str, found: Mapping[int, int]) -> None:
    if found:
        listed = ", ".join(f"{what} {label} repeats {what} {original}" for label, original in found.items())
        logger.warning("Copies are left out of %s, because they are not independent replicates: %s.", name, listed)

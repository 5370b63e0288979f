"""Seeds and draws whose results are equal to the bit: copies, which count once.

Statistics take seeds and draws for independent replicates. Copies of one replicate, from a plug-in that
ignores its seed or from files that were copied, would narrow every interval down to nothing.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import xarray as xr

from eigendrift.metrics.draws import select_draws

# Variables that are equal for most runs.
ABOUT_RUNS = ("diverged_at", "unconverged", "copy_of")


def copies(results: xr.Dataset, dim: str = "seed") -> dict[int, int]:
    """Find the replicates that are equal to an earlier one in every bit of every result.

    Args:
        results: Measured arrays with the dimension ``dim`` and its coordinate. A variable ``copy_of`` (dim,),
            if there is one, says which replicates were copies before their results were removed.
        dim: Name of the dimension that counts replicates.

    Returns:
        For the label of each copy, the label of the replicate that it is a copy of. Replicates without any
        result are no copies of each other.
    """
    measured = [array.transpose(dim, ...).values for array in _measured(results) if dim in array.dims]
    known = results["copy_of"].values if "copy_of" in results else np.full(results.sizes[dim], np.nan)
    first: dict[bytes, int] = {}
    found: dict[int, int] = {}
    for index, label in enumerate(map(int, results[dim].values)):
        digest = _digest(array[index] for array in measured)
        if np.isfinite(known[index]):
            found[label] = int(known[index])
        elif digest in first:
            found[label] = first[digest]
        elif digest:
            first[digest] = label
    return found


def distinct(runs: Iterable[xr.Dataset]) -> list[xr.Dataset]:
    """Return runs, of whatever settings, without those that are equal to an earlier one to the bit."""
    listed = list(runs)
    digests = [_digest(array.values for array in _measured(run)) for run in listed]
    return [
        run for index, run in enumerate(listed) if not digests[index] or digests[index] not in digests[:index]
    ]


def _measured(results: xr.Dataset) -> list[xr.DataArray]:
    return [
        array
        for name, array in results.data_vars.items()
        if name not in ABOUT_RUNS and np.issubdtype(array.dtype, np.floating)
    ]


def _digest(arrays: Iterable[np.ndarray]) -> bytes | None:
    """Return a digest of some arrays; None if they hold no number."""
    parts = [np.ascontiguousarray(array) for array in arrays]
    if not any(np.isfinite(part).any() for part in parts):
        return None
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).digest()


def without_copied_runs(runs: xr.Dataset) -> xr.Dataset:
    """Replace the results of seeds that are copies by NaN.

    What is returned has the variable ``copy_of`` (seed,): for each copy, the seed that it equals.

    Args:
        runs: Metrics of the runs of one setting, with the dimension seed.
    """
    found = copies(runs)
    copy_of = xr.DataArray([float(found.get(int(seed), np.nan)) for seed in runs["seed"]], dims="seed")
    return runs.map(
        lambda array: array.where(copy_of.isnull()) if "seed" in array.dims and found else array,
        keep_attrs=True,
    ).assign(copy_of=copy_of)


def without_copied_draws(baseline: xr.Dataset) -> xr.Dataset:
    """Leave out the draws of a null model that are copies, and the pairs of draws that one of them is in.

    Args:
        baseline: A baseline store.

    Returns:
        The others; ``attrs["copies"]`` is how many are left out.
    """
    found = copies(baseline, "draw")
    kept = np.array([int(draw) not in found for draw in baseline["draw"]])
    return select_draws(baseline, kept).assign_attrs(copies=len(found))

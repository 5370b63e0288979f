"""Metrics of plug-ins."""

from typing import Any

import numpy as np
import xarray as xr

from eigendrift.errors import UserError
from eigendrift.extensions.kinds import Metric
from eigendrift.extensions.registry import known

METRICS = known(Metric)


def measure_with_plugin(
    name: str, trajectory: xr.Dataset, eigenpairs: xr.Dataset
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Measure a run with a metric of a plug-in.

    Args:
        name: Name of the metric.
        trajectory: A trajectory store.
        eigenpairs: The eigenpairs store of the same run, with the same checkpoints.

    Returns:
        The arrays of a store of one metric, NaN for pairs that are not converged, and its summary.

    Raises:
        UserError: If the plug-in did not return a floating-point number for each checkpoint and rank.
    """
    metric = METRICS[name]
    converged = eigenpairs["converged"].values
    values = np.asarray(metric.measure(trajectory, eigenpairs))
    if values.shape != converged.shape or not np.issubdtype(values.dtype, np.floating):
        raise UserError(
            f"The metric '{name}' of a plug-in returned {values.dtype} of shape {values.shape}, expected "
            f"floating-point numbers (checkpoint, rank) of shape {converged.shape}; fix its function measure."
        )
    columns = {
        "step": eigenpairs["step"].values,
        "rank": eigenpairs["rank"].values,
        "value": np.where(converged, values, np.nan).astype(np.float64),
    }
    return columns, {"metric": name, "unit": metric.unit, "meaning": metric.meaning}

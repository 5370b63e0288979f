"""Metrics of plug-ins: what is not converged is masked, and what is no metric refused."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from eigendrift.errors import UserError
from eigendrift.extensions import Metric
from eigendrift.extensions.registry import add
from eigendrift.metrics.plugins import measure_with_plugin

CONVERGED = np.array([[True, True], [True, False], [False, False]])


pytestmark = pytest.mark.usefixtures("plugins_forgotten")


def measured(values: np.ndarray) -> np.ndarray:
    add(Metric(name="mine", measure=lambda *_: values, meaning="Mine."), Path("mine.py"))
    eigenpairs = xr.Dataset(
        {"step": ("checkpoint", [0, 5, 10]), "converged": (("checkpoint", "rank"), CONVERGED)}, {"rank": [1, 2]}
    )
    return measure_with_plugin("mine", xr.Dataset(), eigenpairs)[0]["value"]


def test_what_is_not_converged_is_masked() -> None:
    values = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(measured(values), [[0, 1], [2, np.nan], [np.nan, np.nan]])


@pytest.mark.parametrize("values", [np.ones((2, 3)), np.ones((3, 2), int)])
def test_what_is_no_metric_is_refused(values: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"metric 'mine' of a plug-in returned .* of shape \(3, 2\); fix"):
        measured(values)

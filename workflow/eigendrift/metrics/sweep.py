"""The measured runs of a sweep: the same training at several values of one setting."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import xarray as xr

from eigendrift.metrics.collection import notes_on, one_optimizer, read_baselines, read_run

Varied = Literal["batch_size", "learning_rate"]
# Metrics with the dimension seed in front, by optimizer and by value of the setting that varies, in the order of the
# configuration. Steps may differ between values.
SweptRuns = dict[str, dict[int | float | str, xr.Dataset]]


@dataclass(frozen=True)
class Sweep:
    """Metrics of runs that differ in one setting, on one data set, and the baseline of a null model.

    Attributes:
        runs: The metrics, see `SweptRuns`, with the additional variables of `eigendrift.metrics.collection.Collection`.
        dataset: Name of the data set.
        baseline: The baseline of the null model.
        null_model: Name of the null model.
        varied: The setting that varies.
    """

    runs: SweptRuns
    dataset: str
    baseline: xr.Dataset
    null_model: str
    varied: Varied

    @property
    def parameters(self) -> int:
        """N."""
        return int(next(iter(next(iter(self.runs.values())).values())).attrs["parameters"])

    def notes(self) -> list[str]:
        """Return what readers of the figures must know: divergences, copies and masked pairs."""
        return [
            note
            for optimizer, by_value in self.runs.items()
            for value, runs in by_value.items()
            for note in notes_on(runs, f"{optimizer}, {value}")
        ]


def read_sweep(metrics: Iterable[str | Path], baselines: Iterable[str | Path], varied: Varied) -> Sweep:
    """Read the metrics of a sweep's runs and the baseline of their null model.

    Args:
        metrics: Metrics stores of the runs, all of one data set.
        baselines: The baseline store of that data set.
        varied: The setting that varies.
    """
    null, null_model = read_baselines(baselines)
    dataset, baseline = next(iter(null.items()))
    return Sweep(read_swept_runs(metrics, varied)[dataset], dataset, baseline, null_model, varied)


def read_swept_runs(metrics: Iterable[str | Path], varied: Varied) -> dict[str, SweptRuns]:
    """Read the metrics of a sweep's runs, by data set."""
    grouped: dict[str, dict[str, dict[int | float | str, list[xr.Dataset]]]]
    grouped = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for run in (read_run(Path(path)) for path in metrics):
        grouped[run.attrs["dataset"]][run.attrs["optimizer"]][run.attrs[varied]].append(run)
    return {
        dataset: {
            optimizer: {value: one_optimizer(seeds) for value, seeds in by_value.items()}
            for optimizer, by_value in optimizers.items()
        }
        for dataset, optimizers in grouped.items()
    }

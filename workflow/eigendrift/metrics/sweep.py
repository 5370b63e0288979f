"""The measured runs of a sweep: the same training at several values of one setting."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import xarray as xr

from eigendrift.metrics.collection import notes_on, one_optimizer, read_baselines, read_run

Varied = Literal["batch_size", "learning_rate"]


@dataclass(frozen=True)
class Sweep:
    """Metrics of runs that differ in one setting, on one data set, and the baseline of a null model.

    Attributes:
        runs: For each optimizer and value of the setting, in the configuration's order, the metrics with the
            dimension seed in front; steps may differ between values. Variables beside those of a metrics
            store as in `eigendrift.metrics.collection.Collection`.
        dataset: Name of the data set.
        baseline: The baseline of the null model.
        null_model: Name of the null model.
        varied: The setting that varies.
    """

    runs: dict[str, dict[int | float | str, xr.Dataset]]
    dataset: str
    baseline: xr.Dataset
    null_model: str
    varied: Varied

    @property
    def parameters(self) -> int:
        """N."""
        return int(next(iter(next(iter(self.runs.values())).values())).attrs["parameters"])

    def notes(self) -> list[str]:
        """Say what a reader of the figures must know: divergences and masked pairs."""
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
    grouped: dict[str, dict[int | float | str, list[xr.Dataset]]] = defaultdict(lambda: defaultdict(list))
    for path in metrics:
        run = read_run(Path(path))
        grouped[run.attrs["optimizer"]][run.attrs[varied]].append(run)
    runs = {
        optimizer: {value: one_optimizer(seeds) for value, seeds in by_value.items()}
        for optimizer, by_value in grouped.items()
    }
    null, null_model = read_baselines(baselines)
    dataset, baseline = next(iter(null.items()))
    return Sweep(runs, dataset, baseline, null_model, varied)

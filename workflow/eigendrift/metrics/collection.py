"""The measured runs of a study, put together."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from eigendrift.stores.reading import open_store


@dataclass(frozen=True)
class Collection:
    """Metrics of many runs, and the baselines of a null model.

    Attributes:
        runs: For each data set, the metrics with dimensions optimizer and seed in front; ``diverged_at``
            (optimizer, seed) is NaN for runs that did not diverge; ``unconverged`` (optimizer, seed) counts
            masked eigenpairs and is NaN for runs that are not there; ``attrs["parameters"]`` is N.
        baselines: For each data set, the baseline of the null model.
        null_model: Name of the null model.
    """

    runs: dict[str, xr.Dataset]
    baselines: dict[str, xr.Dataset]
    null_model: str

    def notes(self, dataset: str) -> list[str]:
        """Say what a reader of this data set's figures must know: divergences and masked pairs."""
        runs = self.runs[dataset]
        notes = [
            f"{dataset}: {optimizer} seed {seed} diverged at step {at:.0f}"
            for optimizer, of_optimizer in zip(
                runs["optimizer"].values, runs["diverged_at"].values, strict=True
            )
            for seed, at in zip(runs["seed"].values, of_optimizer, strict=True)
            if np.isfinite(at)
        ]
        if unconverged := int(runs["unconverged"].sum()):
            notes.append(f"{dataset}: {unconverged} unconverged eigenpairs are left out")
        draws = self.baselines[dataset]["inverse_participation_ratio"]
        if unconverged := int(draws.isnull().sum()):
            notes.append(f"{dataset}: {unconverged} unconverged eigenpairs of the null model are left out")
        return notes


def collect(metrics: Iterable[str | Path], baselines: Iterable[str | Path]) -> Collection:
    """Read the metrics of runs and the baselines of their null model.

    Args:
        metrics: Metrics stores of runs with equal checkpoints; what is missing becomes NaN.
        baselines: Baseline stores, one for each data set.
    """
    grouped: dict[str, dict[str, list[xr.Dataset]]] = defaultdict(lambda: defaultdict(list))
    for path in metrics:
        run = _labelled(open_store(Path(path), "metrics").load())
        grouped[run.attrs["dataset"]][run.attrs["optimizer"]].append(run)
    runs = {dataset: _stack(optimizers) for dataset, optimizers in grouped.items()}
    null = {}
    names = set()
    for path in baselines:
        baseline = open_store(Path(path), "baseline").load()
        null[baseline.attrs["settings"]["dataset"]] = baseline
        names.add(baseline.attrs["settings"]["null_model"])
    return Collection(runs, null, "/".join(sorted(names)))


def _labelled(store: xr.Dataset) -> xr.Dataset:
    settings, summary = store.attrs["settings"]["training"], store.attrs["summary"]
    run = store.assign_coords(seed=settings["seed"]).assign(
        diverged_at=np.nan if summary["diverged_at"] is None else float(summary["diverged_at"]),
        unconverged=summary["unconverged"],
    )
    run.attrs = {
        "dataset": settings["dataset"],
        "optimizer": settings["optimizer"]["name"],
        "parameters": summary["parameters"],
    }
    return run


def _stack(optimizers: dict[str, list[xr.Dataset]]) -> xr.Dataset:
    stacked: xr.Dataset = xr.concat(
        [
            xr.concat(
                runs, "seed", join="exact", coords="minimal", compat="equals", combine_attrs="drop_conflicts"
            )
            for runs in optimizers.values()
        ],
        "optimizer",
        # An optimizer may have more seeds than another; the missing runs are NaN.
        join="outer",
        coords="minimal",
        compat="equals",
        combine_attrs="drop_conflicts",
    )
    return stacked.assign_coords(optimizer=list(optimizers))

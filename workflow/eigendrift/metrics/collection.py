"""The measured runs of a study, put together."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from eigendrift.errors import UserError
from eigendrift.metrics.copies import copies, without_copied_draws, without_copied_runs
from eigendrift.stores.files import how_to_rebuild, manifest_path
from eigendrift.stores.reading import open_store


@dataclass(frozen=True)
class Collection:
    """Metrics of many runs, and the baselines of null models.

    Attributes:
        runs: For each data set, the metrics with dimensions optimizer and seed in front. ``diverged_at`` (optimizer,
            seed) is NaN for runs that did not diverge. ``unconverged`` (optimizer, seed) counts masked eigenpairs and
            is NaN for missing runs. ``copy_of`` (optimizer, seed) is the seed that a run without results was a copy of,
            NaN for others. ``attrs["parameters"]`` is N, and ``attrs["shapes"]`` the shape of every parameter tensor.
        baselines: For each data set, the baseline of the null model.
        null_model: Name of the null model.
        further: Baselines of other null models, by name and data set.
    """

    runs: dict[str, xr.Dataset]
    baselines: dict[str, xr.Dataset]
    null_model: str
    further: dict[str, dict[str, xr.Dataset]] = field(default_factory=dict)

    def nulls(self, dataset: str) -> dict[str, xr.Dataset]:
        """Return the baselines of all null models for a data set by name, starting with the claims' own."""
        first = {self.null_model: self.baselines[dataset]}
        return first | {name: baselines[dataset] for name, baselines in self.further.items()}

    def notes(self, dataset: str) -> list[str]:
        """Return what readers of this data set's figures must know: divergences, copies and masked pairs."""
        runs = self.runs[dataset]
        notes = [
            note
            for optimizer in runs["optimizer"].values
            for note in notes_on(runs.sel(optimizer=optimizer), f"{dataset}, {optimizer}")
        ]
        for name, baseline in self.nulls(dataset).items():
            draws = baseline["inverse_participation_ratio"]
            if unconverged := int(draws.isnull().sum()):
                notes.append(f"{dataset}: {_left_out(unconverged)} of the null model {name}")
            if copied := baseline.attrs.get("copies"):
                notes.append(
                    f"{dataset}: without {copied} draw{'s' * (copied > 1)} of the null model {name} equal to "
                    "another to the bit"
                )
        return notes


def notes_on(runs: xr.Dataset, name: str) -> list[str]:
    """Return what readers must know about the runs of one setting: divergences, copies and masked pairs."""
    notes = [
        f"{name}: seed {seed} diverged at step {at:.0f}"
        for seed, at in zip(runs["seed"].values, runs["diverged_at"].values, strict=True)
        if np.isfinite(at)
    ]
    notes += [
        f"{name}: seed {seed} repeats the training of seed {original} to the bit and is left out"
        for seed, original in copies(runs).items()
    ]
    if unconverged := int(runs["unconverged"].sum()):
        notes.append(f"{name}: {_left_out(unconverged)}")
    return notes


def _left_out(eigenpairs: int) -> str:
    return f"without {eigenpairs} unconverged eigenpair{'s' * (eigenpairs > 1)}"


def collect(
    metrics: Iterable[str | Path],
    baselines: Iterable[str | Path],
    further: Iterable[str | Path] = (),
    plugin_metrics: Iterable[str | Path] = (),
) -> Collection:
    """Read the metrics of runs and the baselines of their null models.

    Args:
        metrics: Metrics stores of runs with equal checkpoints; missing runs become NaN.
        baselines: Baseline stores, one for each data set.
        further: Baseline stores of other null models.
        plugin_metrics: Stores of plug-in metrics for the same runs, which get them under their names.
    """
    added: dict[Path, list[Path]] = defaultdict(list)
    for own in map(Path, plugin_metrics):
        added[own.parent.parent].append(own)
    grouped: dict[str, dict[str, list[xr.Dataset]]] = defaultdict(lambda: defaultdict(list))
    for path in metrics:
        run = read_run(Path(path))
        for own in added[Path(path).parent]:
            store = open_store(own, "plugin_metric").load()
            run[store.attrs["summary"]["metric"]] = store["value"]
        grouped[run.attrs["dataset"]][run.attrs["optimizer"]].append(run)
    runs = {
        dataset: stack_optimizers({name: one_optimizer(seeds) for name, seeds in optimizers.items()})
        for dataset, optimizers in grouped.items()
    }
    null, null_model = read_baselines(baselines)
    return Collection(runs, null, null_model, read_nulls(further))


def read_baselines(baselines: Iterable[str | Path]) -> tuple[dict[str, xr.Dataset], str]:
    """Return the baseline of each data set, and the name of the null model."""
    nulls = read_nulls(baselines)
    by_dataset = {dataset: baseline for null in nulls.values() for dataset, baseline in null.items()}
    return by_dataset, "/".join(nulls)


def read_nulls(baselines: Iterable[str | Path]) -> dict[str, dict[str, xr.Dataset]]:
    """Return baselines by null model and data set."""
    nulls: dict[str, dict[str, xr.Dataset]] = defaultdict(dict)
    for path in baselines:
        baseline = without_copied_draws(open_store(Path(path), "baseline").load())
        settings = baseline.attrs["settings"]
        nulls[settings["null_model"]][settings["dataset"]] = baseline
    return dict(nulls)


def read_run(path: Path) -> xr.Dataset:
    """Return the metrics of one run, with its settings as attributes and its seed as a coordinate."""
    store = open_store(path, "metrics").load()
    settings, summary = store.attrs["settings"]["training"], store.attrs["summary"]
    run = store.assign_coords(seed=settings["seed"]).assign(
        diverged_at=np.nan if summary["diverged_at"] is None else float(summary["diverged_at"]),
        unconverged=summary["unconverged"],
    )
    run.attrs = {
        "dataset": settings["dataset"],
        "optimizer": settings["optimizer"]["name"],
        "batch_size": settings["batch_size"],
        "learning_rate": settings["optimizer"]["learning_rate"],
        "parameters": summary["parameters"],
        "shapes": summary["shapes"],
        "training": {key: value for key, value in settings.items() if key != "seed"},
        "store": str(path),
    }
    return run


def one_optimizer(runs: Iterable[xr.Dataset]) -> xr.Dataset:
    """Return the seeds of one setting together, without the results of seeds that are copies of another.

    Raises:
        UserError: If two stores have different settings or the same seed, because one was misplaced.
    """
    runs = list(runs)
    by_seed: dict[int, xr.Dataset] = {}
    for run in runs:
        first = next(iter(by_seed.values()), run)
        same = run.attrs["training"] == first.attrs["training"]
        other = by_seed.get(run["seed"].item()) if same else first
        if other is not None:
            stores = [Path(one.attrs["store"]) for one in (other, run)]
            rebuild = how_to_rebuild(*stores, *map(manifest_path, stores), what="both")
            what = "one seed" if same else "two settings"
            raise UserError(
                f"Stores {stores[0]} and {stores[1]} are of {what}, expected two seeds of one setting; {rebuild}."
            )
        by_seed[run["seed"].item()] = run
    return without_copied_runs(
        xr.concat(runs, "seed", join="exact", coords="minimal", compat="equals", combine_attrs="drop_conflicts")
    )


def stack_optimizers(optimizers: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Return the runs of several optimizers, each with the dimension seed, in one data set."""
    listed = list(optimizers.values())
    # Optimizers may have different numbers of seeds. Missing runs are NaN.
    stacked: xr.Dataset = xr.concat(
        listed, "optimizer", join="outer", coords="minimal", compat="equals", combine_attrs="drop_conflicts"
    )
    return stacked.assign_coords(optimizer=list(optimizers))

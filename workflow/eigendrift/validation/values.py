"""The values of draws, untrained networks and runs that are compared, as one long table."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from eigendrift.metrics.arrays import log10
from eigendrift.metrics.collection import read_run
from eigendrift.metrics.copies import distinct, without_copied_draws
from eigendrift.metrics.displacement import displacement, overlaps, subspace_displacement
from eigendrift.metrics.draws import draws_for, pairs_of
from eigendrift.stores.reading import open_store

# Eigenvalues and inverse participation ratios vary by factors, so their logarithms are compared.
LOGARITHMIC = {"eigenvalue": "log10 eigenvalue", "inverse_participation_ratio": "log10 IPR"}
# Checkpoints of a run.
MOMENTS = {"start": 0, "end": -1}
OBSERVED = "observed"
COLUMNS = ("dataset", "networks", "optimizer", "number", "statistic", "rank", "value")


def read_values(
    baselines: Iterable[str | Path],
    untrained: Iterable[str | Path],
    metrics: Iterable[str | Path],
    eigenpairs: Iterable[str | Path],
) -> pd.DataFrame:
    """Read all values that are compared.

    Args:
        baselines: Baseline stores of the null models.
        untrained: Baseline stores of the observed untrained networks, and of null models applied to them.
        metrics: Metrics stores of runs.
        eigenpairs: Eigenpairs stores of the same runs, in the same order.

    Returns:
        One row for each finite value of runs and draws, without copies. ``networks`` is ``observed``, a null model,
        ``untrained`` and a null model of trained networks, or ``start`` or ``end`` of a run. ``optimizer`` is empty
        where networks have no optimizer. ``number`` counts independent values; for runs it is the seed. ``statistic``
        is a value of `LOGARITHMIC`, ``displacement`` or ``subspace displacement``. ``rank`` is 0 for the whole span.
    """
    tables = [
        table.assign(dataset=baseline.attrs["settings"]["dataset"], networks=f"{prefix}{name}")
        for prefix, paths in (("", baselines), ("untrained ", untrained))
        for baseline in (without_copied_draws(open_store(Path(path), "baseline").load()) for path in paths)
        for name, table in _values_of_draws(baseline)
    ]
    runs = [read_run(Path(path)) for path in metrics]
    different = distinct(runs)
    tables += [table for run in different for table in _values_of_run(run)]
    pairs = [
        open_store(Path(path), "eigenpairs")
        for run, path in zip(runs, eigenpairs, strict=True)
        if any(run is one for one in different)
    ]
    tables += _displacements_between_seeds(pairs)
    values = pd.concat(tables, ignore_index=True).reindex(columns=list(COLUMNS))
    values["networks"] = values["networks"].replace(f"untrained {OBSERVED}", OBSERVED)
    return values.dropna(subset="value", ignore_index=True)


def _values_of_draws(baseline: xr.Dataset) -> Iterator[tuple[str, pd.DataFrame]]:
    settings = baseline.attrs["settings"]
    for optimizer in [training["optimizer"]["name"] for training in settings["trainings"]] or [""]:
        draws = draws_for(baseline, optimizer)
        one, other = pairs_of(draws["optimizer"].values)
        # No draw is in two pairs, so displacements are independent.
        disjoint = draws.isel(pair=np.flatnonzero((one % 2 == 0) & (other == one + 1)))
        tables = [
            *(_long(log10(draws[name]), "draw", shown) for name, shown in LOGARITHMIC.items()),
            _long(disjoint["displacement"], "pair", "displacement"),
            # At the last rank this is the subspace displacement of the span of all eigenvectors.
            _long(disjoint["subspace_displacement"].isel(rank=-1, drop=True), "pair", "subspace displacement"),
        ]
        yield settings["null_model"], pd.concat(tables).assign(optimizer=optimizer)


def _values_of_run(run: xr.Dataset) -> Iterator[pd.DataFrame]:
    known = {name: run.attrs[name] for name in ("dataset", "optimizer")}
    for moment, checkpoint in MOMENTS.items():
        for name, shown in LOGARITHMIC.items():
            values = log10(run[name].isel(checkpoint=checkpoint)).expand_dims("seed")
            yield _long(values, "seed", shown).assign(**known, networks=moment)


def _displacements_between_seeds(runs: Sequence[xr.Dataset]) -> Iterator[pd.DataFrame]:
    """Yield displacements between the eigenvectors of each seed and the next, and of the last and the first.

    The displacement of a run from its own start is not a draw of the displacement between unrelated networks.
    """
    settings = [run.attrs["settings"]["training"] for run in runs]
    groups = [(training["dataset"], training["optimizer"]["name"]) for training in settings]
    for dataset, optimizer in dict.fromkeys(groups):
        members = [index for index, group in enumerate(groups) if group == (dataset, optimizer)]
        coordinates = {
            "seed": np.array([settings[index]["seed"] for index in members]),
            "rank": runs[members[0]]["rank"].values,
        }
        seeds = np.arange(len(members))
        # Two seeds have one displacement between them, and one seed has none.
        kept = seeds if len(members) > 2 else seeds[:-1]  # noqa: PLR2004
        for moment, checkpoint in MOMENTS.items():
            overlap = overlaps(np.stack([_vectors(runs[index], checkpoint) for index in members]))
            by_rank, by_span = (
                xr.DataArray(moved[seeds, np.roll(seeds, -1)], coordinates, ("seed", "rank"))[kept]
                for moved in (displacement(overlap), subspace_displacement(overlap))
            )
            known = {"dataset": dataset, "optimizer": optimizer, "networks": moment}
            yield _long(by_rank, "seed", "displacement").assign(**known)
            yield _long(by_span.isel(rank=-1, drop=True), "seed", "subspace displacement").assign(**known)


def _vectors(eigenpairs: xr.Dataset, checkpoint: int) -> np.ndarray:
    at = eigenpairs[["eigenvector", "converged"]].isel(checkpoint=checkpoint)
    return np.where(at["converged"].values[:, None], at["eigenvector"].values, np.nan)


def _long(values: xr.DataArray, counted: str, statistic: str) -> pd.DataFrame:
    """Return rows of ``number``, ``statistic``, ``rank`` and ``value`` from (counted) or (counted, rank)."""
    numbers = values[counted].values if counted in values.coords else np.arange(values.sizes[counted])
    plain = xr.DataArray(values.values, {"number": numbers}, ("number", *values.dims[1:]))
    if "rank" in values.dims:
        plain = plain.assign_coords(rank=values["rank"].values)
    table = plain.to_series().rename("value").reset_index().assign(statistic=statistic)
    # The whole leading subspace has no rank.
    return table if "rank" in table else table.assign(rank=0)

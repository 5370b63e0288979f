"""What eigenvectors in float16 do to each metric, for the table in docs/scale.md.

`python docs/float16.py results/desk` measures the runs of a study, with eigenvectors as they are and rounded.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from eigendrift.metrics.measure import measure_preconditioned, measure_run  # noqa: E402
from eigendrift.stores.arrays import from_float16, to_float16  # noqa: E402
from eigendrift.stores.reading import open_store  # noqa: E402

HEADER = (
    "| metric | root mean square | of its changes | largest change |\n"
    "| --- | --- | --- | --- |"
)  # fmt: skip
# Not of eigenvectors.
UNTOUCHED = {"step", "rank", "layer", "eigenvalue", "gap", "weight_displacement"}


def rounded(eigenpairs: xr.Dataset) -> xr.Dataset:
    """Return the store as it is read where it was stored in float16."""
    vectors = eigenpairs["eigenvector"]
    return eigenpairs.assign(eigenvector=vectors.copy(data=from_float16(to_float16(vectors.values))))


def measure(path: Path, eigenpairs: xr.Dataset) -> dict[str, np.ndarray]:
    """Return what depends on the eigenvectors, among the metrics of a store of eigenpairs."""
    if path.parent.name == "preconditioned":
        measured = measure_preconditioned(eigenpairs)
    else:
        run = path.parent.parent if path.parent.name == "wide" else path.parent
        measured = measure_run(open_store(run / "trajectory.zarr", "trajectory"), eigenpairs)
    moved = measured["displacement"]
    measured["log10 of displacement"] = np.log10(moved[np.triu(np.ones(moved.shape[:2], bool), 1)])
    wanted = [name for name in measured if name not in UNTOUCHED and not name.startswith(("train", "test"))]
    return {name: measured[name] for name in wanted}


def changes(runs: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield name, values and their changes of every metric of every store of eigenpairs."""
    for path in sorted(runs.rglob("eigenpairs.zarr")):
        eigenpairs = open_store(path, "eigenpairs").load()
        halved = rounded(eigenpairs)
        vectors, after = eigenpairs["eigenvector"].values, halved["eigenvector"].values
        yield "the vector", np.linalg.norm(vectors, axis=-1), np.linalg.norm(after - vectors, axis=-1)
        values, after = measure(path, eigenpairs), measure(path, halved)
        for name in values:
            yield name, values[name], np.abs(after[name] - values[name])


def main(results: Path) -> None:
    """Print the table."""
    sums: dict[str, np.ndarray] = {}
    largest: dict[str, float] = {}
    for name, values, change in changes(results / "runs"):
        there = np.isfinite(change)
        squares = np.array([there.sum(), (values[there] ** 2).sum(), (change[there] ** 2).sum()])
        sums[name] = sums.get(name, 0) + squares
        largest[name] = max(largest.get(name, 0.0), change[there].max(initial=0.0))
    print(HEADER)
    for name, (count, whole, changed) in sorted(sums.items()):
        roots = f"{(whole / count) ** 0.5:.2g} | {(changed / count) ** 0.5:.1e}"
        print(f"| {name} | {roots} | {largest[name]:.1e} |")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

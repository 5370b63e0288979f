"""Damaged stores: every reader refuses them, names the damaged part, and states how to rebuild the store."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import tally
from tiny_study import RESULTS, TINY, contents, delete

from eigendrift.errors import UserError
from eigendrift.stores.arrays import STORES
from eigendrift.stores.checksums import checksum_path
from eigendrift.stores.files import manifest_path
from eigendrift.stores.reading import open_store, read_manifest

pytestmark = pytest.mark.xdist_group("tiny")


def flip(path: Path) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


HARMS: dict[str, Callable[[Path], None]] = {"flip": flip, "truncate": truncate, "delete": Path.unlink}
RUNS = RESULTS / "runs/digits/mlp-4"
SGD, ADAM = (RUNS / settings for settings in ("sgd/batch64-lr0.05", "adam/batch64-lr0.001"))
NULL = RESULTS / "null/digits/mlp-4"
FIGURES = RESULTS / "figures"
SMALL = "runs/digits-200/mlp-4/sgd/batch64-lr0.05/seed0"
# What is damaged, how, and which output is then recreated from it. Outputs in one list do not depend on each other.
HARMED = [
    [
        (RESULTS / "data/digits-200.zarr/train_images/c/0/0/0", "flip", RESULTS / SMALL / "trajectory.json"),
        (ADAM / "seed1/trajectory.zarr/weights/c/2/0", "delete", ADAM / "seed1/eigenpairs.json"),
        (SGD / "seed0/trajectory.json", "flip", SGD / "seed0/wide/eigenpairs.json"),
        (SGD / "seed1/eigenpairs.zarr/eigenvector/c/3/0/0", "truncate", SGD / "seed1/metrics.json"),
        (
            ADAM / "seed0/preconditioned/eigenpairs.zarr/eigenvalue/c/0/0",
            "flip",
            ADAM / "seed0/preconditioned/metrics.json",
        ),
        (NULL / "isotropic.zarr/zarr.json", "truncate", NULL / "isotropic-baseline.json"),
    ],
    [
        (
            SGD / "seed0/wide/metrics.zarr/displacement/c/0/0/0",
            "truncate",
            FIGURES / "fig15_wide_localization.csv",
        ),
        (NULL / "permuted-baseline.zarr/eigenvalue/c/0/0", "delete", RESULTS / "null_validation.csv"),
        (
            RESULTS / "minima/digits/mlp-4/sgd.zarr/density/c/0",
            "flip",
            FIGURES / "fig08_minima.csv",
        ),
        (
            ADAM / "seed0/preconditioned/metrics.zarr/displacement/c/0/0/0",
            "delete",
            FIGURES / "ext05_preconditioned.csv",
        ),
        (
            NULL.parent.parent / "digits-200/mlp-4/reinitialized-baseline.zarr/zarr.json",
            "flip",
            RESULTS / "regimes.csv",
        ),
    ],
    [
        (RESULTS / "null_departure.csv", "flip", RESULTS / "claims_sensitivity.csv"),
        (RESULTS / "null_values.csv", "truncate", FIGURES / "ext08_null_models.csv"),
        (RESULTS / "regimes.csv", "flip", FIGURES / "ext03_regimes.csv"),
    ],
    [(RESULTS / "claims.json", "flip", FIGURES / "ext07_claims.csv")],
    [(RESULTS / "benchmarks.csv.sha256", "truncate", FIGURES / "ext09_run_times.csv")],
]
NAMES = ["stages", "figures and claims", "tables", "verdicts", "run times"]


def made_with(path: Path) -> tuple[Path, Path]:
    """Return the store or table that a file belongs to, and the store's manifest or the table's digest."""
    table = path.with_suffix("") if path.suffix == ".sha256" else path
    if table.suffix == ".csv" or table.name == "claims.json":
        return table, checksum_path(table)
    store = next((p for p in path.parents if p.suffix == ".zarr"), path.with_suffix(".zarr"))
    return store, manifest_path(store)


@pytest.mark.parametrize("harmed", HARMED, ids=NAMES)
def test_consumers_refuse_and_say_how_to_rebuild(tiny, undisturbed, harmed):
    for path, harm, consumer in harmed:
        HARMS[harm](tiny.path / path)
        delete(tiny, [str(consumer), str(consumer.with_suffix(".zarr"))])
    result = tiny.snakemake(*(str(consumer) for *_, consumer in harmed), study=TINY)
    assert result.returncode == 1
    assert "Traceback" not in result.stdout
    commands = set(re.findall(r"to rebuild it, run `(rm -rf [^`]+)` and then snakemake again", result.stdout))
    for path, _, consumer in harmed:
        assert not (tiny.path / consumer).exists()
        store, proof = made_with(path)
        assert f"rm -rf {store} {proof}" in commands, result.stdout
        if store in path.parents and path.name != "zarr.json":
            array, *chunk = path.relative_to(store).parts
            said = f"Store {store} is damaged: chunk {'/'.join(chunk)} of array '{array}'"
            assert said in result.stdout
        tally.count("damages detected")
    for command in sorted(commands):
        subprocess.run(command, shell=True, cwd=tiny.path, check=True)
    result = tiny.snakemake(*(str(consumer) for *_, consumer in harmed), study=TINY)
    assert result.returncode == 0, result.stdout
    assert contents(tiny) == undisturbed


# The tiny study has no plug-ins and thus no plug-in metrics, but the same functions write and read these.
@pytest.mark.parametrize("kind", [kind for kind in STORES if kind != "plugin_metric"])
def test_damage_of_every_array_and_manifest_is_detected(tiny, kind):
    store = min(path for path in (tiny.path / RESULTS).rglob("*.zarr") if read_manifest(path)["kind"] == kind)
    first_chunks = [min(path for path in (array / "c").rglob("*") if path.is_file()) for array in store.glob("*/")]
    assert {chunk.relative_to(store).parts[0] for chunk in first_chunks} == set(open_store(store, kind).variables)
    for path in [*first_chunks, store / "zarr.json", manifest_path(store)]:
        content = path.read_bytes()
        for harm in HARMS.values():
            harm(path)
            # The newline at the end of the manifest is not part of its content.
            if path == manifest_path(store) and harm is truncate:
                truncate(path)
            with pytest.raises(UserError, match="to rebuild it, run `rm -rf ") as refusal:
                open_store(store, kind).load()
            assert str(store) in str(refusal.value)
            path.write_bytes(content)
            tally.count("damages detected")
    open_store(store, kind).load()


def test_every_input_comes_with_its_manifest_or_digest(made):
    """The rules of run times and of the report are exceptions: they wait for results that they do not read."""
    seen = set()
    for path, one in made.items():
        for given in map(Path, one.inputs):
            if not given.is_relative_to(RESULTS) or one.rule in ("benchmarks", "reported"):
                continue
            seen.add(given.suffix)
            if given.suffix in (".csv", ".zarr") or given.name == "claims.json":
                assert str(made_with(given)[1]) in one.inputs, f"{path} is made from {given}"
            else:
                # A manifest contains its own digest, and a digest needs none.
                assert given.suffix in (".json", ".sha256"), f"{path} is made from {given}"
    assert seen == {".csv", ".zarr", ".json", ".sha256"}

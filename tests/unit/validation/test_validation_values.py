"""The values that are compared, from stores in which every one is known."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eigendrift.stores.arrays import STORES
from eigendrift.stores.reading import open_store
from eigendrift.stores.writing import write_store
from eigendrift.validation.values import COLUMNS, read_values

SIZES = {"checkpoint": 3, "waiting": 3, "rank": 2, "layer": 1, "parameter": 6}
RANKS = np.array([1, 2])


def blank(kind: str, **sizes: int) -> dict[str, np.ndarray]:
    """The arrays of a store, all ones."""
    every = SIZES | sizes
    ones = {s.name: np.ones([every[dim] for dim in s.dims], s.dtype) for s in STORES[kind].arrays}
    return ones | ({"rank": RANKS} if "rank" in ones else {})


def write_baseline(directory: Path, name: str, optimizers: list[int]) -> Path:
    """Draw d has eigenvalue 10**d and IPR 10**-d; draws a and b have the displacement (a + b / 10) / 10."""
    pairs = [(a, b) for a, b in combinations(range(len(optimizers)), 2) if optimizers[a] == optimizers[b]]
    columns = blank("baseline", draw=len(optimizers), pair=len(pairs))
    draws = np.arange(len(optimizers))
    moved = np.array([(a + b / 10) / 10 for a, b in pairs])
    columns |= {
        "draw": draws,
        "optimizer": np.array(optimizers),
        "eigenvalue": 10.0 ** draws[:, None] * [1, 0],
        "inverse_participation_ratio": 10.0 ** -draws[:, None] * [1, 1],
        "displacement": moved[:, None] * [1, 1],
        # Of both eigenvectors; of the first alone it is something else.
        "subspace_displacement": moved[:, None] * [0.5, 1],
    }
    trainings = [{"optimizer": {"name": optimizer}} for optimizer in ("sgd", "adam")] if max(optimizers) else []
    settings = {"dataset": "digits", "null_model": name, "trainings": trainings if min(optimizers) >= 0 else []}
    path = directory / f"{name}-baseline.zarr"
    write_store(path, "baseline", columns, settings)
    return path


def write_run(directory: Path, seed: int, angle: float, converged: bool = True) -> tuple[Path, Path]:
    """A run whose leading eigenvector ends at an angle to the first axis, in the plane of the first two."""
    training = {"dataset": "digits", "optimizer": {"name": "sgd", "learning_rate": 0.1}, "batch_size": 64, "seed": seed}
    metrics = blank("metrics")
    metrics["train_loss"][0] = seed
    metrics["eigenvalue"] = np.array([[10.0, 1], [1, 1], [100, -1]])
    metrics["inverse_participation_ratio"] = np.array([[0.1, 1], [1, 1], [0.01, np.nan]])
    summary = {"diverged_at": None, "unconverged": 0, "parameters": 6, "shapes": [[1, 6]]}
    paths = directory / f"{seed}.zarr", directory / f"{seed}-pairs.zarr"
    write_store(paths[0], "metrics", metrics, {"training": training}, summary)
    pairs = blank("eigenpairs")
    vectors = np.zeros((3, 2, 6), np.float32)
    vectors[:, 0, 0] = vectors[:, 1, 2] = 1
    vectors[2, 0, :2] = np.cos(angle), np.sin(angle)
    pairs["eigenvector"] = vectors
    pairs["converged"][2, 1] = converged
    write_store(paths[1], "eigenpairs", pairs, {"training": training}, {})
    return paths


def values_of(table: pd.DataFrame, **keys: object) -> list[float]:
    chosen = table[(table[list(keys)] == pd.Series(keys)).all(axis=1)]
    values: list[float] = chosen["value"].tolist()
    return values


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    tmp_path = tmp_path_factory.mktemp("stores")
    (tmp_path / "untrained").mkdir()
    nulls = [
        write_baseline(tmp_path, "reinitialized", [-1] * 5),
        write_baseline(tmp_path, "permuted", [0, 1, 0, 1, 0, 1, 0]),
    ]
    untrained = [
        write_baseline(tmp_path / "untrained", "observed", [-1] * 4),
        write_baseline(tmp_path / "untrained", "permuted", [-1] * 4),
    ]
    runs = [write_run(tmp_path, seed, angle) for seed, angle in enumerate([0.0, 0.3, 0.8])]
    return read_values(nulls, untrained, *zip(*runs, strict=True))


def test_networks_and_columns(table: pd.DataFrame) -> None:
    assert list(table) == list(COLUMNS)
    networks = set(zip(table["networks"], table["optimizer"], strict=True))
    assert networks == {
        ("reinitialized", ""),
        ("permuted", "sgd"),
        ("permuted", "adam"),
        ("observed", ""),
        ("untrained permuted", ""),
        ("start", "sgd"),
        ("end", "sgd"),
    }
    assert set(table["dataset"]) == {"digits"}
    assert table["value"].notna().all()


def test_eigenvalues_and_localizations_of_draws_are_logarithms(table: pd.DataFrame) -> None:
    known = {"networks": "reinitialized", "rank": 1}
    assert values_of(table, statistic="log10 eigenvalue", **known) == pytest.approx([0, 1, 2, 3, 4])
    assert values_of(table, statistic="log10 IPR", **known) == pytest.approx([0, -1, -2, -3, -4])
    # Eigenvalues of rank 2 are zero: they have no logarithm.
    assert values_of(table, statistic="log10 eigenvalue", networks="reinitialized", rank=2) == []


def test_no_draw_is_in_two_displacements(table: pd.DataFrame) -> None:
    pairs = [(0, 1), (2, 3)]
    expected = [(a + b / 10) / 10 for a, b in pairs]
    for statistic, rank in (("displacement", 1), ("displacement", 2), ("subspace displacement", 0)):
        for networks in ("reinitialized", "observed", "untrained permuted"):
            found = values_of(table, statistic=statistic, rank=rank, networks=networks)
            assert found == pytest.approx(expected)


def test_draws_of_trained_networks_are_told_apart_by_optimizer(table: pd.DataFrame) -> None:
    """SGD has draws 0, 2, 4 and 6, Adam 1, 3 and 5, of which the last is without a partner."""
    known = {"networks": "permuted", "rank": 1}
    eigenvalues = {
        name: values_of(table, statistic="log10 eigenvalue", optimizer=name, **known) for name in ("sgd", "adam")
    }
    assert eigenvalues == {"sgd": [0, 2, 4, 6], "adam": [1, 3, 5]}
    moved = {name: values_of(table, statistic="displacement", optimizer=name, **known) for name in eigenvalues}
    assert moved["sgd"] == pytest.approx([(0 + 2 / 10) / 10, (4 + 6 / 10) / 10])
    assert moved["adam"] == pytest.approx([(1 + 3 / 10) / 10])


def test_runs_are_seen_at_their_first_and_last_checkpoint(table: pd.DataFrame) -> None:
    for moment, eigenvalue, ratio in (("start", 1, -1), ("end", 2, -2)):
        known = {"networks": moment, "rank": 1}
        assert values_of(table, statistic="log10 eigenvalue", **known) == pytest.approx([eigenvalue] * 3)
        assert values_of(table, statistic="log10 IPR", **known) == pytest.approx([ratio] * 3)
    # Of what is negative or masked there is no logarithm.
    assert values_of(table, networks="end", rank=2, statistic="log10 eigenvalue") == []
    assert values_of(table, networks="end", rank=2, statistic="log10 IPR") == []


def test_displacements_of_runs_are_those_between_neighbouring_seeds(table: pd.DataFrame) -> None:
    angles = [0.3, 0.5, 0.8]
    found = values_of(table, networks="end", rank=1, statistic="displacement")
    assert found == pytest.approx([2 - 2 * np.cos(angle) for angle in angles], abs=1e-6)
    subspace = values_of(table, networks="end", rank=0, statistic="subspace displacement")
    assert subspace == pytest.approx([np.sin(angle) ** 2 / 2 for angle in angles], abs=1e-6)
    assert values_of(table, networks="start", rank=1, statistic="displacement") == pytest.approx([0] * 3)


@pytest.mark.parametrize(("seeds", "displacements"), [(1, 0), (2, 1), (3, 3)])
def test_two_seeds_have_one_displacement_between_them(tmp_path: Path, seeds: int, displacements: int) -> None:
    runs = [write_run(tmp_path, seed, 0.1 * seed) for seed in range(seeds)]
    table = read_values([], [], *zip(*runs, strict=True))
    assert len(values_of(table, networks="end", rank=1, statistic="displacement")) == displacements


def test_pairs_that_are_not_converged_have_no_displacement(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, seed, 0.1, converged=seed != 1) for seed in range(3)]
    table = read_values([], [], *zip(*runs, strict=True))
    end = table[(table["networks"] == "end") & (table["statistic"] == "displacement")]
    assert end.groupby("rank")["number"].apply(list).to_dict() == {1: [0, 1, 2], 2: [2]}


def test_copies_are_compared_once(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, seed, angle) for seed, angle in enumerate([0.0, 0.3])]
    copied = write_run(tmp_path, 2, 0.3)
    metrics = blank("metrics")
    original = open_store(runs[1][0], "metrics")
    settings, summary = original.attrs["settings"], original.attrs["summary"]
    settings["training"]["seed"] = 2
    measured = {name: original[name].values for name in metrics}
    write_store(copied[0], "metrics", measured, settings, summary)
    null = write_baseline(tmp_path, "reinitialized", [-1] * 5)
    draws = blank("baseline", draw=5, pair=10) | {"draw": np.arange(5), "optimizer": np.full(5, -1)}
    write_store(tmp_path / "same.zarr", "baseline", draws, open_store(null, "baseline").attrs["settings"])
    table = read_values([tmp_path / "same.zarr"], [], *zip(*runs, copied, strict=True))
    known = {"statistic": "log10 IPR", "rank": 1}
    assert len(values_of(table, networks="end", **known)) == 2
    assert len(values_of(table, networks="end", statistic="displacement", rank=1)) == 1
    assert len(values_of(table, networks="reinitialized", **known)) == 1
    assert values_of(table, networks="reinitialized", statistic="displacement", rank=1) == []

"""Extensions 1 and 2 of the smoke study, against stored eigenvectors with plain numpy."""

from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
import zarr

pytestmark = pytest.mark.xdist_group("smoke")

OPTIMIZERS = {"sgd": "batch64-lr0.05", "adam": "batch64-lr0.001"}
DATASETS = ("digits", "mnist5k")
# Seven checkpoints 10 steps apart, of which every second has 5 eigenpairs; the lag is 20 steps.
WAITING, LAST = (0, 10, 20, 30, 40), 60


@pytest.fixture(scope="module")
def frames(smoke):
    """Unit eigenvectors (checkpoint, rank, parameter) and gaps by data set, optimizer, seed and kind."""

    def load(dataset, optimizer, seed, kind):
        run = (
            smoke.path / f"results/smoke/runs/{dataset}/mlp-8/{optimizer}/{OPTIMIZERS[optimizer]}/seed{seed}"
        )
        group = zarr.open_group(run / f"{kind}eigenpairs.zarr", mode="r")
        vectors = np.asarray(group["eigenvector"]).astype(float)
        assert np.asarray(group["converged"]).all()
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.asarray(group["gap"])

    keys = product(DATASETS, OPTIMIZERS, (0, 1), ("", "wide/"))
    return {key: load(*key) for key in keys}


def table(smoke, name):
    return pd.read_csv(smoke.path / f"results/smoke/figures/{name}.csv")


def moved(a, b):
    return 2 * (1 - np.abs(np.sum(a * b, axis=-1)))


def followed(vectors):
    """The vectors, each direction in the place that it had at first, by trying all matches."""
    result = [vectors[0]]
    for frame in vectors[1:]:
        overlap = np.abs(result[-1] @ frame.T)
        ranks = range(len(frame))
        best = max(permutations(ranks), key=lambda order: sum(overlap[i, j] for i, j in enumerate(order)))
        result.append(frame[list(best)])
    return np.array(result)


def over_lag(frames, dataset, optimizer, seed, kind=""):
    """By rank and tracked displacement over the lag at each waiting time (waiting, rank), of three ranks."""
    vectors, _ = frames[dataset, optimizer, seed, kind]
    apart = 10 * 6 // (len(vectors) - 1)
    starts = [step // apart for step in WAITING if step % apart == 0]
    lag = 20 // apart
    by_rank = [moved(vectors[t, :3], vectors[t + lag, :3]) for t in starts]
    tracked = [moved(vectors[t, :3], followed(vectors[t : t + lag + 1])[-1, :3]) for t in starts]
    return np.array(by_rank), np.array(tracked)


@pytest.mark.parametrize("kind", ["", "wide/"])
def test_ext01_is_the_displacement_by_rank_and_of_followed_directions(smoke, frames, kind):
    shown = table(smoke, "ext01_tracked_displacement")
    waiting = WAITING[::2] if kind else WAITING
    among = ", among 5" if kind else ""
    for dataset, optimizer in product(DATASETS, OPTIMIZERS):
        seeds = [over_lag(frames, dataset, optimizer, seed, kind) for seed in (0, 1)]
        rows = shown[(shown["dataset"] == dataset) & (shown["optimizer"] == optimizer)]
        names = ["tracked_displacement, among 5"] if kind else ["displacement", "tracked_displacement"]
        for name in names:
            means = np.array([seed["tracked" in name].mean(1) for seed in seeds])
            band = rows[rows["quantity"] == name]
            assert tuple(band["waiting_time"]) == waiting
            for column, over in (("mean", np.mean), ("minimum", np.min), ("maximum", np.max)):
                np.testing.assert_allclose(band[column], over(means, axis=0), rtol=1e-6, atol=1e-9)
        share = rows[rows["quantity"] == f"share of swaps{among}"]
        whole, rest = (sum(seed[index].mean(1) for seed in seeds) for index in (0, 1))
        np.testing.assert_allclose(share["share"], 1 - rest / whole, rtol=1e-5, atol=1e-7)


def test_ext01_counts_swaps_by_the_smallest_gap_on_the_way(smoke, frames):
    shown = table(smoke, "ext01_tracked_displacement")
    for dataset, optimizer in product(DATASETS, OPTIMIZERS):
        curves = []
        for seed in (0, 1):
            gaps = frames[dataset, optimizer, seed, ""][1]
            closest = np.array([gaps[t : t + 3].min(0) for t in range(5)])
            by_rank, tracked = over_lag(frames, dataset, optimizer, seed)
            limits = np.geomspace(0.001, 1, 31)
            curves.append([(by_rank - tracked)[closest < g].sum() / by_rank.sum() for g in limits])
        rows = shown[(shown["dataset"] == dataset) & (shown["optimizer"] == optimizer) & shown["gap"].notna()]
        np.testing.assert_allclose(rows["mean"], np.mean(curves, axis=0), rtol=1e-5, atol=1e-7)


def test_ext02_is_the_projection_of_one_span_on_the_other(smoke, frames):
    shown = table(smoke, "ext02_subspace_displacement")
    for dataset, optimizer in product(DATASETS, OPTIMIZERS):
        rows = shown[(shown["dataset"] == dataset) & (shown["optimizer"] == optimizer)]
        for k, kind, lag in ((3, "", 2), (5, "wide/", 1)):
            values = []
            for seed in (0, 1):
                vectors = frames[dataset, optimizer, seed, kind][0][:, :k]
                pairs = zip(vectors[:-lag], vectors[lag:], strict=True)
                # The squared sines of the principal angles.
                values.append([1 - np.mean(np.linalg.svd(a @ b.T)[1] ** 2) for a, b in pairs])
            band = rows[(rows["quantity"] == "span") & (rows["ranks"] == k)]
            np.testing.assert_allclose(band["mean"], np.mean(values, axis=0), rtol=1e-6, atol=1e-8)
        both = []
        for seed in (0, 1):
            vectors = frames[dataset, optimizer, seed, ""][0]
            sines = [1 - np.sum(a * b, axis=1) ** 2 for a, b in zip(vectors[:-2], vectors[2:], strict=True)]
            both.append(np.mean(sines, axis=1))
        each = rows[rows["quantity"] == "each by itself"]
        np.testing.assert_allclose(each["mean"], np.mean(both, axis=0), rtol=1e-6, atol=1e-8)
        span = rows[(rows["quantity"] == "span") & (rows["ranks"] == 3)]
        within = rows[rows["quantity"] == "share within the span of 3"]
        expected = 1 - span["mean"].to_numpy() / each["mean"].to_numpy()
        np.testing.assert_allclose(within["share"], expected, rtol=1e-6, atol=1e-8)


def test_ext02_holds_spans_against_those_of_draws(smoke):
    shown = table(smoke, "ext02_subspace_displacement")
    null = shown[shown["quantity"] == "baseline"]
    for dataset, (k, name) in product(DATASETS, ((3, "reinitialized"), (5, "wide-reinitialized"))):
        group = zarr.open_group(smoke.path / f"results/smoke/null/{dataset}/mlp-8/{name}.zarr", mode="r")
        vectors = np.asarray(group["eigenvector"]).astype(float)[:, :k]
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
        assert len(vectors) == (6 if k > 3 else 10)
        apart = [
            1 - np.linalg.norm(a @ b.T) ** 2 / k for i, a in enumerate(vectors) for b in vectors[i + 1 :]
        ]
        row = null[(null["dataset"] == dataset) & (null["of"] == "span") & (null["ranks"] == k)]
        np.testing.assert_allclose(row[["low", "median", "high"]], [np.quantile(apart, [0.05, 0.5, 0.95])])

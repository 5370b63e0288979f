"""Figure 8, the minima, and extensions 5 and 6: the preconditioned Hessian and flatness."""

import numpy as np
import pytest
import xarray as xr
from figure_checks import check_labels, check_legend
from figures_helpers import PARAMETERS, collection, labels_of
from scipy.stats import spearmanr

from eigendrift.figures import curvature
from eigendrift.figures.curvature import draw_minima, read_minima
from eigendrift.figures.style import house_style
from eigendrift.stores.writing import write_store

POINTS = 50
LAG = 0.25


def minimum(number: int = 0, seeds: int = 3, diverged: tuple[int, ...] = (), unconverged: int = 0) -> xr.Dataset:
    """Return the best of some minima, with values that depend on ``number``."""
    random = np.random.default_rng(number)
    lost = np.isin(np.arange(seeds), diverged)
    loss = np.where(lost, np.nan, 1 + random.random(seeds))
    known = not lost.all()
    best = loss == np.nanmin(loss) if known else np.zeros(seeds, bool)
    nothing = 1.0 if known else np.nan
    points = np.linspace(-1, 10, POINTS)
    arrays = {
        "seed": ("seed", np.arange(seeds)),
        "rank": ("rank", np.arange(1, 7)),
        "loss": ("seed", loss),
        "accuracy": ("seed", np.where(lost, np.nan, random.random(seeds))),
        "best": ("seed", best),
        "eigenvalue": ("rank", nothing * np.sort(random.random(6))[::-1]),
        "residual": ("rank", np.full(6, 1e-6)),
        "converged": ("rank", np.arange(6) < 6 - unconverged if known else np.zeros(6, bool)),
        "curvature": ("point", nothing * points),
        "density": ("point", nothing * np.exp(-(points**2))),
    }
    summary = {
        "best_seed": int(best.argmax()) if known else None,
        "parameters": 1000,
        "samples": 50,
        "trace": 10.0 + number if known else None,
        "trace_standard_error": 0.5 if known else None,
        "smoothing": 0.1 if known else None,
        "products": 100,
    }
    return xr.Dataset(arrays, attrs={"summary": summary})


def minima(**settings) -> dict[str, dict[str, xr.Dataset]]:
    return {
        dataset: {name: minimum(3 * number + index, **settings) for index, name in enumerate(("sgd", "adam"))}
        for number, dataset in enumerate(("mnist5k", "digits"))
    }


@pytest.fixture(scope="module")
def whole():
    """The figure of minima in which nothing is missing."""
    with house_style({}):
        return draw_minima(minima())


def test_the_table_of_minima_contains_the_numbers_of_the_stores(whole):
    shown = whole.table.groupby(["dataset", "optimizer"])
    for dataset, by_optimizer in minima().items():
        for optimizer, store in by_optimizer.items():
            rows = shown.get_group((dataset, optimizer)).groupby("quantity")
            density, runs = rows.get_group("spectral density"), rows.get_group("run")
            np.testing.assert_array_equal(density["curvature"], store["curvature"])
            np.testing.assert_array_equal(density["value"], store["density"])
            np.testing.assert_array_equal(runs["loss"], store["loss"])
            np.testing.assert_array_equal(runs["error_rate"], 1 - store["accuracy"])
            np.testing.assert_array_equal(runs["best"].astype(bool), store["best"])
            np.testing.assert_array_equal(rows.get_group("eigenvalue")["value"], store["eigenvalue"])
            trace = rows.get_group("trace")
            assert trace["value"].item() == store.attrs["summary"]["trace"]
            assert trace["standard_error"].item() == 0.5


def test_minima_have_a_row_for_each_data_set_and_lines_with_the_numbers_of_the_table(whole):
    axes = np.reshape(whole.figure.axes, (2, 3))
    titles = ["all eigenvalues", "all runs", "leading eigenvalues, and trace"]
    for row, dataset in zip(axes, ("mnist5k", "digits"), strict=True):
        assert [panel.get_title() for panel in row] == [f"{dataset}: {titles[0]}", *titles[1:]]
        assert all(panel.get_xlabel() and panel.get_ylabel() for panel in row)
        assert row[0].get_yscale() == row[2].get_yscale() == "log"
        shown = whole.table[whole.table["dataset"] == dataset].groupby(["optimizer", "quantity"])
        for line, optimizer in zip(row[0].lines, ("sgd", "adam"), strict=True):
            density = shown.get_group((optimizer, "spectral density"))["value"]
            np.testing.assert_array_equal(line.get_ydata(), density)
        points = np.array([(line.get_xdata()[0], line.get_ydata()[0]) for line in row[1].lines])
        runs = whole.table.query("dataset == @dataset and quantity == 'run'")
        np.testing.assert_array_equal(points, runs[["loss", "error_rate"]])
        sizes = [line.get_markersize() for line in row[1].lines]
        assert (np.array(sizes) == max(sizes)).tolist() == runs["best"].tolist()
    # The axis is long enough to show a single one of N eigenvalues, smoothed.
    assert axes[0, 0].get_ylim()[0] < 0.1 / (1000 * np.sqrt(2 * np.pi) * 0.1)
    assert labels_of(whole.figure) == ["SGD", "Adam", "best run", "other run"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "sentences"),
    [
        ({}, ["N = 1,000 parameters", "all over 50 training and test samples", "lowest loss of 3 seeds"]),
        ({"seeds": 1}, ["lowest loss of 1 seed;"]),
        ({"diverged": (1,)}, ["digits, adam: seed 1 diverged"]),
        ({"diverged": (0, 1, 2)}, ["mnist5k, sgd: seed 0 diverged", "mnist5k, sgd: seed 2 diverged"]),
        ({"unconverged": 2}, ["digits, sgd: without 2 unconverged eigenvalues"]),
    ],
)
def test_the_note_under_minima_says_what_is_shown_and_left_out(settings, sentences, whole):
    plotted = draw_minima(minima(**settings))
    for sentence in sentences:
        assert sentence in plotted.figure.get_supxlabel()
    plotted.figure.draw_without_rendering()
    table = plotted.table
    assert list(table.columns) == list(whole.table.columns)
    seeds = settings.get("seeds", 3) - len(settings.get("diverged", ()))
    assert (table["quantity"] == "run").sum() == 4 * seeds
    ranks = 6 - settings.get("unconverged", 0) if seeds else 0
    assert set(table.query("quantity == 'eigenvalue'")["rank"]) == set(range(1, ranks + 1))


def test_copies_are_left_out_and_noted():
    """Seed 3 of SGD ends as the best run does; seeds that diverged are no copies of each other."""
    source = {"digits": {"sgd": minimum(1, seeds=5, diverged=(0, 1)), "adam": minimum(2, seeds=5)}}
    store = source["digits"]["sgd"]
    for name in ("loss", "accuracy"):
        store[name][2:4] = 0.1
    store["best"][:] = np.arange(5) == 2
    plotted = draw_minima(source)
    runs = plotted.table.query("quantity == 'run' and optimizer == 'sgd'")
    assert runs["seed"].tolist() == [2, 4]
    below = plotted.figure.get_supxlabel()
    assert "lowest loss of 4 to 5 seeds" in below
    assert "digits, sgd: seed 3 ends as seed 2 does, to the bit, and is left out" in below
    assert below.count("to the bit") == 1


@pytest.mark.parametrize("lost", ["sgd", "adam"])
def test_an_optimizer_whose_runs_all_diverged_changes_nothing_for_the_other(lost, whole):
    source = minima()
    source["digits"][lost] = minimum(diverged=(0, 1, 2))
    plotted = draw_minima(source)
    plotted.figure.draw_without_rendering()
    rows = plotted.table.query("dataset == 'digits'")
    expected = whole.table.query("dataset == 'digits' and optimizer != @lost")
    assert rows["optimizer"].tolist() == expected["optimizer"].tolist()
    np.testing.assert_array_equal(rows["value"], expected["value"])
    assert plotted.figure.axes[3].get_yscale() == "log"


def test_stores_of_minima_are_ordered_by_data_set_and_optimizer(tmp_path):
    paths = []
    for dataset, by_optimizer in minima().items():
        for optimizer, store in by_optimizer.items():
            paths.append(tmp_path / f"{dataset}-{optimizer}.zarr")
            training = {"dataset": dataset, "optimizer": {"name": optimizer}}
            columns = {name: values.values for name, values in store.variables.items()}
            write_store(paths[-1], "minimum", columns, {"training": training}, store.attrs["summary"])
    found = read_minima(paths)
    for dataset, by_optimizer in minima().items():
        assert list(found[dataset]) == ["sgd", "adam"]
        for optimizer, store in by_optimizer.items():
            np.testing.assert_array_equal(found[dataset][optimizer]["loss"], store["loss"])
            assert found[dataset][optimizer].attrs["summary"] == store.attrs["summary"]


@pytest.mark.parametrize("smallest", [1e-5, 1e10, 2.9e15])
def test_the_axis_of_eigenvalues_has_labels_for_any_size(smallest):
    store = minimum(seeds=1)
    store["eigenvalue"] = "rank", np.geomspace(3e15, smallest, 6)
    store.attrs["summary"] |= {"trace": None, "trace_standard_error": None}
    figure = draw_minima({"digits": {"sgd": store}}).figure
    figure.draw_without_rendering()
    axis = figure.axes[2].yaxis
    low, high = axis.get_view_interval()
    shown = [tick.label1.get_text() for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    assert 2 <= sum(map(bool, shown)) <= 12


def preconditioned(seeds=2, unconverged=0):
    source = collection(checkpoints=9)
    own = source.runs["digits"].sel(optimizer="adam").isel(seed=slice(seeds)).drop_vars("optimizer")
    own = own.assign(eigenvalue=10 * own["eigenvalue"])
    thresholds = {"digits": {"sgd": 40.0, "adam": 380.0}}
    return curvature.PreconditionedRuns(source, {"digits": {"adam": own}}, thresholds, {"digits": unconverged})


def test_the_preconditioned_hessian_has_its_own_lines_and_eigenvalues_their_thresholds():
    source = preconditioned()
    plotted = curvature.draw_preconditioned(source, LAG)
    check_labels(plotted.figure)
    check_legend(plotted.figure)
    assert {panel.get_title() for panel in plotted.figure.axes} == {f"digits (N = {PARAMETERS})"}
    table = plotted.table.set_index(["quantity", "optimizer", "hessian"]).sort_index()
    runs = source.collection.runs["digits"].sel(rank=1)
    plain = table.loc[("eigenvalue over threshold", "sgd", "plain"), "mean"]
    np.testing.assert_allclose(plain, runs["eigenvalue"].sel(optimizer="sgd").mean("seed") / 40)
    own = table.loc[("eigenvalue over threshold", "adam", "preconditioned")]
    np.testing.assert_allclose(own["mean"], 10 * runs["eigenvalue"].sel(optimizer="adam").mean("seed") / 380)
    assert set(own["threshold"]) == {380.0}
    # There is no threshold for Adam's plain Hessian.
    assert ("eigenvalue over threshold", "adam", "plain") not in table.index
    moved = table.loc[("displacement", "adam", "preconditioned")]
    np.testing.assert_array_equal(moved["step"], 10 * np.arange(7))
    displaced = runs["displacement"].sel(optimizer="adam").mean("seed").values
    np.testing.assert_allclose(moved["mean"], displaced[np.arange(7), np.arange(7) + 2])


def test_the_note_counts_seeds_and_unconverged_pairs_of_the_preconditioned_hessian():
    below = curvature.draw_preconditioned(preconditioned(1, 3), LAG).figure.get_supxlabel()
    assert "preconditioned Hessian of Adam: 1 seed; without 3 unconverged eigenpairs of it" in below


def flat_runs(relation, seeds=5, settings=4):
    """Return runs whose displacement, λ1 and accuracy are ``relation(optimizer, setting, seed)``."""
    runs = []
    places = [(dataset, optimizer) for dataset in ("digits", "mnist5k") for optimizer in ("sgd", "adam")]
    for place, (dataset, optimizer) in enumerate(places):
        for setting in range(settings):
            for seed in range(seeds):
                moved, eigenvalue, accuracy = relation(place, setting, seed)
                displaced = np.full((9, 9, 2), 99.0)
                displaced[4:7] = moved
                arrays = {
                    "displacement": (("waiting", "checkpoint", "rank"), displaced),
                    "eigenvalue": (("checkpoint", "rank"), np.full((9, 2), eigenvalue)),
                    "test_accuracy": ("checkpoint", np.full(9, accuracy)),
                }
                coordinates = {"step": ("checkpoint", 10 * np.arange(9)), "rank": [1, 2], "seed": seed}
                names = {"dataset": dataset, "optimizer": optimizer}
                numbers = {"batch_size": 32 * (setting + 1), "learning_rate": 0.1}
                run = xr.Dataset(arrays, coordinates, names | numbers)
                runs.append(run.assign(diverged_at=np.nan))
    return runs


def drawn(runs):
    plotted = curvature.draw_flatness(curvature.DistinctRuns(runs), LAG, 0.95, 499)
    table = plotted.table
    found = table[table["quantity"] == "correlation"].set_index(["x", "y", "runs_compared"])
    return plotted, found


def test_correlations_over_settings_and_over_seeds_are_separate():
    """λ1 falls with displacement within a setting and rises over settings; accuracy differs by block only."""
    random = np.random.default_rng(0)

    def relation(place, setting, seed):
        return 10 * setting + seed + 1, 100 * setting - seed + 50, place / 10 + 0.01 * random.random()

    runs = flat_runs(relation)
    plotted, found = drawn(runs)
    check_labels(plotted.figure)
    check_legend(plotted.figure)
    titles = [panel.get_title() for panel in plotted.figure.axes]
    assert titles == 3 * ["digits"] + 3 * ["mnist5k"] + 3 * ["all data sets"]
    settings, seeds = (found.loc[("displacement", "eigenvalue", f"{name} vary")] for name in ("settings", "seeds"))
    assert settings["coefficient"] == pytest.approx(1)
    assert seeds["coefficient"] == pytest.approx(-1)
    assert (settings["units"], settings["blocks"]) == (16, 4)
    assert (seeds["units"], seeds["blocks"]) == (80, 16)
    assert seeds["corrected_p"] == pytest.approx(6 * seeds["p"])
    unrelated = found.loc[("displacement", "accuracy", "seeds vary")]
    assert unrelated["low"] < 0 < unrelated["high"]
    points = plotted.table[plotted.table["quantity"] == "run"]
    assert len(points) == len(runs)
    pooled = found.loc[("displacement", "eigenvalue", curvature.POOLED), "coefficient"]
    assert pooled == pytest.approx(spearmanr(points["displacement"], points["eigenvalue"]).statistic)
    shown = sum(len(line.get_xdata()) for panel in plotted.figure.axes[:6] for line in panel.lines)
    assert shown == 3 * len(runs)


def test_runs_that_diverged_or_lack_a_pair_are_left_out_and_counted():
    runs = flat_runs(lambda place, setting, seed: (setting + seed + 1, setting + 2 * seed + 1, 0.5))
    runs[0] = runs[0].assign(diverged_at=40.0)
    runs[1] = runs[1].assign(eigenvalue=np.nan * runs[1]["eigenvalue"])
    plotted, _ = drawn(runs)
    assert (
        f"{len(runs) - 2} in all; without 1 that diverged, 0 that repeat the training of another seed and 1 "
        "with an eigenpair"
    ) in plotted.figure.get_supxlabel()
    assert (plotted.table["quantity"] == "run").sum() == len(runs) - 2


@pytest.mark.slow
@pytest.mark.parametrize("kept", [0, 1, 3])
def test_too_few_runs_have_no_correlation(kept):
    runs = flat_runs(lambda place, setting, seed: (setting + seed + 1, 0.5, seed))
    runs = [run.assign(diverged_at=np.nan if index < kept else 5.0) for index, run in enumerate(runs)]
    plotted, found = drawn(runs)
    assert found.drop(curvature.POOLED, level="runs_compared")["coefficient"].isna().all()
    assert found["corrected_p"].isna().all()
    plotted.figure.draw_without_rendering()

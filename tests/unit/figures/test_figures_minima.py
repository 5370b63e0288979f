"""Figure 8 on made-up minima: what is drawn, in which panel, and what stands below."""

import numpy as np
import pytest
import xarray as xr

from eigendrift.figures.curvature import draw_minima, read_minima
from eigendrift.stores.writing import write_store

POINTS = 50


def minimum(number: int = 0, seeds: int = 3, diverged: tuple[int, ...] = (), unconverged: int = 0) -> xr.Dataset:
    """The best of some minima; its numbers differ with ``number``."""
    random = np.random.default_rng(number)
    lost = np.isin(np.arange(seeds), diverged)
    loss = np.where(lost, np.nan, 1 + random.random(seeds))
    known = not lost.all()
    best = loss == np.nanmin(loss) if known else np.zeros(seeds, bool)
    nothing = 1.0 if known else np.nan
    curvature = np.linspace(-1, 10, POINTS)
    arrays = {
        "seed": ("seed", np.arange(seeds)),
        "rank": ("rank", np.arange(1, 7)),
        "loss": ("seed", loss),
        "accuracy": ("seed", np.where(lost, np.nan, random.random(seeds))),
        "best": ("seed", best),
        "eigenvalue": ("rank", nothing * np.sort(random.random(6))[::-1]),
        "residual": ("rank", np.full(6, 1e-6)),
        "converged": ("rank", np.arange(6) < 6 - unconverged if known else np.zeros(6, bool)),
        "curvature": ("point", nothing * curvature),
        "density": ("point", nothing * np.exp(-(curvature**2))),
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


def test_the_table_holds_the_stores_numbers():
    source = minima()
    shown = draw_minima(source).table.groupby(["dataset", "optimizer"])
    for dataset, by_optimizer in source.items():
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


def test_a_row_for_each_data_set_and_lines_that_are_the_table():
    plotted = draw_minima(minima())
    axes = np.reshape(plotted.figure.axes, (2, 3))
    titles = ["all eigenvalues", "all runs", "leading eigenvalues, and trace"]
    for row, dataset in zip(axes, ("mnist5k", "digits"), strict=True):
        assert [panel.get_title() for panel in row] == [f"{dataset}: {titles[0]}", *titles[1:]]
        assert all(panel.get_xlabel() and panel.get_ylabel() for panel in row)
        assert row[0].get_yscale() == row[2].get_yscale() == "log"
        shown = plotted.table[plotted.table["dataset"] == dataset].groupby(["optimizer", "quantity"])
        for line, optimizer in zip(row[0].lines, ("sgd", "adam"), strict=True):
            np.testing.assert_array_equal(line.get_ydata(), shown.get_group((optimizer, "spectral density"))["value"])
        points = np.array([(line.get_xdata()[0], line.get_ydata()[0]) for line in row[1].lines])
        runs = plotted.table.query("dataset == @dataset and quantity == 'run'")
        np.testing.assert_array_equal(points, runs[["loss", "error_rate"]])
        sizes = [line.get_markersize() for line in row[1].lines]
        assert (np.array(sizes) == max(sizes)).tolist() == runs["best"].tolist()


def test_an_eigenvalue_alone_is_visible():
    """The axis reaches below the height that one of N eigenvalues has, smoothed."""
    panel = draw_minima(minima()).figure.axes[0]
    assert panel.get_ylim()[0] < 0.1 / (1000 * np.sqrt(2 * np.pi) * 0.1)


def test_the_legend_names_optimizers_and_kinds_of_runs():
    legend = draw_minima(minima()).figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["SGD", "Adam", "best run", "other run"]


@pytest.mark.parametrize(
    ("settings", "sentences"),
    [
        ({}, ["N = 1,000 parameters", "all over 50 training and test samples", "lowest loss of 3 seeds"]),
        ({"seeds": 1}, ["lowest loss of 1 seed;"]),
        ({"diverged": (1,)}, ["digits, adam: seed 1 diverged"]),
        ({"diverged": (0, 1, 2)}, ["mnist5k, sgd: seed 0 diverged", "mnist5k, sgd: seed 2 diverged"]),
        ({"unconverged": 1}, ["digits, sgd: without 1 unconverged eigenvalue"]),
    ],
)
def test_what_a_reader_must_know_stands_below(settings, sentences):
    plotted = draw_minima(minima(**settings))
    for sentence in sentences:
        assert sentence in plotted.figure.get_supxlabel()
    plotted.figure.draw_without_rendering()
    runs = [row for row in plotted.table.to_dict("records") if row["quantity"] == "run"]
    assert len(runs) == 4 * (settings.get("seeds", 3) - len(settings.get("diverged", ())))


def test_copies_are_no_runs_and_are_noted():
    """Seed 3 of SGD ends as the best run does; seeds that diverged are no copies of each other."""
    source = {"digits": {"sgd": minimum(1, seeds=5, diverged=(0, 1)), "adam": minimum(2, seeds=5)}}
    store = source["digits"]["sgd"]
    for name in ("loss", "accuracy"):
        store[name][2] = 0.1
        store[name][3] = 0.1
    store["best"][:] = np.arange(5) == 2
    plotted = draw_minima(source)
    runs = plotted.table.query("quantity == 'run' and optimizer == 'sgd'")
    assert runs["seed"].tolist() == [2, 4]
    below = plotted.figure.get_supxlabel()
    assert "lowest loss of 4 to 5 seeds" in below
    assert "digits, sgd: seed 3 ends as seed 2 does, to the bit, and is left out" in below
    assert below.count("to the bit") == 1


@pytest.mark.parametrize("lost", ["sgd", "adam"])
def test_one_optimizer_that_diverged_leaves_the_other_as_it_is(lost):
    whole, source = minima(), minima()
    source["digits"][lost] = minimum(diverged=(0, 1, 2))
    plotted = draw_minima(source)
    plotted.figure.draw_without_rendering()
    rows = plotted.table.query("dataset == 'digits'")
    assert set(rows["optimizer"]) == {"sgd", "adam"} - {lost}
    expected = draw_minima(whole).table.query("dataset == 'digits' and optimizer != @lost")
    np.testing.assert_array_equal(rows["value"], expected["value"])
    assert plotted.figure.axes[3].get_yscale() == "log"


def test_a_table_without_rows_still_has_a_header():
    plotted = draw_minima(minima(diverged=(0, 1, 2)))
    assert plotted.table.empty
    assert list(plotted.table.columns) == list(draw_minima(minima()).table.columns)


def test_unconverged_eigenvalues_are_left_out():
    table = draw_minima(minima(unconverged=2)).table.query("quantity == 'eigenvalue'")
    assert set(table["rank"]) == {1, 2, 3, 4}


def test_stores_are_found_by_data_set_and_optimizer(tmp_path):
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
def test_eigenvalues_of_any_size_have_labels_beside_them(smallest):
    store = minimum(seeds=1)
    store["eigenvalue"] = "rank", np.geomspace(3e15, smallest, 6)
    store.attrs["summary"] |= {"trace": None, "trace_standard_error": None}
    figure = draw_minima({"digits": {"sgd": store}}).figure
    figure.draw_without_rendering()
    axis = figure.axes[2].yaxis
    low, high = axis.get_view_interval()
    shown = [tick.label1.get_text() for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    assert 2 <= sum(map(bool, shown)) <= 12

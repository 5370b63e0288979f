"""Figures that show several null models, and extension 8 about the null models themselves."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from figures_helpers import collection, labels_of

from eigendrift.figures import nulls
from eigendrift.figures.displacement import draw_displacement
from eigendrift.figures.localization import draw_localization
from eigendrift.figures.style import house_style
from eigendrift.metrics.collection import Collection
from eigendrift.stores.tables import write_checksummed_table

NULLS = ["isotropic", "reinitialized", "permuted"]


def with_permuted() -> Collection:
    """Return runs with a second null model, whose draws 0 and 2 belong to SGD, 1 and 3 to Adam."""
    ratios, displacements = np.array([[0.1], [0.2], [0.3], [0.4]]), np.array([[0.5], [0.7]])
    permuted = xr.Dataset(
        {
            "optimizer": ("draw", np.array([0, 1, 0, 1])),
            "inverse_participation_ratio": (("draw", "rank"), ratios * [1, 1, 1]),
            "displacement": (("pair", "rank"), displacements * [1, 1, 1]),
        },
        {"rank": np.arange(3) + 1},
        {"settings": {"trainings": [{"optimizer": {"name": name}} for name in ("sgd", "adam")]}},
    )
    return replace(collection(), further={"permuted": {"digits": permuted}})


def medians(table: pd.DataFrame, *by: str) -> dict[object, float]:
    return table[table["quantity"] == "baseline"].set_index([*by])["median"].to_dict()


def test_each_optimizer_has_its_own_null_displacements_and_each_null_model_its_own_line():
    plotted = draw_displacement(with_permuted(), "digits", 3)
    found = medians(plotted.table, "null_model", "optimizer")
    assert found["permuted", "sgd"] == 0.5
    assert found["permuted", "adam"] == 0.7
    assert found["reinitialized", "sgd"] == found["reinitialized", "adam"]
    names = [label.partition(" (")[0] for label in labels_of(plotted.figure)]
    shown = [names.index(f"{null} null") for null in ("reinitialized", "permuted")]
    one, other = (plotted.figure.legends[0].get_lines()[place] for place in shown)
    assert one.get_color() != other.get_color()
    assert one._unscaled_dash_pattern != other._unscaled_dash_pattern


def test_localizations_of_all_optimizers_are_pooled_and_the_note_says_so():
    plotted = draw_localization(with_permuted())
    assert medians(plotted.table, "null_model")["permuted"] == pytest.approx(0.25)
    assert "draws of all optimizers together" in plotted.figure.get_supxlabel()
    assert "draws of all optimizers" not in draw_localization(collection()).figure.get_supxlabel()


def validation() -> nulls.Validation:
    """Return values of untrained networks, three null models and two optimizers, and verdicts."""
    random = np.random.default_rng(0)
    networks = [("observed", "", 8), *((null, "", 8) for null in NULLS[:2]), ("untrained permuted", "", 8)]
    for optimizer in ("sgd", "adam"):
        networks += [(name, optimizer, 3) for name in ("start", "end", "permuted")]
    values = [
        (dataset, name, optimizer, number, statistic, rank, random.normal())
        for dataset in ("digits", "mnist5k")
        for name, optimizer, count in networks
        for statistic, (rank, *_) in nulls.SHOWN.items()
        for number in range(count)
        # Random directions have no spectrum.
        if (name, statistic) != ("isotropic", "log10 eigenvalue")
    ]
    columns = ["dataset", "networks", "optimizer", "number", "statistic", "rank", "value"]
    verdicts = [
        (dataset, null, statistic, rank, verdict)
        for dataset in ("digits", "mnist5k")
        for null, verdict in zip(NULLS, ("different", "alike", "cannot tell"), strict=True)
        for statistic, (rank, *_) in nulls.SHOWN.items()
    ]
    return nulls.Validation(
        pd.DataFrame(values, columns=columns),
        pd.DataFrame(verdicts, columns=["dataset", "null_model", "statistic", "rank", "verdict"]),
    )


@pytest.fixture(scope="module")
def plotted():
    with house_style({}):
        return nulls.draw_null_models(validation())


def test_every_value_is_a_point_and_a_row_of_the_table(plotted):
    given = validation()
    rows = plotted.table.dropna(subset="value")
    assert len(rows) == len(given.values)
    drawn = sum(len(line.get_xdata()) for panel in plotted.figure.axes for line in panel.get_lines())
    assert drawn == len(given.values)
    keys = ["dataset", "statistic", "networks", "optimizer", "number"]
    both = rows.merge(given.values, on=keys, suffixes=("_drawn", ""))
    logarithms = both["statistic"].str.startswith("log10")
    expected = both["value"].where(~logarithms, 10 ** both["value"])
    np.testing.assert_allclose(both["value_drawn"], expected)


def test_rows_are_named_once_and_panels_show_the_verdicts(plotted):
    first = plotted.figure.axes[0]
    untrained = ["untrained networks", *(f"{name} null" for name in NULLS)]
    labels = [text.get_text() for text in first.get_yticklabels()]
    assert labels == [*untrained, "SGD", "permuted, SGD", "Adam", "permuted, Adam"]
    assert [text.get_text() for text in first.texts] == ["≠", "=", "?"]
    assert all(panel.get_xlabel() for panel in plotted.figure.axes)


def test_the_band_is_the_central_95_percent_of_the_reinitialized_draws(plotted):
    given = validation().values
    band = plotted.table.dropna(subset="low").set_index(["dataset", "statistic"])
    own = given[given["networks"] == "reinitialized"]
    for (dataset, statistic), row in band.iterrows():
        values = own.loc[(own["dataset"] == dataset) & (own["statistic"] == statistic), "value"]
        values = 10**values if statistic.startswith("log10") else values
        assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    assert len(band) == 2 * len(nulls.SHOWN)


def test_tables_are_read_with_optimizers_that_are_missing(tmp_path):
    given = validation()
    paths = [tmp_path / name for name in ("values.csv", "verdicts.csv")]
    for table, path in zip((given.values, given.verdicts), paths, strict=True):
        write_checksummed_table(path, table)
    again = nulls.read_null_models(*map(str, paths))
    pd.testing.assert_frame_equal(again.values, given.values)
    pd.testing.assert_frame_equal(again.verdicts, given.verdicts)

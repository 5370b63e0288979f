"""Extensions 4 to 6: anatomy, the preconditioned Hessian, and flatness."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from figure_checks import check_labels, check_legend
from figures_helpers import PARAMETERS, collection
from scipy.stats import spearmanr

from eigendrift.figures import curvature
from eigendrift.figures.localization import draw_anatomy
from eigendrift.metrics.anatomy import GRAINS

LAG = 0.25


def consistent(source):
    """Inverse participation ratios that are no smaller than layers and neurons make them."""
    for runs in (source.runs["digits"], source.baselines["digits"]):
        runs["layer_share"] = runs["layer_share"] / runs["layer_share"].sum("layer")
        for name in ("neuron_inverse_participation_ratio", "inverse_participation_ratio"):
            runs[name] = 0.5 + runs[name] / 2
    return source


def test_the_anatomy_has_a_bar_for_every_optimizer_and_null_model_and_parts_that_add_up():
    source = consistent(collection())
    trained = source.baselines["digits"].assign(optimizer=("draw", [0, 1, 0, 1]))
    trained.attrs["settings"] = {"trainings": [{"optimizer": {"name": n}} for n in ("sgd", "adam")]}
    source = replace(source, further={"permuted": {"digits": trained}})
    plotted = draw_anatomy(source)
    check_labels(plotted.figure)
    names = [text.get_text() for text in plotted.figure.axes[0].get_yticklabels()]
    assert names == [
        "parameters",
        "reinitialized null",
        "SGD",
        "permuted, SGD",
        "Adam",
        "permuted, Adam",
    ]
    table = plotted.table.set_index(["networks", "optimizer", "quantity"])["value"]
    runs = source.runs["digits"].sel(rank=1)
    late = runs["inverse_participation_ratio"].sel(optimizer="adam")[:, 2:]
    expected = float(np.log10(PARAMETERS * late).mean())
    assert table["late", "adam", "log10 of N × IPR"] == pytest.approx(expected)
    parts = [table["late", "adam", f"log10 part of {grain}"] for grain in GRAINS]
    assert sum(parts) == pytest.approx(expected)
    assert min(parts) >= 0
    own = trained["inverse_participation_ratio"].sel(rank=1)[1::2]
    assert table["permuted", "adam", "log10 of N × IPR"] == pytest.approx(float(np.log10(PARAMETERS * own).mean()))


def test_bars_end_at_the_effective_numbers():
    plotted = draw_anatomy(consistent(collection()))
    totals = plotted.table.query("quantity == 'log10 of N × IPR'")["value"]
    ends = {round(patch.get_x() + patch.get_width(), 6) for patch in plotted.figure.axes[0].patches}
    assert {round(10**total, 6) for total in totals} <= ends
    written = [text.get_text().strip() for text in plotted.figure.axes[0].texts]
    assert written == [f"{PARAMETERS / 10**total:,.0f}" for total in totals]


def preconditioned_source(seeds=2):
    source = collection(checkpoints=9)
    own = source.runs["digits"].sel(optimizer="adam").isel(seed=slice(seeds)).drop_vars("optimizer")
    own = own.assign(eigenvalue=10 * own["eigenvalue"])
    thresholds = {"digits": {"sgd": 40.0, "adam": 380.0}}
    return curvature.PreconditionedRuns(source, {"digits": {"adam": own}}, thresholds, {"digits": 0})


def test_the_preconditioned_hessian_has_a_line_of_its_own_and_eigenvalues_their_thresholds():
    source = preconditioned_source()
    plotted = curvature.draw_preconditioned(source, LAG)
    check_labels(plotted.figure)
    check_legend(plotted.figure)
    assert {panel.get_title() for panel in plotted.figure.axes} == {f"digits (N = {PARAMETERS})"}
    table = plotted.table.set_index(["quantity", "optimizer", "hessian"]).sort_index()
    runs = source.collection.runs["digits"]
    plain = table.loc[("eigenvalue over threshold", "sgd", "plain"), "mean"]
    np.testing.assert_allclose(plain, runs["eigenvalue"].sel(optimizer="sgd", rank=1).mean("seed") / 40)
    own = table.loc[("eigenvalue over threshold", "adam", "preconditioned")]
    expected = 10 * runs["eigenvalue"].sel(optimizer="adam", rank=1).mean("seed") / 380
    np.testing.assert_allclose(own["mean"], expected)
    assert set(own["threshold"]) == {380.0}
    # Of Adam's plain Hessian there is no threshold.
    assert ("eigenvalue over threshold", "adam", "plain") not in table.index
    moved = table.loc[("displacement", "adam", "preconditioned")]
    np.testing.assert_array_equal(moved["step"], 10 * np.arange(7))
    displaced = runs["displacement"].sel(optimizer="adam", rank=1).mean("seed").values
    np.testing.assert_allclose(moved["mean"], displaced[np.arange(7), np.arange(7) + 2])


def test_it_says_of_how_many_seeds_it_is_and_what_is_masked():
    source = replace(preconditioned_source(1), unconverged={"digits": 3})
    below = curvature.draw_preconditioned(source, LAG).figure.get_supxlabel()
    assert "preconditioned Hessian of Adam: 1 seed; without 3 unconverged eigenpairs of it" in below


def flat_runs(relation, seeds=5, settings=4, datasets=("digits", "mnist5k")):
    """Runs whose displacement, λ1 and accuracy a relation makes of optimizer, setting and seed."""
    runs = []
    steps = 10 * np.arange(9)
    for place, (dataset, optimizer) in enumerate((d, o) for d in datasets for o in ("sgd", "adam")):
        for setting in range(settings):
            for seed in range(seeds):
                moved, eigenvalue, accuracy = relation(place, setting, seed)
                displaced = np.full((9, 9, 2), 99.0)
                displaced[4:7] = moved
                run = xr.Dataset(
                    {
                        "displacement": (("waiting", "checkpoint", "rank"), displaced),
                        "eigenvalue": (("checkpoint", "rank"), np.full((9, 2), eigenvalue)),
                        "test_accuracy": ("checkpoint", np.full(9, accuracy)),
                    },
                    {"step": ("checkpoint", steps), "rank": [1, 2], "seed": seed},
                    {
                        "dataset": dataset,
                        "optimizer": optimizer,
                        "batch_size": 32 * (setting + 1),
                        "learning_rate": 0.1,
                    },
                )
                runs.append(run.assign(diverged_at=np.nan))
    return runs


def drawn(runs):
    plotted = curvature.draw_flatness(curvature.DistinctRuns(runs), LAG, 0.95, 499)
    table = plotted.table
    found = table[table["quantity"] == "correlation"].set_index(["x", "y", "runs_compared"])
    return plotted, found


def test_relations_of_settings_and_of_seeds_are_told_apart():
    """Within a setting λ1 falls with displacement, over settings it rises; accuracy knows blocks alone."""
    random = np.random.default_rng(0)

    def relation(place, setting, seed):
        return 10 * setting + seed + 1, 100 * setting - seed + 50, place / 10 + 0.01 * random.random()

    runs = flat_runs(relation)
    plotted, found = drawn(runs)
    check_labels(plotted.figure)
    check_legend(plotted.figure)
    titles = [panel.get_title() for panel in plotted.figure.axes]
    assert titles == 3 * ["digits"] + 3 * ["mnist5k"] + 3 * ["all data sets"]
    assert found.loc[("displacement", "eigenvalue", "settings vary"), "coefficient"] == pytest.approx(1)
    assert found.loc[("displacement", "eigenvalue", "seeds vary"), "coefficient"] == pytest.approx(-1)
    settings = found.loc[("displacement", "eigenvalue", "settings vary")]
    assert (settings["units"], settings["blocks"]) == (16, 4)
    seeds = found.loc[("displacement", "eigenvalue", "seeds vary")]
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


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_too_few_runs_have_no_correlation(kept):
    runs = flat_runs(lambda place, setting, seed: (setting + seed + 1, 0.5, seed))
    runs = [run.assign(diverged_at=np.nan if index < kept else 5.0) for index, run in enumerate(runs)]
    plotted, found = drawn(runs)
    assert found.drop(curvature.POOLED, level="runs_compared")["coefficient"].isna().all()
    assert found["corrected_p"].isna().all()
    plotted.figure.draw_without_rendering()

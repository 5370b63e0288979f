"""A change reruns what depends on it, and nothing else."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from clone import Clone, Output, rewritten

pytestmark = pytest.mark.xdist_group("smoke")

# What a change touches first: rules, and what is in the paths of their outputs, both as patterns. Whatever is
# made from that follows, so figures are counted by themselves.
Outputs = Mapping[str, Output]
Touched = Mapping[str, str]
ALL_FIGURES = {r"(fig|ext)\d\d": ""}
# Of trained networks, so that training is part of them.
TRAINED_NULL = r"/(permuted|shuffled_labels)\."
MAIN_FIGURES = {f"fig0{number}" for number in (1, 2, 3, 4, 5, 6, 7, 9)}
SOLVED = {
    "eigenpairs": "",
    "wide_eigenpairs": "",
    "preconditioned_eigenpairs": "",
    "null_model": "",
    "minimum": "",
}


@contextmanager
def changed(smoke: Clone, **changes: Any) -> Iterator[None]:
    """The smoke study with keys, written a__b__c, set to other values."""
    path = smoke.path / "workflow/studies/smoke.yaml"
    study = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        *groups, last = key.split("__")
        place = study
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    with rewritten(path, yaml.safe_dump(study)):
        yield


@pytest.fixture(scope="module")
def before(smoke: Clone) -> Outputs:
    outputs = smoke.outputs()
    assert not any(output.pending for output in outputs.values())
    return outputs


def touched_by(outputs: Outputs, touched: Touched) -> set[str]:
    return {
        path
        for path, output in outputs.items()
        if any(re.fullmatch(rule, output.rule) and re.search(part, path) for rule, part in touched.items())
    }


def with_status(outputs: Outputs, status: str) -> set[str]:
    return {path for path, output in outputs.items() if output.status == status}


def and_what_follows(outputs: Outputs, first: set[str]) -> set[str]:
    found, size = set(first), -1
    while len(found) > size:
        size = len(found)
        found |= {path for path, output in outputs.items() if output.inputs & found}
    return found


def pending(outputs: Outputs) -> set[str]:
    return {path for path, output in outputs.items() if output.pending}


def rules_of(outputs: Outputs, paths: set[str]) -> set[str]:
    return {outputs[path].rule for path in paths}


def test_everything_follows_from_the_data_and_ends_in_figures_and_claims(before: Outputs) -> None:
    """What the other tests compute with is the workflow that the paper needs."""
    assert and_what_follows(before, touched_by(before, {"data": ""})) == set(before)
    from_metrics = rules_of(before, and_what_follows(before, touched_by(before, {"metrics": ""})))
    assert {"claims", *MAIN_FIGURES} < from_metrics
    for dataset in ("digits", "mnist5k"):
        for settings in ("sgd/batch64-lr0.05", "adam/batch64-lr0.001"):
            for seed in (0, 1):
                run = f"results/smoke/runs/{dataset}/mlp-8/{settings}/seed{seed}"
                assert {f"{run}/{kind}.zarr" for kind in ("trajectory", "eigenpairs", "metrics")} <= set(
                    before
                )


@pytest.mark.parametrize(
    ("changes", "touched"),
    [
        ({"figures__style": {"font.size": 9}}, ALL_FIGURES),
        ({"claims__lag": 0.25}, {"claims": "", "regimes": "", "ext0[1256]": ""}),
        ({"claims__sensitivity__ranks": [1, 5]}, {"claims": "", "ext02": ""}),
        ({"experiments__training_sizes__training_lengths": [1]}, {"regimes": ""}),
        ({"null_models__draws__reinitialized": 11}, {"null_model": "/reinitialized"}),
        ({"null_models__draws__wide": 7}, {"null_model": "/wide-"}),
        ({"null_models__validation__draws": 11}, {"null_model": "/untrained-"}),
        ({"null_models__validation__largest_shift": 2.0}, {"validation": ""}),
        ({"eigenpairs__tolerance": 1e-5}, SOLVED),
        (
            {"eigenpairs__count": 4},
            {"(preconditioned_)?eigenpairs": "", "null_model": r"/(?!wide-)[^/]+$"},
        ),
        ({"eigenpairs__wide_count": 6}, {"wide_eigenpairs": "", "minimum": "", "null_model": "/wide-"}),
        ({"eigenpairs__wide_every": 3}, {"wide_eigenpairs": ""}),
        ({"storage__dtype": "float16"}, {"(wide_|preconditioned_)?eigenpairs": ""}),
        ({"optimizers__adam__beta2": 0.99}, {"train": "/adam/", "null_model": TRAINED_NULL}),
        ({"training__steps": 62}, {"train": "batch(64|128)-", "null_model": TRAINED_NULL}),
        ({"training__full_batch_steps": 13}, {"train": "batchfull"}),
        ({"data_dir": "/somewhere/else"}, {}),
    ],
    ids=lambda value: "+".join(value) if any("__" in key or key == "data_dir" for key in value) else "",
)
def test_a_changed_key_reruns_what_reads_it(smoke: Clone, changes: dict[str, Any], touched: Touched) -> None:
    with changed(smoke, **changes):
        outputs = smoke.outputs()
    assert pending(outputs) == and_what_follows(outputs, touched_by(outputs, touched))


@pytest.mark.parametrize(
    ("changes", "made", "shown_by"),
    [
        (
            {"optimizers__sgd__learning_rate": 0.04},
            r"/runs/\w+/mlp-8/sgd/batch\w+-lr0\.04/",
            {*MAIN_FIGURES, "claims", "fig18", "fig20"},
        ),
        ({"experiments__main__seeds": 3}, "/seed2/", {*MAIN_FIGURES, "claims"}),
        ({"experiments__main__datasets": ["digits"]}, None, {"fig02", "fig03", "fig04", "claims"}),
        ({"experiments__batch_sizes__batch_size": [64, 128, 32]}, "/batch32-", {"claims", "fig18", "fig20"}),
        (
            {"experiments__learning_rates__learning_rate__adam": [0.001, 0.02]},
            r"/runs/digits/mlp-8/adam/batch64-lr0\.02/seed0/",
            {"claims", "fig17", "fig19", "fig21"},
        ),
        ({"eigenpairs__preconditioned_seeds": 1}, None, {"ext05"}),
        (
            {"figures__null_model": "isotropic"},
            # Of the chosen one alone are drawn those of many eigenpairs, and those on the small training set.
            r"/null/((digits|mnist5k)/mlp-8/wide-|digits-200/mlp-8/)isotropic(-baseline)?\.(zarr|json)$",
            {*MAIN_FIGURES, "claims", "regimes", "fig20", "fig21"},
        ),
    ],
    ids=["learning rate", "seeds", "data sets", "batch sizes", "sweep", "preconditioned", "null model"],
)
def test_other_runs_are_made_and_redraw_what_shows_them(
    smoke: Clone, changes: dict[str, Any], made: str | None, shown_by: set[str]
) -> None:
    with changed(smoke, **changes):
        outputs = smoke.outputs()
    missing, other, newer = (
        with_status(outputs, status)
        for status in ("missing", "set of input files changed", "updated input files")
    )
    # Another input may have been made after the figure, which is then all that Snakemake says.
    rewired = other | newer
    assert all(made and re.search(made, path) for path in missing)
    made_of = {"null_model", "baseline"} if made and "/null/" in made else {"train", "eigenpairs", "metrics"}
    assert made_of <= rules_of(outputs, missing) or not made
    assert shown_by <= rules_of(outputs, rewired)
    # This caption lists all null models, the chosen one first.
    named = touched_by(outputs, {"ext04": ""}) if "figures__null_model" in changes else set()
    # Trainings on shuffled labels have the settings of the main experiment's.
    set_anew = "optimizers__sgd__learning_rate" in changes
    shuffled = touched_by(outputs, {"null_model": "/shuffled_labels"}) if set_anew else set()
    assert pending(outputs) == and_what_follows(outputs, missing | rewired | shuffled) | named


def test_waiting_times_redraw_the_figures_that_show_them(smoke: Clone, before: Outputs) -> None:
    shown = {
        path
        for path, output in before.items()
        if output.rule.startswith(("fig", "ext"))
        # A curve for each waiting time; without a lag they are the axis, all of them.
        and {"waiting_time", "lag"}
        <= set((smoke.path / path).with_suffix(".csv").read_text().partition("\n")[0].split(","))
    }
    assert {"fig01", "fig09"} <= rules_of(before, shown)
    with changed(smoke, figures__waiting_times=4):
        assert smoke.pending() == shown


@pytest.mark.parametrize(
    ("module", "touched"),
    [
        ("eigendrift/data/mnist.py", {"data": ""}),
        ("eigendrift/training/trajectory.py", {"train": "", "null_model": ""}),
        ("eigendrift/eigenpairs/lanczos.py", SOLVED),
        ("eigendrift/null/sampling.py", {"null_model": ""}),
        (
            "eigendrift/metrics/displacement.py",
            {r"(wide_|preconditioned_)?metrics": "", "baseline": "", "validation": ""},
        ),
        ("eigendrift/validation/comparison.py", {"validation": ""}),
        ("eigendrift/metrics/measure.py", {r"(wide_|preconditioned_)?metrics": ""}),
        ("eigendrift/metrics/association.py", {"ext06": ""}),
        ("eigendrift/claims/catalog.py", {"claims": "", "regimes": ""}),
        ("eigendrift/claims/regimes.py", {"regimes": ""}),
        ("eigendrift/claims/console.py", {}),
        ("eigendrift/figures/style.py", ALL_FIGURES),
        ("eigendrift/figures/training.py", {"fig0[4-7]": ""}),
        ("eigendrift/figures/nulls.py", {"ext08": ""}),
        ("eigendrift/figures/declarations.py", {}),
        ("scripts/figure.py", ALL_FIGURES),
        ("scripts/claims.py", {"claims": ""}),
    ],
)
def test_a_changed_module_reruns_the_stages_that_use_it(
    smoke: Clone, before: Outputs, module: str, touched: Touched
) -> None:
    path = smoke.path / "workflow" / module
    with rewritten(path, path.read_text() + "\n# changed\n"):
        outputs = smoke.outputs()
    assert pending(outputs) == and_what_follows(outputs, touched_by(outputs, touched))


def test_new_time_stamps_rerun_nothing(smoke: Clone) -> None:
    for path in (smoke.path / "workflow").rglob("*.py"):
        path.touch()
    assert smoke.pending() == set()


def test_order_and_layout_of_the_config_rerun_nothing(smoke: Clone) -> None:
    path = smoke.path / "config.yaml"
    keys = yaml.safe_load(path.read_text())
    turned = {key: keys[key] for key in reversed(keys)}
    turned["eigenpairs"] = {key: turned["eigenpairs"][key] for key in reversed(turned["eigenpairs"])}
    turned["claims"] = {key: turned["claims"][key] for key in reversed(turned["claims"])}
    with rewritten(path, yaml.safe_dump(turned, sort_keys=False, default_flow_style=True)):
        assert smoke.pending() == set()


def test_a_study_without_sweeps_has_the_figures_without_them(smoke: Clone, before: Outputs) -> None:
    sweeps = ("batch_sizes", "learning_rates", "training_sizes")
    with changed(smoke, **{f"experiments__{name}": None for name in sweeps}):
        outputs = smoke.outputs()
    # Claims rest on the sweeps, too.
    claims = and_what_follows(outputs, touched_by(outputs, {"claims": ""}))
    # So does the figure of all runs.
    of_all = touched_by(outputs, {"ext06": ""})
    assert pending(outputs) == claims | of_all
    others = {path: output for path, output in outputs.items() if path not in claims | of_all}
    assert others.items() <= before.items()
    assert {"fig01", "fig09"} < rules_of(outputs, set(others))
    assert not {"fig17", "fig18", "fig19", "fig20", "fig21"} & rules_of(outputs, set(outputs))
    assert not any("batch128" in path or "batchfull" in path for path in outputs)

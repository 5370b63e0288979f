"""A change reruns what depends on it, and nothing else; tests/system/test_rerun_table.py tries every key."""

import os
import random
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from clone import SMOKE, Clone, Output, copy_repository, rewritten

Outputs = Mapping[str, Output]
# What a change touches first: patterns of rules, and patterns of the paths of their outputs. Whatever is made from
# these outputs follows.
Touched = Mapping[str, str]
# Null models of trained networks, which train networks themselves.
TRAINED_NULL = r"/(permuted|shuffled_labels)\."
MAIN_FIGURES = {f"fig0{number}" for number in (1, 2, 3, 4, 5, 6, 7, 9)}
SOLVED = dict.fromkeys(("(wide_|preconditioned_)?eigenpairs", "null_model", "minimum"), "")


def outputs_with(smoke: Clone, place: Path, changes: Mapping[str, Any]) -> Outputs:
    """Plan the smoke study with keys, written a__b__c, set to other values."""
    study: dict[str, Any] = {}
    for key, value in changes.items():
        *groups, last = key.split("__")
        group = study
        for name in groups:
            group = group.setdefault(name, {})
        group[last] = value
    (place / "changes.yaml").write_text(yaml.safe_dump(study))
    return smoke.outputs(study=(SMOKE, place / "changes.yaml"))


@pytest.fixture(scope="module")
def before(smoke: Clone) -> Outputs:
    outputs = smoke.outputs()
    assert pending(outputs) == set()
    return outputs


def touched_by(outputs: Outputs, touched: Touched) -> set[str]:
    return {
        path
        for path, output in outputs.items()
        if any(re.fullmatch(rule, output.rule) and re.search(part, path) for rule, part in touched.items())
    }


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
    """The other tests rely on this: the plan is the workflow that the paper needs."""
    assert and_what_follows(before, touched_by(before, {"data": ""})) == set(before)
    from_metrics = rules_of(before, and_what_follows(before, touched_by(before, {"metrics": ""})))
    assert {"claims", *MAIN_FIGURES} < from_metrics


@pytest.mark.parametrize(
    ("changes", "touched"),
    [
        ({"null_models__draws__reinitialized": 11}, {"null_model": "/reinitialized"}),
        pytest.param({"null_models__validation__largest_shift": 2.0}, {"validation": ""}, marks=pytest.mark.slow),
        pytest.param({"eigenpairs__tolerance": 1e-5}, SOLVED, marks=pytest.mark.slow),
        pytest.param(
            {"training__steps": 62}, {"train": "batch(64|128)-", "null_model": TRAINED_NULL}, marks=pytest.mark.slow
        ),
        ({"data_dir": "/somewhere/else"}, {}),
    ],
    ids=["draws", "validation", "tolerance", "steps", "directory"],
)
def test_a_changed_key_reruns_what_reads_it(
    smoke: Clone, tmp_path: Path, changes: dict[str, Any], touched: Touched
) -> None:
    outputs = outputs_with(smoke, tmp_path, changes)
    assert pending(outputs) == and_what_follows(outputs, touched_by(outputs, touched))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "made", "rules", "shown_by"),
    [
        (
            {"optimizers__sgd__learning_rate": 0.04},
            r"/runs/\w+/mlp-8/sgd/batch\w+-lr0\.04/",
            {"train", "eigenpairs", "metrics"},
            {*MAIN_FIGURES, "claims", "fig18", "fig20"},
        ),
        pytest.param(
            {"figures__null_model": "isotropic"},
            # Wide null models and those of the small training set are drawn for the chosen null model only.
            r"/null/((digits|mnist5k)/mlp-8/wide-|digits-200/mlp-8/)isotropic(-baseline)?\.(zarr|json)$",
            {"null_model", "baseline"},
            {*MAIN_FIGURES, "claims", "regimes", "fig20", "fig21"},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["learning rate", "null model"],
)
def test_other_runs_are_made_and_redraw_what_shows_them(
    smoke: Clone, tmp_path: Path, changes: dict[str, Any], made: str, rules: set[str], shown_by: set[str]
) -> None:
    outputs = outputs_with(smoke, tmp_path, changes)
    missing = {path for path, output in outputs.items() if output.status == "missing"}
    # If another input was made after a figure, Snakemake reports that as the only reason.
    reasons = ("set of input files changed", "updated input files")
    rewired = {path for path, output in outputs.items() if output.status in reasons}
    assert all(re.search(made, path) for path in missing)
    assert rules <= rules_of(outputs, missing)
    assert shown_by <= rules_of(outputs, rewired)
    # This caption lists all null models, the chosen one first. Trainings on shuffled labels have the main experiment's
    # settings.
    also = {
        "figures__null_model": {"ext04": ""},
        "optimizers__sgd__learning_rate": {"null_model": "/shuffled_labels"},
    }
    named = touched_by(outputs, also.get(next(iter(changes)), {}))
    assert pending(outputs) == and_what_follows(outputs, missing | rewired | named)


@pytest.mark.slow
def test_waiting_times_redraw_the_figures_that_show_them(smoke: Clone, before: Outputs, tmp_path: Path) -> None:
    shown = {
        path
        for path, output in before.items()
        if output.rule.startswith(("fig", "ext"))
        # These have a curve for each waiting time. In tables without a lag the waiting time is the axis.
        and {"waiting_time", "lag"}
        <= set((smoke.path / path).with_suffix(".csv").read_text().partition("\n")[0].split(","))
    }
    assert {"fig01", "fig09"} <= rules_of(before, shown)
    assert pending(outputs_with(smoke, tmp_path, {"figures__waiting_times": 4})) == shown


@pytest.mark.parametrize(
    ("module", "touched"),
    [
        pytest.param("eigendrift/eigenpairs/lanczos.py", SOLVED, marks=pytest.mark.slow),
        ("eigendrift/metrics/measure.py", {r"(wide_|preconditioned_)?metrics": "", "baseline": ""}),
        pytest.param("eigendrift/claims/console.py", {}, marks=pytest.mark.slow),
        ("scripts/claims.py", {"claims": ""}),
    ],
)
def test_a_changed_module_reruns_the_stages_that_use_it(smoke_copy: Clone, module: str, touched: Touched) -> None:
    path = smoke_copy.path / "workflow" / module
    with rewritten(path, path.read_text() + "\n# changed\n"):
        outputs = smoke_copy.outputs()
    assert pending(outputs) == and_what_follows(outputs, touched_by(outputs, touched))


@pytest.mark.slow
def test_another_place_other_time_stamps_and_another_layout_rerun_nothing(smoke: Clone, tmp_path: Path) -> None:
    """As in a clone on another machine whose clock is wrong, into which results and records were copied."""
    clone = copy_repository(tmp_path / "a clone")
    for name in ("results/smoke", ".snakemake/metadata"):
        shutil.copytree(smoke.path / name, clone.path / name, copy_function=shutil.copyfile)
    for path in [clone.path / "config.yaml", clone.path / SMOKE]:
        keys = yaml.safe_load(path.read_text())
        turned = {
            key: dict(reversed(value.items())) if isinstance(value, dict) else value
            for key, value in reversed(keys.items())
        }
        path.write_text("# Other words.\n" + yaml.safe_dump(turned, default_flow_style=True, sort_keys=False))
    dice = random.Random(0)
    for path in clone.path.rglob("*"):
        if not path.is_symlink():
            moment = path.stat().st_mtime + dice.uniform(-86400, 86400)
            os.utime(path, (moment, moment))
    assert clone.pending("reported") == set()


@pytest.mark.slow
def test_a_study_without_sweeps_has_the_figures_without_them(smoke: Clone, before: Outputs, tmp_path: Path) -> None:
    sweeps = ("batch_sizes", "learning_rates", "training_sizes")
    outputs = outputs_with(smoke, tmp_path, {f"experiments__{name}": None for name in sweeps})
    # The claims and the figure of all runs use the sweeps, too.
    affected = and_what_follows(outputs, touched_by(outputs, {"claims": "", "ext06": ""}))
    assert pending(outputs) == affected
    others = {path: output for path, output in outputs.items() if path not in affected}
    assert others.items() <= before.items()
    assert {"fig01", "fig09"} < rules_of(outputs, set(others))
    assert not {"fig17", "fig18", "fig19", "fig20", "fig21"} & rules_of(outputs, set(outputs))
    assert not any("batch128" in path or "batchfull" in path for path in outputs)

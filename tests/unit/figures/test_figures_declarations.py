"""The declarations of figures fit their functions and the rules, and their captions have no mistakes."""

import copy
from inspect import signature
from pathlib import Path

import pytest
import yaml
from docutils.core import publish_doctree
from docutils.utils import Reporter

from eigendrift.data.datasets import DATASETS
from eigendrift.errors import UserError
from eigendrift.extensions import Figure
from eigendrift.extensions.kinds import lazy
from eigendrift.figures.declarations import FIGURES
from eigendrift.study.captions import caption_of, facts_of, is_wanted, settings_of
from eigendrift.study.runs import runs_of, with_subsets
from runtime.code_digest import code_of

WORKFLOW = Path(__file__).resolve().parents[3] / "workflow"
CONFIG = yaml.safe_load((WORKFLOW.parent / "config.yaml").read_text())


def function_of(reference):
    assert isinstance(reference, lazy)
    return getattr(__import__(reference.module, fromlist=[reference.function]), reference.function)


@pytest.mark.parametrize("figure", FIGURES.values(), ids=lambda figure: figure.name)
def test_a_declaration_fits_its_functions_and_its_caption_has_no_mistakes(figure):
    assert figure.title
    assert figure.category != "Plug-ins"
    signature(function_of(figure.read)).bind(**figure.reads)
    signature(function_of(figure.draw)).bind("source", **figure.settings)
    experiment = figure.runs if figure.runs in CONFIG["experiments"] else "main"
    facts = facts_of(CONFIG, runs_of(CONFIG, experiment), with_subsets(CONFIG, DATASETS))
    text = caption_of(figure.name, figure.caption, facts, settings_of(figure, CONFIG), CONFIG)
    assert "{{" not in text
    assert "*Reading help:*" in text
    publish_doctree(text, settings_overrides={"halt_level": Reporter.INFO_LEVEL, "report_level": 5})


def test_the_default_study_draws_every_figure_of_the_paper():
    numbers = [int(name[3:5]) for name in FIGURES if name.startswith("fig")]
    assert sorted(numbers) == list(range(1, 22))
    assert all(figure.when(CONFIG) for figure in FIGURES.values())


def test_figures_that_need_perceptrons_or_adaptive_optimizers_are_left_out_without_them():
    config = copy.deepcopy(CONFIG)
    config["models"][config["experiments"]["main"]["model"]]["kind"] = "cnn"
    config["experiments"]["main"]["optimizers"] = ["sgd"]
    lost = {name for name, figure in FIGURES.items() if not figure.when(config)}
    assert lost == {"fig16_leading_eigenvector", "ext05_preconditioned"}


def test_a_setting_or_placeholder_that_does_not_exist_is_refused():
    figure = Figure(name="mine", caption="A.", draw=lambda source, n: 0, settings={"n": "figures.size"})
    with pytest.raises(UserError, match=r"figure 'mine' takes its setting 'n' from the key 'figures\.size'"):
        settings_of(figure, CONFIG)
    with pytest.raises(UserError, match=r"caption of the figure 'mine' cannot be filled in, UndefinedError: 'run' is"):
        caption_of("mine", "{{ run }}", {"runs": "all"}, {}, CONFIG)


def failing(config):
    return config["nothing"]


def test_functions_and_captions_of_plugins_that_fail_are_reported():
    figure = Figure(name="mine", caption="A.", draw=lambda source, n: 0, settings={"n": failing}, when=failing)
    with pytest.raises(UserError, match=r"for the setting 'n' of the figure 'mine' fails with KeyError: 'nothing'"):
        settings_of(figure, CONFIG)
    with pytest.raises(UserError, match=r"function when of the figure 'mine' fails with KeyError: 'nothing'; fix it"):
        is_wanted(figure, CONFIG)
    with pytest.raises(UserError, match=r"figure 'mine' cannot be filled in, ZeroDivisionError: division by zero; fix"):
        caption_of("mine", "{{ 1 / 0 }}", {}, {}, CONFIG)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"reads": {"metrics": ["metrics"], "baselines": "null model"}}, "has reads=.* expected text"),
        ({"reads": {"manifests": "metrics"}, "read": len}, "none of them manifests or plugin_metrics"),
        ({"reads": {"table": "regimes.csv"}}, "which the default function read takes"),
        ({"settings": {"n": 3}}, "has settings=.* expected keys of the configuration, or functions of it"),
    ],
    ids=["no text", "taken", "unknown to read", "settings"],
)
def test_a_wrong_declaration_is_refused(declared, expected):
    with pytest.raises(ValueError, match=f"the figure 'mine' .*{expected}"):
        Figure(name="mine", caption="A.", draw=lambda source, n=1: 0, **declared)


def test_no_job_depends_on_the_declarations():
    modules = {function.module for figure in FIGURES.values() for function in (figure.read, figure.draw)}
    files = {path.resolve() for path in code_of("figure", modules)}
    assert WORKFLOW / "eigendrift/figures/parts.py" in files
    assert WORKFLOW / "eigendrift/figures/declarations.py" not in files

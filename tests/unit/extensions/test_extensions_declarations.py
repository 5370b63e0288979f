"""A wrong declaration in a plug-in is refused with one sentence before any job starts."""

from pathlib import Path

import pytest

from eigendrift.errors import UserError
from eigendrift.extensions import Optimizer
from eigendrift.extensions.declarations import check_declarations
from eigendrift.extensions.plugins import error_in_plugin, load_plugins
from eigendrift.training.optimizers import OPTIMIZERS

START = """from eigendrift.extensions import Dataset, Figure, Metric, Model, NullModel, Optimizer
from eigendrift.extensions.kinds import Extension
def f(*_): return 1 / 0
NULL = {"draw": f, "draws": "{} draws", "keeps": "this", "destroys": "that"}
def opt(**settings): return Optimizer(name="mine", build=f, settings=settings)
A = {"description": "A."}
FIGURE = {"name": "a", "draw": f, "caption": "A."}
"""
ARRAYS = ("displacement", "step", "eigenvalue")


pytestmark = pytest.mark.usefixtures("plugins_forgotten")


def checked(directory: Path, *declared: str) -> Path:
    path = directory / "mine.py"
    path.write_text(f"{START}EXTENSIONS = [{', '.join(declared)}]\n")
    load_plugins([path])
    check_declarations({"decay": {}}, ARRAYS)
    return path


# What a plug-in declares, and a part of the sentence after the plug-in's path.
MISTAKES = [
    # Not what is expected.
    ("Optimizer(name='a', build='x')", "the optimizer 'a' has build='x', expected a function; fix it."),
    ("Optimizer(name='a', build=f, threshold=3)", "has threshold=3, expected a function or None"),
    ("Extension(name='a')", "expected objects of the classes of eigendrift.extensions."),
    ("Figure(**FIGURE, metrics='abc')", "has metrics='abc', expected a tuple"),
    ("Figure(**FIGURE, metrics=(3,))", "has metrics=(3,), expected names"),
    (
        "Figure(name='a', draw=f, caption='An *em.')",
        "the figure 'a', whose caption is not reStructuredText: In",
    ),
    ("Figure(name='a', draw=f, caption='|a) b|')", "is not reStructuredText: Undefined substitution"),
    ("Figure(name='a', draw=f, caption=' ')", "has caption=' ', expected a sentence; fix it."),
    ("Figure(name='a', draw=f, caption=None)", "has caption=None, expected text"),
    ("Dataset(name='a', load=f, training_samples='1')", "has training_samples='1', expected an integer"),
    ("Dataset(name='a', load=f, training_samples=True)", "training_samples=True, expected an integer"),
    ("Dataset(name='a', load=f, training_samples=0)", "training_samples=0, expected a number above 0"),
    ("Dataset(name='a', load=f, training_samples=1, image_shape=(8,))", "image_shape=(8,), expected rows"),
    ("NullModel(name='a', **NULL | {'draws': '{} of {w}'})", "has draws='{} of {w}', expected text with"),
    ("NullModel(name='a', **NULL | {'draws': 'some'})", "has draws='some', expected text with one place"),
    ("NullModel(name='a', **NULL, needs_ends=True)", "needs_ends=True, expected False, or of_training"),
    ("Metric(name='a-b', measure=f, meaning='A.')", "the metric is named 'a-b', expected text of lower"),
    ("NullModel(name='null', **NULL)", "the null model is named 'null', expected text of lower-case letters"),
    ("Optimizer(name='nan', build=f)", "digits, '-' and '_', other than null and nan"),
    ("Figure(**FIGURE | {'name': 'a-b'})", "the figure is named 'a-b', expected text of lower"),
    # Names that are taken.
    ("Figure(**FIGURE | {'name': 'fig03_localization'})", "adds the figure 'fig03_localization', a"),
    ("Figure(**FIGURE | {'name': 'ext09_run_times'})", "'ext09_run_times', a name that eigendrift"),
    *(
        (f"NullModel(name='{name}', **NULL)", f"'{name}', a name that eigendrift itself uses; choose anoth")
        for name in ("wide", "wide-reinitialized", "untrained-observed", "observed", "a-baseline")
    ),
    *(
        (f"Metric(name='{name}', measure=f, meaning='A.')", f"adds the metric '{name}', a name that eigen")
        for name in ("displacement", "step", "seed")
    ),
    # Settings.
    ("opt(learning_rate=A)", "declares the setting 'learning_rate', expected text, and none of learning"),
    ("opt(name=A)", "declares the setting 'name', expected text, and none of learning_rate, name"),
    ("Model(name='a', build=f, settings={'kind': A})", "setting 'kind', expected text, and none of kind"),
    ("opt(a='number')", "declares the setting 'a' as 'number', expected a JSON schema, a dict with a desc"),
    ("opt(a={'type': 'number'})", "as {'type': 'number'}, expected a JSON schema, a dict with a descr"),
    ("opt(a=A | {'type': 'nummer'})", "whose setting 'a' has an invalid schema: 'nummer' is not valid"),
    ("opt(a=A | {'items': {'$ref': '#/$defs/no'}})", "to '#/$defs/no', expected one of #/$defs/decay"),
    # Together with other declarations.
    ("Figure(**FIGURE, metrics=('no',))", "has a figure of the metric 'no', which no"),
]


@pytest.mark.parametrize(("declared", "sentence"), MISTAKES)
def test_a_wrong_declaration_is_refused(declared: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refusal:
        checked(tmp_path, declared)
    assert str(refusal.value).startswith(f"Plug-in {tmp_path / 'mine.py'} ")
    assert sentence in str(refusal.value)


def test_right_declarations_are_accepted(tmp_path: Path) -> None:
    checked(
        tmp_path,
        "opt(a={'$ref': '#/$defs/decay'}, b=A | {'type': 'number'})",
        "Metric(name='entropy', measure=f, meaning='A.')",
        "Figure(name='train', draw=f, caption='A.', metrics=('entropy',))",
        "NullModel(name='wider', **NULL)",
    )


def test_a_subclass_is_accepted(tmp_path: Path) -> None:
    checked(tmp_path, "type('Mine', (Optimizer,), {})(name='mine', build=f)")
    assert isinstance(OPTIMIZERS["mine"], Optimizer)


def test_a_plugin_that_exits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mine.py cannot be read: SystemExit: 3; fix it\."):
        checked(tmp_path, "exit(3)")


def test_an_error_in_a_plugin_is_reported_with_file_and_line(tmp_path: Path) -> None:
    path = checked(tmp_path, "opt()")
    with pytest.raises(ZeroDivisionError) as error:
        OPTIMIZERS["mine"].build((), {})
    assert error_in_plugin(error.value) == (
        f"Plug-in {path}, line 3: ZeroDivisionError: division by zero; fix it and run the same command again."
    )
    with pytest.raises(ZeroDivisionError) as error:
        1 / 0  # noqa: B018
    assert error_in_plugin(error.value) is None

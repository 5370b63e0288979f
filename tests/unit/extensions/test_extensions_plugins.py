"""Plug-ins: how they are found and read, and how errors in them are reported."""

import io
import logging
from pathlib import Path

import pytest

from eigendrift.errors import UserError
from eigendrift.extensions import Dataset, Figure, Metric, Model, NullModel, Optimizer
from eigendrift.extensions.plugins import load_plugins, plugin_files
from eigendrift.extensions.registry import known, source_of
from eigendrift.training.optimizers import OPTIMIZERS
from runtime import job

EXAMPLES = Path(__file__).parents[3] / "examples"
START = "from eigendrift.extensions import Dataset, Figure, Optimizer\n"


pytestmark = pytest.mark.usefixtures("plugins_forgotten")


def written(directory: Path, content: str, name: str = "mine.py") -> Path:
    path = directory / name
    path.write_text(content)
    return path


def test_the_examples_are_plugins_of_every_kind() -> None:
    shipped = list(OPTIMIZERS)
    files = plugin_files([str(EXAMPLES)])
    assert [file.stem for file in files] == ["bars", "bottleneck", "entropy", "flipped", "signs"]
    load_plugins(files)
    assert list(OPTIMIZERS) == [*shipped, "signs"]
    for kind, name in ((Dataset, "bars"), (Model, "bottleneck"), (Metric, "entropy")):
        assert [found for found in known(kind) if source_of(kind, found)] == [name]
    assert source_of(Figure, "entropy") == source_of(Metric, "entropy") != source_of(NullModel, "flipped")
    assert source_of(Optimizer, "sgd") is None
    load_plugins([])
    assert list(OPTIMIZERS) == shipped


def test_paths_are_the_same_however_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work/plugins").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    written(tmp_path / "work/plugins", "")
    outside = written(tmp_path, "", "other.py")
    for inside in ("plugins", "./plugins/mine.py", str(tmp_path / "work/plugins")):
        assert plugin_files([inside, "../other.py"]) == [Path("plugins/mine.py"), outside]


@pytest.mark.parametrize(
    ("configured", "sentence"),
    [
        ("mine", "is 'mine', expected a list of files and directories; write it as"),
        ([3], r"is \[3\], expected a list"),
        (["nowhere"], "names 'nowhere', which does not exist; paths start at "),
        (["mine.txt"], "names 'mine.txt', which is not a .py file; paths start at "),
        (["empty"], "names the directory 'empty', which holds no plug-in; add a .py file"),
    ],
)
def test_files_that_are_no_plugins_are_refused(
    configured: object, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "", "mine.txt")
    (tmp_path / "empty").mkdir()
    written(tmp_path / "empty", "", "_helper.py")
    with pytest.raises(UserError, match=f"^Config key 'plugins' {sentence}"):
        plugin_files(configured)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "has no list EXTENSIONS; write EXTENSIONS = "),
        ("EXTENSIONS = []", "has no list EXTENSIONS"),
        ("EXTENSIONS = 3", "has 3 instead of a list EXTENSIONS; write EXTENSIONS = ["),
        ("EXTENSIONS = [3]", "has 3 in EXTENSIONS, expected objects of the classes of "),
        (
            "import no_such_package",
            "cannot be imported here (No module named 'no_such_package'); fix the name",
        ),
        ("1 / 0", "cannot be read: ZeroDivisionError: division by zero; fix it."),
        ("def", "cannot be read: SyntaxError: "),
        ("Optimizer(name='a')", "missing 1 required keyword-only argument: 'build'"),
        (
            "Optimizer(name='a', build=lambda p: p)",
            "function build(p), expected one that takes (parameters,",
        ),
        (
            "Figure(name='a', caption='A.', draw=lambda: 0)",
            "function draw(), expected one that takes (coll",
        ),
        ("Optimizer(name='A b', build=print)", "ValueError: the optimizer is named 'A b', expected text of"),
        ("Optimizer(name='a', build=print, second_moment='v')", "has only one of second_moment and"),
        (
            "Optimizer(name='adam', build=print)",
            "the optimizer 'adam', a name that eigendrift itself has",
        ),
        ("*(2 * [Optimizer(name='a', build=print)])", "adds the optimizer 'a', a name that the plug-in "),
        ("Dataset(name='a-1', load=print, training_samples=5)", "the data set is named 'a-1', expected text"),
    ],
)
def test_a_wrong_plugin_is_refused_with_its_name(content: str, sentence: str, tmp_path: Path) -> None:
    content = START + f"EXTENSIONS = [{content}]" if "name=" in content else content
    path = written(tmp_path, content)
    with pytest.raises(UserError) as refusal:
        load_plugins([path])
    assert str(refusal.value).startswith(f"Plug-in {path} ")
    assert sentence in str(refusal.value)


def logged(error: BaseException, caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.ERROR):
        try:
            raise error
        except BaseException as raised:
            job._log_unexpected(io.StringIO(), raised)
    return caplog.messages


@pytest.mark.parametrize("loaded", [True, False])
def test_the_log_names_the_plugins_that_may_have_caused_an_error(
    loaded: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, START + "EXTENSIONS = [Optimizer(name='mine', build=print)]")
    load_plugins([path] if loaded else [])
    suspects = f"eigendrift or in {path}" if loaded else "eigendrift"
    assert logged(TypeError("no"), caplog) == [f"The job failed, which is a bug in {suspects}:"]
    with pytest.raises(SystemExit):
        logged(SystemExit(3), caplog)

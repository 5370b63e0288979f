"""Plug-ins: how they are found and read, and the sentence that a user reads about a wrong one."""

from pathlib import Path

import pytest

from eigendrift.errors import UserError
from eigendrift.extensions import Dataset, Figure, Metric, Model, NullModel, Optimizer
from eigendrift.extensions.plugins import load_plugins, plugin_files
from eigendrift.extensions.registry import known, source_of
from eigendrift.training.optimizers import OPTIMIZERS

EXAMPLES = Path(__file__).parents[3] / "examples"
START = "from eigendrift.extensions import Optimizer\n"


pytestmark = pytest.mark.usefixtures("plugins_forgotten")


def written(directory: Path, content: str, name: str = "mine.py") -> Path:
    path = directory / name
    path.write_text(content)
    return path


def refusal_of(path: Path) -> str:
    with pytest.raises(UserError) as error:
        load_plugins([path])
    return str(error.value)


def test_the_examples_are_plugins_of_every_kind() -> None:
    shipped = list(OPTIMIZERS)
    files = plugin_files([str(EXAMPLES)])
    assert [file.name for file in files] == [
        "bars.py",
        "bottleneck.py",
        "entropy.py",
        "flipped.py",
        "signs.py",
    ]
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
        ("mine", "Config key 'plugins' is 'mine', expected a list of files and directories; write it as"),
        ([3], r"Config key 'plugins' is \[3\], expected a list"),
        (["nowhere"], "Config key 'plugins' names 'nowhere', which does not exist; paths start at "),
        (["mine.txt"], "Config key 'plugins' names 'mine.txt', which is not a .py file; paths start at "),
        (
            ["empty"],
            "Config key 'plugins' names the directory 'empty', which holds no plug-in; add a .py file",
        ),
    ],
)
def test_what_is_not_there_is_refused(
    configured: object, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "", "mine.txt")
    (tmp_path / "empty").mkdir()
    written(tmp_path / "empty", "", "_helper.py")
    with pytest.raises(UserError, match=sentence):
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
        (START + "EXTENSIONS = [Optimizer(name='a')]", "missing 1 required keyword-only argument: 'build'"),
        (
            START + "EXTENSIONS = [Optimizer(name='a', build=lambda p: p)]",
            "the optimizer 'a' has a function build(p), expected one that takes (parameters, settings); fix",
        ),
        (
            "from eigendrift.extensions import Figure\n"
            "EXTENSIONS = [Figure(name='a', caption='An *emphasis.', draw=lambda: 0)]",
            "the figure 'a' has a function draw(), expected one that takes (collection); fix it.",
        ),
        (
            START + "EXTENSIONS = [Optimizer(name='A b', build=print)]",
            "cannot be read: ValueError: the optimizer is named 'A b', expected text of lower-case letters",
        ),
        (
            START + "EXTENSIONS = [Optimizer(name='a', build=print, second_moment='v')]",
            "the optimizer 'a' has only one of second_moment and preconditioner, expected both",
        ),
        (
            START + "EXTENSIONS = [Optimizer(name='adam', build=print)]",
            "adds the optimizer 'adam', a name that eigendrift itself has already; choose another.",
        ),
        (
            START + "EXTENSIONS = 2 * [Optimizer(name='a', build=print)]",
            "adds the optimizer 'a', a name that the plug-in ",
        ),
        (
            "from eigendrift.extensions import Dataset\n"
            "EXTENSIONS = [Dataset(name='a-1', load=print, training_samples=5)]",
            "the data set is named 'a-1', expected text of lower-case letters, digits and '_', a letter",
        ),
    ],
)
def test_a_wrong_plugin_is_refused_with_its_name(content: str, sentence: str, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    refusal = refusal_of(path)
    assert refusal.startswith(f"Plug-in {path} ")
    assert sentence in refusal

"""What a module imports, held against the standard library's finder, a new one for each module."""

from modulefinder import ModuleFinder
from pathlib import Path

import pytest
from clone import ROOT

from imports import Imports

WORKFLOW = ROOT / "workflow"
PLACES = [WORKFLOW / "scripts", WORKFLOW]
SCRIPTS = sorted(path.stem for path in PLACES[0].glob("*.py"))
FIGURES = sorted(
    f"eigendrift.figures.{path.stem}" for path in (WORKFLOW / "eigendrift/figures").glob("[a-z]*.py")
)


@pytest.fixture(scope="module", params=[False, True], ids=["forwards", "backwards"])
def imports(request):
    """One that has read everything else before, in either order."""
    reading = Imports(PLACES)
    for names in [[[one] for one in SCRIPTS + FIGURES], [[one] for one in FIGURES + SCRIPTS]][request.param]:
        reading.files(names)
    return reading


def expected(*modules: str) -> list[str]:
    finder = ModuleFinder(path=[str(place) for place in PLACES])
    for module in modules:
        finder.import_hook(module)
    return sorted(module.__file__ for module in finder.modules.values() if module.__file__)


@pytest.mark.parametrize("module", SCRIPTS + FIGURES)
def test_files_are_those_that_the_standard_library_finds(imports, module):
    assert imports.files([module]) == expected(module)


def test_several_modules_are_taken_together(imports):
    assert imports.files(["figure", FIGURES[0]]) == expected("figure", FIGURES[0])


def test_a_directory_is_a_package(tmp_path: Path):
    for name, text in {
        "one": "from ._two import halves\nfrom eigendrift.stores import files\n",
        "_two": "from . import _three\n",
        "_three": "import numpy\n",
        "four": "",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
    imports = Imports(PLACES)
    imports.add_package("mine", tmp_path)
    library = set(imports.files(["eigendrift.stores.files"]))
    found = set(imports.files(["mine.one"]))
    assert found - library == {str(tmp_path / f"{name}.py") for name in ("one", "_two", "_three")}
    assert library < found


def test_a_module_that_is_not_there_is_an_error():
    with pytest.raises(ImportError):
        Imports(PLACES).files(["nowhere"])


def test_a_directory_without_init_is_a_package_of_a_plugin(tmp_path):
    (tmp_path / "parts").mkdir()
    for file, content in {"frame.py": "from .parts.wood import grain", "parts/wood.py": "grain = 1"}.items():
        (tmp_path / file).write_text(content)
    imports = Imports(PLACES)
    imports.add_package("plugged", tmp_path)
    assert imports.files(["plugged.frame"]) == [str(tmp_path / "frame.py"), str(tmp_path / "parts/wood.py")]

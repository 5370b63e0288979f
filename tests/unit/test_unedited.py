"""Jobs import what their snakemake began with; anything else is refused by name."""

import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import unedited
from eigendrift.errors import UserError
from eigendrift.extensions.plugins import PACKAGE

WRITTEN = {"study": "tiny", "training": {"steps": 60}}
# Not eigendrift, of which the tests have imported much.
FILES = {
    "gallery/__init__.py": "",
    "gallery/parts.py": "NAME = 'parts'",
    "gallery/page.py": "from gallery import parts",
    "scripts/hang.py": "import gallery.page",
    "rules/hang.smk": "rule hang:",
    "../plugins/frame.py": "from eigendrift_plugins_here import wood",
    "../plugins/wood.py": "",
}
MADE = ("gallery", "hang", "eigendrift_plugins_here")


@pytest.fixture
def workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workflow, of which a snakemake has left its record; in it a job's process."""
    place = tmp_path / "clone/workflow"
    for name, content in FILES.items():
        (place / name).resolve().parent.mkdir(parents=True, exist_ok=True)
        (place / name).resolve().write_text(content)
    (tmp_path / "tmp1234.hang.py").write_text(copy_of(place / "scripts/hang.py"))
    monkeypatch.chdir(place.parent)
    monkeypatch.setattr(unedited, "HERE", place)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "tmp1234.hang.py")])
    monkeypatch.setattr(sys, "meta_path", sys.meta_path[:])
    # Those of other tests in this process.
    for name in [name for name in sys.modules if name.startswith(unedited.PLUGINS)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(place)
    monkeypatch.setenv(unedited.VARIABLE, "none yet")
    (results_of(place) / "logs").mkdir(parents=True)
    files = [(place / name).resolve() for name in FILES]
    unedited.leave_record(results_of(place), unedited.digests_of(files, WRITTEN))
    yield place
    for name in [name for name in sys.modules if name.partition(".")[0] in MADE]:
        del sys.modules[name]


@pytest.fixture
def plugins(workflow: Path) -> Path:
    """The directory of plug-ins, as the package that it is to jobs."""
    directory = workflow.parent / "plugins"
    package = ModuleType("eigendrift_plugins_here")
    package.__path__ = [str(directory)]
    sys.modules[package.__name__] = package
    return directory


def copy_of(script: Path) -> str:
    """What Snakemake makes of a script."""
    return f"# what a script needs to know\n######## snakemake preamble end #########\n{script.read_text()}"


def results_of(workflow: Path) -> Path:
    return workflow.parent / "results/tiny"


def remove_all(file: Path) -> None:
    shutil.rmtree(file.parent)


def add_a_line(file: Path) -> None:
    file.write_text(file.read_text() + "\n# later\n")


def rules(workflow: Path, written: object = WRITTEN) -> dict[str, str]:
    return unedited.digests_of([workflow / "rules/hang.smk"], written)


def test_what_is_as_it_was_is_imported(workflow: Path) -> None:
    unedited.guard_script()
    assert importlib.import_module("gallery.page").parts.NAME == "parts"


@pytest.mark.parametrize(
    ("change", "name", "said"),
    [
        (add_a_line, "gallery/parts.py", "workflow/gallery/parts.py has changed"),
        (add_a_line, "gallery/__init__.py", "workflow/gallery/__init__.py has changed"),
        (Path.unlink, "gallery/parts.py", "workflow/gallery/parts.py is gone"),
        (remove_all, "gallery/__init__.py", "workflow/gallery/__init__.py is gone"),
    ],
)
def test_what_is_not_is_refused_whoever_imports_it(
    workflow: Path, change: Callable[[Path], None], name: str, said: str
) -> None:
    unedited.guard_script()
    change(workflow / name)
    importlib.invalidate_caches()
    with pytest.raises(
        UserError, match=f"^{said} since snakemake started, .*; undo that, or run snakemake again"
    ):
        importlib.import_module("gallery.page")


def test_a_module_that_was_not_there_is_refused(workflow: Path) -> None:
    unedited.guard_script()
    (workflow / "gallery/late.py").write_text("")
    with pytest.raises(UserError, match=r"gallery/late\.py is new"):
        importlib.import_module("gallery.late")


def test_what_would_stand_before_an_installed_package_is_refused(workflow: Path) -> None:
    unedited.guard_script()
    (workflow / "colorsys.py").write_text("")
    sys.modules.pop("colorsys", None)
    with pytest.raises(UserError, match=r"workflow/colorsys\.py is new"):
        importlib.import_module("colorsys")


def test_a_link_to_another_module_is_not_what_was_there(workflow: Path) -> None:
    unedited.guard_script()
    (workflow / "gallery/parts.py").unlink()
    (workflow / "gallery/parts.py").symlink_to("page.py")
    with pytest.raises(UserError, match=r"gallery/parts\.py has changed"):
        importlib.import_module("gallery.parts")


def test_bytecode_of_another_content_is_not_run(workflow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python takes it if size and second of its source are the same."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    parts = workflow / "gallery/parts.py"
    before, times = parts.read_text(), (1e9, 1e9)
    parts.write_text(before.replace("parts", "other"))
    os.utime(parts, times)
    assert importlib.import_module("gallery.parts").NAME == "other"
    parts.write_text(before)
    os.utime(parts, times)
    del sys.modules["gallery.parts"]
    assert importlib.import_module("gallery.parts").NAME == "other"
    del sys.modules["gallery.parts"]
    unedited.guard_script()
    assert importlib.import_module("gallery.parts").NAME == "parts"


def test_an_edit_that_is_undone_before_the_import_is_none(workflow: Path) -> None:
    unedited.guard_script()
    add_a_line(workflow / "gallery/parts.py")
    (workflow / "gallery/parts.py").write_text(FILES["gallery/parts.py"])
    importlib.import_module("gallery.page")


def test_an_edit_of_what_a_job_does_not_import_does_not_stop_it(workflow: Path) -> None:
    add_a_line(workflow / "gallery/page.py")
    unedited.guard_script()
    importlib.import_module("gallery.parts")


def test_a_module_that_was_imported_before_is_checked(workflow: Path) -> None:
    importlib.import_module("gallery.parts")
    add_a_line(workflow / "gallery/parts.py")
    with pytest.raises(UserError, match=r"gallery/parts\.py has changed"):
        unedited.guard_script()


def test_the_script_that_runs_is_checked(workflow: Path) -> None:
    """It is a copy; what has become of the script meanwhile is nothing to it."""
    add_a_line(workflow / "scripts/hang.py")
    unedited.guard_script()
    Path(sys.argv[0]).write_text(copy_of(workflow / "scripts/hang.py"))
    with pytest.raises(UserError, match=r"scripts/hang\.py has changed"):
        unedited.guard_script()


@pytest.mark.parametrize(("change", "how"), [(add_a_line, "has changed"), (Path.unlink, "is gone")])
def test_plugins_and_what_lies_beside_them_are_checked(
    plugins: Path, change: Callable[[Path], None], how: str
) -> None:
    unedited.guard_script()
    change(plugins / "wood.py")
    with pytest.raises(UserError, match=rf"^plugins/wood\.py {how}"):
        importlib.import_module("eigendrift_plugins_here.frame")


def test_installed_packages_may_have_the_name_of_a_script(workflow: Path, tmp_path: Path) -> None:
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed/hang.py").write_text("")
    sys.path.insert(0, str(tmp_path / "installed"))
    unedited.guard_script()
    assert importlib.import_module("hang").__file__ == str(tmp_path / "installed/hang.py")


def test_without_a_snakemake_scripts_run_as_they_are(workflow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(unedited.VARIABLE)
    add_a_line(workflow / "gallery/parts.py")
    unedited.guard_script()
    importlib.import_module("gallery.page")


@pytest.mark.parametrize("content", [None, "", "{", "[1]", "2"])
def test_a_record_that_cannot_be_read_is_told(workflow: Path, content: str | None) -> None:
    record = results_of(workflow) / unedited.RECORD
    record.unlink() if content is None else record.write_text(content)
    with pytest.raises(UserError, match=r"logs/code\.json, in which .* cannot be read; run snakemake again"):
        unedited.guard_script()


def test_the_snakemake_of_a_job_finds_rules_and_configuration_as_they_were(workflow: Path) -> None:
    turned = {"training": {"steps": 60}, "study": "tiny"}
    unedited.check_job(results_of(workflow), rules(workflow, turned))
    importlib.import_module("gallery.page")


def test_the_snakemake_of_a_job_refuses_other_rules(workflow: Path) -> None:
    add_a_line(workflow / "rules/hang.smk")
    with pytest.raises(UserError, match=r"^workflow/rules/hang\.smk has changed"):
        unedited.check_job(results_of(workflow), rules(workflow))


def test_the_snakemake_of_a_job_refuses_another_configuration(workflow: Path) -> None:
    with pytest.raises(UserError, match=r"^the configuration has changed"):
        unedited.check_job(results_of(workflow), rules(workflow, {**WRITTEN, "study": "mine"}))


def test_the_snakemake_of_a_job_imports_nothing_else_afterwards(workflow: Path) -> None:
    unedited.check_job(results_of(workflow), rules(workflow))
    add_a_line(workflow / "gallery/parts.py")
    with pytest.raises(UserError, match=r"gallery/parts\.py has changed"):
        importlib.import_module("gallery.page")


def test_what_is_added_beside_the_rules_is_nothing_to_a_job(workflow: Path) -> None:
    draft = workflow / "rules/draft.smk"
    draft.write_text("")
    digests = unedited.digests_of([workflow / "rules/hang.smk", draft], WRITTEN)
    unedited.check_job(results_of(workflow), digests)


def test_what_editors_keep_beside_open_files_is_left_out(workflow: Path) -> None:
    hidden, dangling, directory = (
        workflow / f"gallery/{name}" for name in (".page.swp", ".#page.py", "old.py")
    )
    hidden.write_text("")
    dangling.symlink_to("ada@host.1234:1")
    directory.mkdir()
    assert unedited.digests_of([hidden, dangling, directory], WRITTEN).keys() == {unedited.CONFIGURATION}


@pytest.mark.parametrize("link", [False, True], ids=["directory", "link"])
def test_the_record_is_that_of_a_clone_elsewhere(
    workflow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: bool
) -> None:
    """Machines of a cluster may have one directory under different paths."""
    elsewhere = tmp_path / "mounted/workflow"
    if link:
        elsewhere.parent.symlink_to(workflow.parent)
    else:
        shutil.copytree(workflow.parent, elsewhere.parent)
    monkeypatch.setattr(unedited, "HERE", elsewhere.resolve())
    monkeypatch.syspath_prepend(elsewhere)
    unedited.check_job(results_of(elsewhere), rules(elsewhere))
    assert importlib.import_module("gallery.parts").__file__ == str(elsewhere / "gallery/parts.py")
    add_a_line(elsewhere / "gallery/page.py")
    with pytest.raises(UserError, match=r"workflow/gallery/page\.py has changed"):
        importlib.import_module("gallery.page")


def test_the_name_of_plugins_is_that_of_the_library() -> None:
    assert unedited.PLUGINS == PACKAGE

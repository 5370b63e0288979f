"""The code of a job, compared with what the standard library's ModuleFinder finds, and its digest."""

import json
from modulefinder import ModuleFinder
from pathlib import Path
from typing import ClassVar

import pytest
from clone import ROOT

from eigendrift.errors import UserError
from runtime import code_digest
from runtime.code_digest import CONFIGURATION, code_of, digest_of, recorded_digests, verify, write_record

WORKFLOW = ROOT / "workflow"


@pytest.mark.parametrize("script", ["train", "claims"])
def test_code_is_what_the_standard_library_finds(script):
    finder = ModuleFinder(path=[str(WORKFLOW / "scripts"), str(WORKFLOW)])
    finder.import_hook(script)
    found = {Path(module.__file__) for module in finder.modules.values() if module.__file__}
    assert code_of(script) == sorted(found)


def test_modules_and_plugins_belong_to_the_code_with_what_they_import(tmp_path):
    (tmp_path / "parts").mkdir()
    for name, text in {
        "one": "from ._two import halves\nfrom eigendrift.figures import style\n",
        "_two": "from . import _three\n",
        "_three": "from .parts.wood import grain\nimport numpy\n",
        "parts/wood": "",
        "four": "",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
    plugin = tmp_path / "one.py"
    found = set(code_of("data", plugins=[plugin])) - set(code_of("data"))
    beside = {path for path in found if path.is_relative_to(tmp_path)}
    assert beside == {tmp_path / f"{name}.py" for name in ("one", "_two", "_three", "parts/wood")}
    assert WORKFLOW / "eigendrift/figures/style.py" in found
    style = code_of("data", ["eigendrift.figures.style"])
    assert set(style) == (found - beside) | set(code_of("data"))


def test_the_digest_depends_on_names_and_contents_and_not_on_the_directory(tmp_path):
    digests = []
    for place, text in (("a", "x = 1"), ("b", "x = 1"), ("c", "x = 2")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "plugin.py").write_text(text)
        digests.append(digest_of(code_of("data", plugins=[tmp_path / place / "plugin.py"])))
    assert digests[0] == digests[1] != digests[2]
    (tmp_path / "a/other.py").write_text("x = 1")
    assert digest_of(code_of("data", plugins=[tmp_path / "a/other.py"])) != digests[0]


def test_code_is_verified_against_what_is_on_disk(tmp_path):
    plugin, helper = tmp_path / "plugin.py", tmp_path / "_helper.py"
    plugin.write_text("from ._helper import x")
    helper.write_text("x = 1")
    digest = digest_of(code_of("data", plugins=[plugin]))
    verify(digest, "data", plugins=[str(plugin)])
    for edit in (
        lambda: helper.write_text("x = 2"),
        lambda: helper.write_text("x = ("),
        helper.unlink,
        plugin.unlink,
    ):
        edit()
        with pytest.raises(UserError, match=r"^The code of this job \(scripts/data\.py and what it imports\) has"):
            verify(digest, "data", plugins=[str(plugin)])
    helper.write_text("x = 1")
    plugin.write_text("from ._helper import x")
    verify(digest, "data", plugins=[str(plugin)])


def test_names_of_the_package_belong_to_the_code_of_a_plugin(tmp_path):
    plugin = tmp_path / "plugin.py"
    plugin.write_text("from eigendrift import leading_eigenpairs")
    found = code_of("data", plugins=[plugin])
    assert WORKFLOW / "eigendrift/api.py" in found
    assert WORKFLOW / "eigendrift/eigenpairs/lanczos.py" in found


def test_a_plugin_that_is_not_python_is_refused_by_name(tmp_path):
    (tmp_path / "plugin.py").write_text("def f():\n    from . import _helper\n")
    (tmp_path / "_helper.py").write_text("x = (")
    with pytest.raises(UserError, match=r"_helper\.py is not Python .*; fix it and run snakemake again"):
        code_digest.digests_at_start([tmp_path / "plugin.py"], {})


class TestRecord:
    """What a snakemake of a cluster job compares itself with."""

    DIGESTS: ClassVar = {
        "../Snakefile": "1",
        "eigendrift/errors.py": "2",
        "eigendrift/never_imported.py": "3",
        CONFIGURATION: "4",
    }

    @pytest.fixture
    def results(self, tmp_path):
        (tmp_path / "logs").mkdir()
        write_record(tmp_path, self.DIGESTS)
        return tmp_path

    def test_modules_that_are_not_imported_may_differ(self, results):
        current = self.DIGESTS | {"eigendrift/never_imported.py": "changed", "eigendrift/new.py": "4"}
        assert recorded_digests(results, current) == self.DIGESTS

    @pytest.mark.parametrize(
        ("name", "what"),
        [
            ("../Snakefile", "Snakefile"),
            (CONFIGURATION, CONFIGURATION),
            ("eigendrift/errors.py", "workflow/eigendrift/errors.py"),
        ],
    )
    def test_rules_configuration_and_imported_modules_may_not(self, results, name, what, monkeypatch):
        monkeypatch.chdir(ROOT)
        with pytest.raises(UserError, match=rf"^{what} has changed since snakemake started; undo"):
            recorded_digests(results, self.DIGESTS | {name: "changed"})

    @pytest.mark.parametrize("content", [None, "", "[1]", "{"])
    def test_a_record_that_is_missing_or_damaged_is_refused(self, results, content):
        path = results / "logs/code.json"
        path.unlink() if content is None else path.write_text(content)
        with pytest.raises(UserError, match=r"code\.json, the record .* cannot be read; run snakemake again"):
            recorded_digests(results, self.DIGESTS)


def test_everything_that_a_snakemake_reads_is_in_the_record(tmp_path):
    plugin = tmp_path / "plugin.py"
    plugin.write_text("")
    digests = code_digest.digests_at_start([plugin], {"study": "a"})
    names = (
        "../Snakefile",
        "rules/data.smk",
        "schemas/config.schema.yaml",
        "../envs/torch.yaml",
        "scripts/data.py",
    )
    for name in (*names, "eigendrift/errors.py", str(plugin), CONFIGURATION):
        assert len(digests[name]) == 64
    assert json.dumps(digests)
    other = code_digest.digests_at_start([plugin], {"study": "b"})
    assert {name for name in digests if digests[name] != other[name]} == {CONFIGURATION}

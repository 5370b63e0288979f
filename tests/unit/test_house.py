"""The architecture, held against the code."""

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from eigendrift.stores.document import document

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "workflow/eigendrift"
# Leftmost first: a room imports from itself and from those before it.
ROOMS = [
    ["errors"],
    ["numerics", "tracking", "extensions"],
    ["stores"],
    ["data"],
    ["training"],
    ["eigenpairs"],
    ["null"],
    ["study"],
    ["metrics"],
    ["validation"],
    ["claims", "figures"],
    ["report"],
    ["api"],
]
PLACE = {room: place for place, rooms in enumerate(ROOMS) for room in rooms}
MODULES = sorted(path for path in LIBRARY.rglob("*.py") if path != LIBRARY / "__init__.py")


def room_of(module):
    return module.split(".")[1]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_modules_import_only_to_the_left(path):
    own = path.relative_to(LIBRARY).with_suffix("").parts[0]
    for module in imported(path):
        assert module.split(".")[0] != "snakemake"
        if module.startswith("eigendrift."):
            other = room_of(module)
            assert own == other or PLACE[other] < PLACE[own], f"{own} imports {other}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_files_and_functions_are_short(path):
    assert len(path.read_text().splitlines()) <= 300
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            assert not body or body[-1].end_lineno - body[0].lineno < 40, node.name


def test_scripts_are_thin_and_the_snakefile_is_a_table_of_contents():
    for script in (ROOT / "workflow/scripts").glob("*.py"):
        assert len(script.read_text().splitlines()) <= 60, script.name
    assert len((ROOT / "Snakefile").read_text().splitlines()) <= 40


def test_reading_the_workflow_imports_no_torch():
    code = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['torchvision'] = None\n"
        "from snakemake.cli import main\n"
        "main(['--list-rules', '--cores', '1'])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "eigenpairs" in result.stdout


def test_log_and_benchmark_of_a_job_are_named_alike():
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    path = r'f?"<results>/%s/(.+)\.%s",?\n'
    pairs = re.findall(
        rf"log:\n\s+{path % ('logs', 'log')}\s+benchmark:\n\s+{path % ('benchmarks', 'tsv')}", rules
    )
    # The run times take from the log how much of a job was start-up.
    assert len(pairs) == rules.count("benchmark:\n") > 0
    assert all(log == benchmark for log, benchmark in pairs)


def test_no_two_modules_of_the_tests_have_one_name():
    # Their directories are no packages, so that pytest and Python know them by base name alone.
    names = Counter(path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py")
    assert "test_house.py" in names
    assert [name for name, number in names.items() if number > 1] == []


@pytest.mark.xdist_group("house")
def test_what_is_in_one_group_stays_in_one_process(request):
    """Apart, each process would make for itself what takes minutes, and nothing would say so."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("needs several processes, as `make test` has")
    assert request.node.nodeid.endswith("@house")


def test_a_study_is_named_like_its_file():
    # `make report` looks for the results of STUDY=name in results/<name>.
    for path in [ROOT / "config.yaml", *(ROOT / "workflow/studies").glob("*.yaml")]:
        name = "desk" if path.name == "config.yaml" else path.stem
        assert yaml.safe_load(path.read_text())["study"] == name


def leaves(schema, path=()):
    for key, part in schema.get("properties", {}).items():
        yield from leaves(part, (*path, key))
    if "properties" not in schema and path:
        yield path


def test_every_key_of_the_schema_is_read():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    sources = [*LIBRARY.rglob("*.py"), *(ROOT / "workflow/rules").glob("*.smk")]
    code = "\n".join(path.read_text() for path in sources if path.name != "check.py")
    for path in leaves(schema):
        key = path[-1]
        assert re.search(rf"""["']{key}["']|\b{key}: """, code), f"nobody reads {'.'.join(path)}"


def test_the_page_about_stores_is_up_to_date():
    assert (ROOT / "results/README.md").read_text() == document()


def test_the_map_of_the_house_names_what_there_is_and_nothing_else():
    files = subprocess.check_output(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    ).split()
    there = {path for path in map(Path, files) if (ROOT / path).exists()}
    library = Path("workflow/eigendrift")
    rooms = {path.relative_to(library).parts[0] for path in there if path.is_relative_to(library)}
    others = {path.parts[1] for path in there if path.parts[0] == "workflow"}
    top = {path.parts[0] for path in there} - {"workflow", ".venv"}
    in_map = re.findall(r"^\| `([^`]+)` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    assert sorted(in_map) == sorted([*top, *(f"workflow/{name}" for name in others), *rooms])

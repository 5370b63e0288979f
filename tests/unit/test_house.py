"""The architecture in CONTRIBUTING.md and the schema, compared with the code."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from eigendrift.stores.document import document

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "workflow/eigendrift"


def test_reading_the_workflow_imports_no_torch():
    code = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['torchvision'] = None\n"
        "from snakemake.cli import main\n"
        "main(['--list-rules', '--cores', '1'])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "eigenpairs" in result.stdout


def test_log_and_benchmark_of_a_job_are_named_alike():
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    path = r'f?"<results>/%s/(.+)\.%s",?\n'
    pairs = re.findall(rf"log:\n\s+{path % ('logs', 'log')}\s+benchmark:\n\s+{path % ('benchmarks', 'tsv')}", rules)
    # The run times take from the log how much of a job was start-up.
    assert len(pairs) == rules.count("benchmark:\n") > 0
    assert all(log == benchmark for log, benchmark in pairs)


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

"""No file that is read can run code, and only verified packages and data are used."""

import ast
import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.parser import parse

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("workflow", "docs", "benchmarks")
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
CODE = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))] + RULES
# The files of these modules can contain code that runs when they are read.
RUN_CODE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNPACK = {"extractall", "extract", "unpack_archive", "read_pickle", "unsafe_load", "full_load"}
# Functions that read only plain data if they get this argument.
SAFE = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
# The only names of these modules, so that the tests find all calls.
NAMES = {"torch": None, "numpy": "np", "yaml": None}
LOADERS = {"load", "full_load", "unsafe_load"}


def tree_of(path: Path) -> ast.AST:
    """Return the code of a module, or the Python code that Snakemake generates from a rule file."""
    text = path.read_text()
    if path in RULES:
        source = SimpleNamespace(get_path_or_uri=lambda **_: str(path))
        cache = SimpleNamespace(open=lambda _: io.StringIO(text))
        text, _ = parse(source, SimpleNamespace(sourcecache=cache), {})
    return ast.parse(text)


def calls_in(path: Path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def trusted(path: Path) -> bool:
    """Return whether a file is a benchmark, which reads only files that it has written itself."""
    return path.is_relative_to(ROOT / "benchmarks")


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_that_is_read_can_run_code(path):
    imported = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
            for alias in node.names:
                assert alias.asname == NAMES.get(alias.name, alias.asname), ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.split(".")[0])
            if node.module in NAMES:
                assert not LOADERS & {alias.name for alias in node.names}, ast.unparse(node)
    assert not imported & (RUN_CODE | {"tarfile"})
    for name, call in calls_in(path):
        assert name.rpartition(".")[2] not in UNPACK, name
        assert name not in ("eval", "exec", "yaml.load", "__import__"), name
        if name in SAFE and not trusted(path):
            keyword, value = SAFE[name]
            given = {word.arg: getattr(word.value, "value", None) for word in call.keywords}
            assert given.get(keyword) is value, ast.unparse(call)


def test_the_searched_calls_exist():
    """Otherwise the test above could search for names that are no longer used."""
    names = {name for path in CODE for name, _ in calls_in(path)}
    assert set(SAFE) <= names
    assert "yaml.safe_load" in names


def test_downloads_are_verified_before_they_are_used():
    """One module uses the network, and `read_idx` checks the digest of its downloads."""
    network = {"urllib", "requests", "http", "ftplib", "urllib3", "httpx", "aiohttp"}
    who = {
        path.name
        for path in CODE
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module])
        if name and name.split(".")[0] in network
    }
    assert who == {"mnist.py"}
    assert (
        'return read_idx(content, 3 if "-idx3-" in file else 1, DIGESTS[name][file])'
        in (ROOT / "workflow/eigendrift/data/mnist.py").read_text()
    )


def test_every_package_of_the_lock_has_a_digest_and_pip_insists_on_them():
    lock = (ROOT / "requirements.txt").read_text()
    pinned = re.findall(r"^([a-z0-9][a-z0-9._-]*)==\S+.*(?: \\\n    --hash=sha256:[0-9a-f]{64})+", lock, re.M)
    named = [line for line in lock.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    assert len(pinned) == len(named) > 100
    # The lock adds no other places to get packages from.
    assert not re.search(r"^-|://|git\+", lock, re.M)
    for place in ("Makefile", ".ci/run"):
        text = (ROOT / place).read_text().replace("\\\n", " ")
        for command in re.findall(r"pip install[^\n]*requirements\.txt", text):
            assert "--require-hashes" in command, place
    assert "--require-hashes" in (ROOT / "Makefile").read_text()

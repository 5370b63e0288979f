"""Tables and records that later stages read: damaged ones are refused."""

import ast
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eigendrift.errors import UserError
from eigendrift.stores import checksums as module
from eigendrift.stores.checksums import checksum_path, write_checksummed
from eigendrift.stores.tables import read_table, write_checksummed_table

WORKFLOW = Path(module.__file__).parents[2]
TABLE = pd.DataFrame({"rule": ["null", "train"], "seconds": [0.1, 1e-17]})
# These modules read tables or JSON that no stage has written for another: readers in this package, Snakemake's own
# benchmarks, and messages between processes.
OTHER_READERS = {
    "eigendrift/stores/progress.py",
    "eigendrift/stores/reading.py",
    "eigendrift/stores/tables.py",
    "eigendrift/report/benchmarks.py",
    "runtime/code_digest.py",
    "runtime/forkserver.py",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "times of jobs.csv"
    write_checksummed_table(path, TABLE)
    return path


def test_a_table_has_the_content_that_was_written_and_sha256sum_checks_its_digest(path: Path) -> None:
    pd.testing.assert_frame_equal(read_table(path, keep_default_na=False), TABLE)
    subprocess.run(["sha256sum", "--check", "--strict", checksum_path(path).name], cwd=path.parent, check=True)


def test_all_damage_to_a_table_or_its_digest_is_noticed(path: Path) -> None:
    random = np.random.default_rng(0)
    words = f"to rebuild it, run `rm -rf '{path}' '{checksum_path(path)}'` and then snakemake again"
    for file in (path, checksum_path(path)):
        content = file.read_bytes()
        for place in range(len(content)):
            flipped = bytes([content[place] ^ (1 << int(random.integers(8)))])
            for damaged in (content[:place] + flipped + content[place + 1 :], content[:place]):
                file.write_bytes(damaged)
                with pytest.raises(UserError, match=words):
                    read_table(path)
        file.unlink()
        with pytest.raises(UserError, match=r"or its digest .* is damaged or missing"):
            read_table(path)
        file.write_bytes(content)
    read_table(path)


def test_a_table_in_place_of_another_is_refused(path: Path) -> None:
    other = path.with_name("other.csv")
    write_checksummed(other, "rule,seconds\n")
    for file, place in ((other, path), (checksum_path(other), checksum_path(path))):
        file.replace(place)
        with pytest.raises(UserError):
            read_table(path)


def parsed(tree: ast.AST) -> set[str]:
    """Return the source of the first argument of each call that reads a table or JSON."""
    readers = ("pd.read_csv", "json.loads", "json.load", "pd.read_json", "csv.reader", "csv.DictReader")
    return {
        ast.unparse(node.args[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in readers
    }


def test_stages_read_only_checked_tables_and_records() -> None:
    found = {
        str(path.relative_to(WORKFLOW)): given
        for path in WORKFLOW.rglob("*.py")
        if (given := parsed(ast.parse(path.read_text())))
    }
    assert found.keys() > OTHER_READERS
    for name in found.keys() - OTHER_READERS:
        for given in found[name]:
            assert given.startswith("read_checksummed(") or "schema" in given, f"{name} reads {given}"

"""claims.json, its tables, and what the console says."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from claims_helpers import NAMES, SETTINGS, as_the_paper_says, evidence_of
from jsonschema import Draft202012Validator, ValidationError

from eigendrift.claims.console import console_table
from eigendrift.claims.decide import decide_claims
from eigendrift.claims.output import claims_record, write_claims

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "workflow/schemas/claims.schema.json").read_text())
SEVERAL = {**SETTINGS, "sensitivity": {"ranks": [1, 3], "lags": [0.125, 0.25]}}


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """Two data sets, of which one has no sweeps, and a seed of Adam that diverged."""
    runs = as_the_paper_says()
    runs["diverged_at"].loc[{"optimizer": "adam", "seed": 3}] = 995.0
    evidence = evidence_of(runs, sweeps=True) | {"mnist5k": evidence_of(runs)["digits"]}
    return claims_record(decide_claims(evidence, SEVERAL), SEVERAL, "isotropic", ["something to know"])


def written(record: dict[str, Any], folder: Path) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / name for name in ("claims.json", "claims.csv", "claims_sensitivity.csv")]
    write_claims(record, SCHEMA, *paths)
    return paths


def test_files_are_strict_json_and_tables_and_do_not_change(record: dict[str, Any], tmp_path: Path) -> None:
    one, two = (written(record, tmp_path / name) for name in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    content = json.loads(one[0].read_text(), parse_constant=refuse)
    Draft202012Validator(SCHEMA).validate(content)
    assert content["settings"] == SEVERAL
    assert content["null_model"] == "isotropic"
    assert content["notes"] == ["something to know"]
    assert [claim["claim"] for claim in content["claims"]] == [*NAMES, *NAMES]
    third = content["claims"][2]
    assert third["excluded"] == {"3": "adam diverged at step 995"}
    assert list(third["seeds"]) == ["0", "1", "2", "4", "5", "6", "7"]


def test_tables_say_the_same_as_the_json(record: dict[str, Any], tmp_path: Path) -> None:
    _, csv, sensitivity = written(record, tmp_path)
    table = pd.read_csv(csv)
    assert list(zip(table["claim"], table["dataset"], strict=True)) == [
        (name, dataset) for dataset in ("digits", "mnist5k") for name in NAMES
    ]
    for row, claim in zip(table.to_dict("records"), record["claims"], strict=True):
        for key in ("verdict", "n", "reason", "equivalence", "smallest_effect"):
            assert row[key] == claim[key]
        for key in ("effect", "p", "corrected_p", "detectable_effect"):
            assert row[key] == pytest.approx(claim[key]) or (claim[key] is None and pd.isna(row[key]))
    assert table["low"][2] == pytest.approx(record["claims"][2]["interval"][0])
    assert table["low"].isna().tolist() == [False] * 13 + [True] * 3
    variants = pd.read_csv(sensitivity)
    assert len(variants) == 2 * (4 * 4 + 4 * 2)
    first = variants[(variants["claim"] == "C3") & (variants["dataset"] == "mnist5k")]
    assert first["ranks"].tolist() == [1, 3]
    assert first["lag"].isna().all()
    assert first["verdict"].tolist() == ["undecided" if record["claims"][10]["n"] < 7 else "supported", "not measured"]


@pytest.mark.parametrize(
    "change",
    [{"verdict": "true"}, {"p": 1.5}, {"interval": [0.1]}, {"surprise": 1}, {"reason": ""}, {"seeds": [1.0]}],
    ids=lambda change: next(iter(change)),
)
def test_an_undocumented_record_is_not_written(record: dict[str, Any], tmp_path: Path, change: dict[str, Any]) -> None:
    first, *others = record["claims"]
    with pytest.raises(ValidationError):
        written({**record, "claims": [{**first, **change}, *others]}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def described(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        for name, entry in schema.get("properties", {}).items():
            yield name, SCHEMA["$defs"][entry["$ref"].rpartition("/")[2]] if "$ref" in entry else entry
        for entry in schema.values():
            yield from described(entry)


def test_the_schema_is_a_schema_and_describes_and_requires_every_key() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    keys = list(described(SCHEMA))
    assert {"claims", "verdict", "corrected_p", "ranks", "notes"} <= {name for name, _ in keys}
    for name, entry in keys:
        assert entry["description"].endswith("."), name
    for group in (SCHEMA, entry_of(SCHEMA), entry_of(entry_of(SCHEMA), "sensitivity")):
        assert group["additionalProperties"] is False
        assert group["required"] == list(group["properties"])


def entry_of(schema: dict[str, Any], name: str = "claims") -> dict[str, Any]:
    items: dict[str, Any] = schema["properties"][name]["items"]
    return items


def test_the_console_has_a_line_for_each_verdict(record: dict[str, Any], tmp_path: Path) -> None:
    path = written(record, tmp_path)[0]
    lines = console_table(path).splitlines()
    rows = [line for line in lines if re.match(r"  C\d", line)]
    assert len(rows) == 16
    first = record["claims"][0]
    low, high = first["interval"]
    numbers = rf"{first['effect']:.3f}  \[{low:.3f}, {high:.3f}\] +p = 0\.\d+"
    assert re.fullmatch(rf"  C1   digits   supported     {numbers}  SGD leads .*\.", rows[0])
    assert re.fullmatch(r"  C7   mnist5k  not measured +The learning rate .*\.", rows[-1])
    assert lines[-1] == f"Why: {path}"


def test_the_console_needs_no_heavy_imports() -> None:
    code = (
        "import sys, eigendrift.claims.console;"
        "print({'numpy', 'scipy', 'xarray', 'pandas', 'jsonschema'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"
